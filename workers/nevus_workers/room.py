"""A bound on the pixels that one process has in hand, so that many large pictures at once do not fill the memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

MAX_PIXELS = 128_000_000
"""Of all images between decoding and batching. With their copies some 10 bytes each (decode 3 to 6, otsu 5)."""


class Room:
    """Lets images in while there is room; one larger than the bound comes in alone.

    Args:
        max_pixels: The bound.
    """

    def __init__(self, max_pixels: int = MAX_PIXELS) -> None:
        self._max_pixels = max_pixels
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Waits until there is room for so many pixels, and holds it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + pixels <= self._max_pixels)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()
