"""Keeps the broker's append-only file out of the page cache: it is written all the time and read only at a start.

Each image passes through that file, so every one would take fresh pages of memory until the file is rewritten. Where
the memory of a virtual machine is given to it only when it is touched, the kernel's copy into such pages was a third of
the broker's time (docs/performance.md); elsewhere they push out what is of use.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

PERIOD_S = 0.05
_STEP_BYTES = 2**20
"""So much before what was dropped last is dropped again: a page that was being written then could not be."""


class LogPages:
    """Drops what has been written and synced, from a thread of its own. Does nothing where the system can't (macOS).

    Args:
        folder: Holds the append-only files; looked at again and again, for the broker starts a new one at each rewrite.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._dropped: dict[Path, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-pages", daemon=True)

    def start(self) -> None:
        """Begins."""
        if hasattr(os, "posix_fadvise"):
            self._thread.start()

    def stop(self) -> None:
        """Ends; may be called twice, and without `start`."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def drop(self) -> None:
        """Drops once, whatever has been added since the last time."""
        files = sorted(self._folder.glob("*.incr.aof"))
        self._dropped = {path: self._drop(path) for path in files}

    def _run(self) -> None:
        while not self._ended.wait(PERIOD_S):
            self.drop()

    def _drop(self, path: Path) -> int:
        """Returns up to where the file has been dropped."""
        before = self._dropped.get(path, 0)
        try:
            size = path.stat().st_size
            if size == before:
                return before
            with path.open("rb", buffering=0) as file:
                first = max(0, before - _STEP_BYTES)
                os.posix_fadvise(file.fileno(), first, size - first, os.POSIX_FADV_DONTNEED)
        except OSError:  # the broker has just taken it away
            return before
        return size
