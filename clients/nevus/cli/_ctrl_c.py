"""Ctrl-C that can't get lost.

Python raises KeyboardInterrupt wherever the main thread happens to be. Inside a destructor or a callback of an
extension it is printed or dropped, and the command would go on as if nobody had asked. So it is also remembered.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self


class CtrlC:
    """Notes each Ctrl-C while the context lasts; outside the main thread, where no signal comes, it does nothing."""

    def __init__(self) -> None:
        self._pressed = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def check(self) -> None:
        """Raises KeyboardInterrupt if Ctrl-C was pressed since the context began, however that first one ended."""
        if self._pressed:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the signal module's form
        self._pressed = True
        raise KeyboardInterrupt
