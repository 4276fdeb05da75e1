"""A bound on the images that one process decodes and segments at a time, and on their pixels.

More at once than there are cores gains nothing and costs caches (and memory); many jobs may still be on their way to
and from the broker meanwhile. On a CPU, where a process stands for a core, the passes of the network take a place in it
as well (docs/performance.md says what that gave).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

MAX_PIXELS = 128_000_000
"""Of all images between decoding and batching. With their copies some 10 bytes each (decode 3 to 6, otsu 5)."""


class Room:
    """Lets images in while there is room; one larger than the bound comes in alone.

    Args:
        max_images: Most images at a time, a pass of the network counted as one.
        max_pixels: Most pixels of all together.
    """

    def __init__(self, max_images: int, max_pixels: int = MAX_PIXELS) -> None:
        self._max_images = max_images
        self._max_pixels = max_pixels
        self._images = 0
        self._pixels = 0
        self._passes_waiting = 0
        self._changed = threading.Condition()

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Waits until there is room for an image of so many pixels, and holds it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._passes_waiting and self._fits(pixels))
            self._enter(pixels)
        try:
            yield
        finally:
            self._leave(pixels)

    @contextmanager
    def of_a_pass(self, patience_s: float) -> Iterator[None]:
        """Waits for a place before all images that wait, and holds it; goes on without one when patience ends.

        A pass that waits holds up finished images, so a huge one that is being decoded can't keep it for long.
        """
        with self._changed:
            self._passes_waiting += 1
            entered = self._changed.wait_for(lambda: self._images < self._max_images, patience_s)
            self._passes_waiting -= 1
            self._changed.notify_all()
            if entered:
                self._enter(0)
        try:
            yield
        finally:
            if entered:
                self._leave(0)

    def _enter(self, pixels: int) -> None:
        self._images += 1
        self._pixels += pixels

    def _leave(self, pixels: int) -> None:
        with self._changed:
            self._images -= 1
            self._pixels -= pixels
            self._changed.notify_all()

    def _fits(self, pixels: int) -> bool:
        if not self._images:
            return True
        return self._images < self._max_images and self._pixels + pixels <= self._max_pixels
