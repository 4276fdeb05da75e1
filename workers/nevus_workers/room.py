"""A bound on the images that one process decodes and segments at a time, and on their pixels.

More at once than there are cores gains nothing and costs caches (and memory); many jobs may still be on their way to
and from the broker meanwhile.
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
        max_images: Most images at a time.
        max_pixels: Most pixels of all together.
    """

    def __init__(self, max_images: int, max_pixels: int = MAX_PIXELS) -> None:
        self._max_images = max_images
        self._max_pixels = max_pixels
        self._images = 0
        self._pixels = 0
        self._changed = threading.Condition()

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Waits until there is room for an image of so many pixels, and holds it."""
        with self._changed:
            self._changed.wait_for(lambda: self._fits(pixels))
            self._images += 1
            self._pixels += pixels
        try:
            yield
        finally:
            with self._changed:
                self._images -= 1
                self._pixels -= pixels
                self._changed.notify()

    def _fits(self, pixels: int) -> bool:
        if not self._images:
            return True
        return self._images < self._max_images and self._pixels + pixels <= self._max_pixels
