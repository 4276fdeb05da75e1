"""From OpenCV contours to the regions that a result carries, and the mask drawn from them where it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from nevus_core.records import Box, Region

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_REGIONS = 1000
"""Regions that a result may carry: the largest. A picture of dots has hundreds of thousands, and no reader."""
MAX_CONTOUR_POINTS = 200
"""Points that a stored outline may have; a jagged lesion on a large image has tens of thousands."""
MAX_POINTS = 20_000
"""Points that all outlines together may have: where there are many regions, each gets fewer."""
FIRST_TOLERANCE_PX = 0.5
"""How far the simplified outline may stray at first; doubled until the points are few enough."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What a segmenter found in one image.

    Attributes:
        regions: In the segmenter's order; may be empty.
        outlines: Of the same regions, with all of their points: int32 (n, 1, 2) each, x before y, in px.
        height_px, width_px: Of the image.
        left_out: How many smaller regions were found beyond MAX_REGIONS; they are in neither.
    """

    regions: tuple[Region, ...]
    outlines: tuple[NDArray[Any], ...]
    height_px: int
    width_px: int
    left_out: int = 0

    @property
    def mask(self) -> NDArray[np.uint8]:
        """uint8 (height_px, width_px), 255 inside a region (holes filled), 0 elsewhere; the caller's own.

        Drawn anew each time it is asked for; most jobs never ask.
        """
        mask = np.zeros((self.height_px, self.width_px), np.uint8)
        if self.outlines:
            cv2.drawContours(mask, self.outlines, -1, 255, cv2.FILLED)
        return mask


def from_contours(
    contours: Sequence[NDArray[Any]], height_px: int, width_px: int, scores: Sequence[float] | None = None
) -> Segmentation:
    """Returns the segmentation whose regions are the contours given, in their order; of too many the largest.

    Args:
        contours: As cv2.findContours gives them: int32 (n, 1, 2), x before y.
        height_px: Of the image.
        width_px: Of the image.
        scores: One for each contour, 0..1; None where the segmenter has none.
    """
    chosen = _largest(contours)
    kept = tuple(contours[index] for index in chosen)
    max_points = min(MAX_CONTOUR_POINTS, MAX_POINTS // max(len(kept), 1))
    regions = tuple(_region(contours[index], max_points, scores[index] if scores else None) for index in chosen)
    return Segmentation(regions, kept, height_px, width_px, left_out=len(contours) - len(kept))


def _largest(contours: Sequence[NDArray[Any]]) -> Sequence[int]:
    """Returns which are the MAX_REGIONS contours with the largest areas, in the order given."""
    if len(contours) <= MAX_REGIONS:
        return range(len(contours))
    areas = np.array([cv2.contourArea(contour) for contour in contours])
    return [int(index) for index in np.sort(np.argsort(areas, kind="stable")[-MAX_REGIONS:])]


def simplify(contour: NDArray[Any], max_points: int = MAX_CONTOUR_POINTS) -> NDArray[Any]:
    """Returns the outline with at most `max_points` points, int32 (n, 1, 2); the contour itself where it is short."""
    tolerance_px = FIRST_TOLERANCE_PX
    outline = contour
    while len(outline) > max_points:
        outline = cv2.approxPolyDP(contour, tolerance_px, closed=True)
        tolerance_px *= 2
    return outline


def _region(contour: NDArray[Any], max_points: int, score: float | None) -> Region:
    """Returns the record of one contour: box and area exact, outline simplified."""
    x, y, width, height = cv2.boundingRect(contour)
    return Region(
        box=Box(x=x, y=y, width=width, height=height),
        area_px=float(cv2.contourArea(contour)),
        score=score,
        contour=tuple(int(value) for value in simplify(contour, max_points).reshape(-1)),
    )
