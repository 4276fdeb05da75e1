"""Making an image smaller by the mean of all pixels that fall together, for less than OpenCV's INTER_AREA takes.

OpenCV adds up each row's pixels one after the other, and each sum waits for the one before. The same means are two
products with matrices that are zero nearly everywhere: a few rows at a time, so that the zeros are hardly met.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 4
"""Rows, or columns, of the smaller image that one product gives."""
CACHED = 64
"""Pairs of lengths whose weights are kept; some 30 kB each."""

Block = tuple[int, int, int, "NDArray[np.float32]"]
"""Where it begins in the smaller image; where its pixels begin and end in the larger one; their weights."""


def resize_area(image: NDArray[np.uint8], width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Returns a smaller image: each pixel the mean of the area that it covers, parts of pixels counted as parts.

    Beside cv2.resize with INTER_AREA a few values in 100,000 differ, by one: those that lie between two whole numbers.

    Args:
        image: uint8 (rows, columns, 3), contiguous, not modified; larger than the result along both sides.
        width_px: Of the result.
        height_px: Of the result.

    Returns:
        uint8 (height_px, width_px, 3).
    """
    rows, columns, channels = image.shape
    flat = image.reshape(rows, columns * channels)
    low = np.empty((height_px, columns * channels), np.float32)
    for at, begin, end, weights in _blocks(rows, height_px):
        np.matmul(weights, flat[begin:end].astype(np.float32), out=low[at : at + len(weights)])
    means = cv2.resize(low.reshape(height_px, columns, channels), (width_px, height_px), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.convertScaleAbs(means), np.uint8)


@lru_cache(CACHED)
def _blocks(length: int, shorter: int) -> tuple[Block, ...]:
    """Returns what each BLOCK of `shorter` means is made of, of `length` values in a row."""
    edges = np.arange(shorter + 1) * (length / shorter)
    edges[-1] = length
    found = []
    for at in range(0, shorter, BLOCK):
        lower, upper = edges[at : at + BLOCK + 1][:-1, None], edges[at : at + BLOCK + 1][1:, None]
        begin, end = int(lower[0, 0]), int(np.ceil(upper[-1, 0]))
        pixels = np.arange(begin, end)
        covered = np.clip(np.minimum(upper, pixels + 1) - np.maximum(lower, pixels), 0, None)
        found.append((at, begin, end, (covered / (upper - lower)).astype(np.float32)))
    return tuple(found)
