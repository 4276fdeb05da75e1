"""SIGHUP: look at the model repository now; where it comes because the terminal went away, end, as ever."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType


def on_hangup(look: Callable[[], None]) -> None:
    """Has SIGHUP call `look`, where there is such a signal; to be called in the main thread."""
    if not hasattr(signal, "SIGHUP"):
        return
    attached = _has_terminal()

    def hung_up(_number: int, _frame: FrameType | None) -> None:
        if attached and not _has_terminal():
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            look()

    signal.signal(signal.SIGHUP, hung_up)


def _has_terminal() -> bool:
    try:
        return os.isatty(sys.__stdin__.fileno() if sys.__stdin__ else -1)
    except (OSError, ValueError):
        return False
