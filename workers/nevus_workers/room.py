"""A bound on the images that one process decodes and segments at a time, and on their pixels.

More at once than there are cores gains nothing and costs caches (and memory); many jobs may still be on their way to
and from the broker meanwhile. On a CPU, where a process stands for a core, the passes of the network take a place in it
as well (docs/performance.md says what that gave).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

MAX_PIXELS = 128_000_000
"""Of all images between decoding and batching. With their copies some 10 bytes each (decode 3 to 6, otsu 5)."""


class _Waiting:
    """One who waits for a place; whoever gives it lets go of `turn`."""

    __slots__ = ("pixels", "turn")

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels
        self.turn = threading.Lock()
        self.turn.acquire()


class Room:
    """Lets images in while there is room, in the order in which they came; one larger than the bound comes in alone.

    Args:
        max_images: Most images at a time, a pass of the network counted as one.
        max_pixels: Most pixels of all together.
    """

    def __init__(self, max_images: int, max_pixels: int = MAX_PIXELS) -> None:
        self._max_images = max_images
        self._max_pixels = max_pixels
        self._images = 0
        self._pixels = 0
        self._lock = threading.Lock()
        self._passes: deque[_Waiting] = deque()
        self._line: deque[_Waiting] = deque()

    @property
    def waiting(self) -> int:
        """How many images and passes wait for a place."""
        return len(self._line) + len(self._passes)

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Waits until there is room for an image of so many pixels, and holds it."""
        self._join(self._line, _Waiting(pixels)).turn.acquire()
        try:
            yield
        finally:
            self._leave(pixels)

    @contextmanager
    def of_a_pass(self, patience_s: float) -> Iterator[None]:
        """Waits for a place before all images that wait, and holds it; goes on without one when patience ends.

        A pass that waits holds up finished images, so a huge one that is being decoded can't keep it for long.
        """
        waiting = self._join(self._passes, _Waiting(0))
        entered = waiting.turn.acquire(timeout=patience_s) or not self._gave_up(waiting)
        try:
            yield
        finally:
            if entered:
                self._leave(0)

    def _join(self, line: deque[_Waiting], waiting: _Waiting) -> _Waiting:
        with self._lock:
            line.append(waiting)
            self._admit()
        return waiting

    def _gave_up(self, waiting: _Waiting) -> bool:
        """Takes a pass out of the line; False where it was given its place in the last moment."""
        with self._lock:
            if waiting not in self._passes:
                return False
            self._passes.remove(waiting)
            self._admit()
            return True

    def _leave(self, pixels: int) -> None:
        with self._lock:
            self._images -= 1
            self._pixels -= pixels
            self._admit()

    def _admit(self) -> None:
        """Gives places to those who are next, while there are places."""
        while line := self._passes or self._line:
            if not self._fits(line[0].pixels):
                return
            waiting = line.popleft()
            self._images += 1
            self._pixels += waiting.pixels
            waiting.turn.release()

    def _fits(self, pixels: int) -> bool:
        if not self._images:
            return True
        return self._images < self._max_images and self._pixels + pixels <= self._max_pixels
