"""The pictures that a job asks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nevus_core.records import Artifact, Classification
from nevus_workers.imaging.heat_map import draw_heat_map
from nevus_workers.imaging.mask import encode_mask
from nevus_workers.imaging.overlay import draw_overlay
from nevus_workers.imaging.regions import Segmentation
from nevus_workers.models.explanation import Explanation

NEED_PIXELS = frozenset({Artifact.OVERLAY, Artifact.HEAT_MAP})
"""Pictures that show the image itself; a mask shows regions only."""


def draw(
    wanted: tuple[Artifact, ...],
    image_bgr: NDArray[np.uint8],
    segmentation: Segmentation,
    classification: Classification,
    caption: str,
    explanation: Explanation | None = None,
) -> dict[Artifact, bytes]:
    """Returns the pictures that are wanted, each as PNG bytes.

    Args:
        wanted: Kinds; none costs nothing.
        image_bgr: uint8 (height_px, width_px, 3), blue-green-red, 0..255, upright, not modified; of any size where
            nothing of NEED_PIXELS is wanted.
        segmentation: Of this image.
        classification: Of this image.
        caption: What made it, such as "notebook-cnn 1, otsu".
        explanation: Of this image's probability; without it there is no heat map.
    """
    pictures = {}
    if Artifact.OVERLAY in wanted:
        pictures[Artifact.OVERLAY] = draw_overlay(image_bgr, segmentation.regions, classification, caption)
    if Artifact.MASK in wanted:
        pictures[Artifact.MASK] = encode_mask(segmentation.mask)
    if Artifact.HEAT_MAP in wanted and explanation is not None:
        pictures[Artifact.HEAT_MAP] = draw_heat_map(
            image_bgr, explanation.contributions, explanation.method, segmentation.regions, classification, caption
        )
    return pictures
