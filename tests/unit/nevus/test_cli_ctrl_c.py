"""Ctrl-C that was swallowed by whatever ran just then."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from nevus.cli._ctrl_c import CtrlC


def press() -> None:
    """Presses Ctrl-C, as a terminal does."""
    os.kill(os.getpid(), signal.SIGINT)


def test_it_interrupts_at_once_and_is_remembered() -> None:
    """Proves that what a destructor drops is raised again at the next check, and that the old handler comes back."""
    before = signal.getsignal(signal.SIGINT)
    with CtrlC() as ctrl_c:
        ctrl_c.check()
        with pytest.raises(KeyboardInterrupt):
            press()
        with pytest.raises(KeyboardInterrupt):
            ctrl_c.check()
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_may_use_it() -> None:
    """Proves that a command run outside the main thread works, without signals."""
    checked = []

    def use() -> None:
        with CtrlC() as ctrl_c:
            ctrl_c.check()
            checked.append(True)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert checked == [True]
