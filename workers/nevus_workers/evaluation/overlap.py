"""How well a mask that was found agrees with the one that a person drew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from nevus_core.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

THRESHOLD = 0.65
"""A mask below this Jaccard counts 0 in the ISIC 2018 challenge, task 1: such a mask a person would draw anew."""
WHITE = 128
"""From this grey value on a pixel is inside."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two masks compared.

    Attributes:
        jaccard: Intersection over union, 0..1; 1 where both are empty.
        resized: Whether the drawn mask was not of the image's size and was brought to it.
    """

    jaccard: float
    resized: bool = False

    @property
    def dice(self) -> float:
        """Twice the intersection over the sum of both areas, 0..1; 1 where both are empty."""
        return 2 * self.jaccard / (1 + self.jaccard)

    @property
    def thresholded(self) -> float:
        """The Jaccard, or 0 where it is below THRESHOLD."""
        return self.jaccard if self.jaccard >= THRESHOLD else 0.0


def jaccard(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    """Returns intersection over union of two masks of one shape, 0..1; 1 where both are empty."""
    union = np.count_nonzero(truth | found)
    return np.count_nonzero(truth & found) / union if union else 1.0


def compare(truth: NDArray[np.uint8], found: NDArray[np.uint8]) -> Overlap:
    """Returns how two masks agree, at the size of the one that was found.

    Args:
        truth: uint8 (any height, any width), white on black; brought to the other's size by its nearest pixels.
        found: uint8 (height_px, width_px), white on black, of the image's own size.
    """
    resized = truth.shape != found.shape
    return Overlap(jaccard(fitted(truth, found.shape) >= WHITE, found >= WHITE), resized)


def fitted(mask: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Returns the mask at a size: uint8 (height_px, width_px) = shape; each pixel is the nearest one's."""
    if mask.shape == shape:
        return mask
    return np.asarray(cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def read_truth(path: Path) -> NDArray[np.uint8]:
    """Returns a drawn mask's pixels: uint8 (height_px, width_px), white on black.

    Raises:
        SettingsError: the file can't be read as a picture.
    """
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        message = f"The mask {path} can't be read as a picture. Replace it, or set the image's has_mask to 0."
        raise SettingsError(message)
    return np.asarray(mask, np.uint8)


def decode_mask(png: bytes) -> NDArray[np.uint8]:
    """Returns the pixels of a result's MASK picture: uint8 (height_px, width_px), 0 or 255."""
    mask = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert mask is not None  # noqa: S101 - the pipeline has just made it
    return np.asarray(mask, np.uint8)
