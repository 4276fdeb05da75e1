"""The pictures that a job asks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nevus_core.records import Artifact, Classification
from nevus_workers.imaging.mask import encode_mask
from nevus_workers.imaging.overlay import draw_overlay
from nevus_workers.imaging.regions import Segmentation


def draw(
    wanted: tuple[Artifact, ...],
    image_bgr: NDArray[np.uint8],
    segmentation: Segmentation,
    classification: Classification,
    caption: str,
) -> dict[Artifact, bytes]:
    """Returns the pictures that are wanted, each as PNG bytes.

    Args:
        wanted: Kinds; none costs nothing.
        image_bgr: uint8 (height_px, width_px, 3), blue-green-red, 0..255, upright, not modified.
        segmentation: Of this image.
        classification: Of this image.
        caption: What made it, such as "notebook-cnn 1, otsu".
    """
    pictures = {}
    if Artifact.OVERLAY in wanted:
        pictures[Artifact.OVERLAY] = draw_overlay(image_bgr, segmentation.regions, classification, caption)
    if Artifact.MASK in wanted:
        pictures[Artifact.MASK] = encode_mask(segmentation.mask)
    return pictures
