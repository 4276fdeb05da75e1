"""SIGHUP in a process of its own: on a terminal, after the terminal has gone, and without one."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

SCRIPT = """
import signal
from nevus_workers.hangup import on_hangup
on_hangup(lambda: print("looked", flush=True))
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal's two ends: the window, and what a process has as its input."""
    window, inner = pty.openpty()
    yield window, inner
    os.close(inner)


def start(stdin: int) -> subprocess.Popen[str]:
    """Starts a process that waits for signals."""
    words = [sys.executable, "-c", SCRIPT]
    process = subprocess.Popen(words, stdin=stdin, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_on_a_terminal_and_after_it(terminal: tuple[int, int]) -> None:
    """Proves that kill -HUP looks, and that a window that is closed leaves no process behind."""
    window, inner = terminal
    with start(inner) as process:
        process.send_signal(signal.SIGHUP)
        assert process.stdout is not None
        assert process.stdout.readline() == "looked\n"
        os.close(window)
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == -signal.SIGTERM


def test_without_a_terminal() -> None:
    """Proves that a service looks, however often it is asked."""
    with start(subprocess.DEVNULL) as process:
        for _ in range(2):
            process.send_signal(signal.SIGHUP)
            assert process.stdout is not None
            assert process.stdout.readline() == "looked\n"
        process.terminate()
        assert process.wait(60) == -signal.SIGTERM
