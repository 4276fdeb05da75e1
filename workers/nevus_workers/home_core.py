"""A busy process kept to one core, so that its data stay in its caches, and no core stands idle beside a full one.

`nevus up` gives each worker a core of its own. While batch follows batch all the process's threads keep to it; an image
that is alone is cut into strips for several cores, so then they run anywhere. What that gives: docs/performance.md.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from nevus_core.machine import core_numbers

SETTLED = 4
"""So many such passes in a row, and the process is busy. Moving its threads takes 0.2 ms (40 of them)."""


def keep_threads_to(cores: set[int]) -> None:
    """Lets every thread of this process, and those that they start, run on these cores only."""
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # the thread has just ended, or the core was taken from us: then it stays where it is
            os.sched_setaffinity(int(thread.name), cores)


class HomeCore:
    """Where this process runs. May be told from several threads.

    Args:
        core: Its own; has to be one of those that it may use.
        keep_to: Moves its threads.
    """

    def __init__(self, core: int, keep_to: Callable[[set[int]], None] = keep_threads_to) -> None:
        self._home, self._anywhere = {core}, set(core_numbers())
        self._keep_to = keep_to
        self._batches = 0
        self._lock = threading.Lock()

    def batch(self) -> None:
        """Tells of a pass while there is more than one image about."""
        with self._lock:
            self._batches += 1
            if self._batches == SETTLED:
                self._keep_to(self._home)

    def alone(self) -> None:
        """Tells of a pass of an image that is alone."""
        with self._lock:
            if self._batches >= SETTLED:
                self._keep_to(self._anywhere)
            self._batches = 0
