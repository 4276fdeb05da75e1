"""From a network's map of probabilities to the lesion: its outline in the image's own pixels, and how sure the map is.

The map is coarse (112x112 for `derm-joint`), the image is not. So the map is enlarged smoothly and cut at one half;
holes are filled, and specks go: pieces that are small beside the largest one. One lesion gives one region.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from nevus_workers.imaging.regions import from_contours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nevus_workers.imaging.regions import Segmentation

LEVEL = 0.5
"""Inside, the probability is at least this."""
FAINTEST = 0.1
"""A map that nowhere reaches LEVEL is cut at half of its peak, so that a faint lesion has a region too, with a low
score; a map whose peak is below this has none."""
SPECK_SHARE = 0.2
"""Pieces with less than this share of the largest piece's area are left out."""
WORKING_SIDE_PX = 1024
"""Outlines are found at most at this size and then enlarged: a map of 112x112 has nothing finer to tell."""


def segment_map(probabilities: NDArray[np.float32], height_px: int, width_px: int) -> Segmentation:
    """Returns the regions that a map shows, the largest first, each with its score: the mean probability inside.

    Args:
        probabilities: float32 (rows, columns), 0..1, of the whole image, whose aspect ratio it need not have.
        height_px: Of the image.
        width_px: Of the image.

    Returns:
        Regions and mask in pixels of the image; none where the map is below FAINTEST everywhere.
    """
    shrink = min(1.0, WORKING_SIDE_PX / max(height_px, width_px))
    rows, columns = max(1, round(height_px * shrink)), max(1, round(width_px * shrink))
    part, level = _interesting(probabilities, rows, columns)
    if 2 * level < FAINTEST:
        return from_contours([], height_px, width_px)
    inside = (part.values >= level).view(np.uint8)
    contours, _ = cv2.findContours(
        inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(part.left_px, part.top_px)
    )
    kept = _without_specks(contours)
    scores = [_mean_inside(part, contour) for contour in kept]
    scaled = [_scaled(contour, width_px / columns, height_px / rows) for contour in kept]
    return from_contours(scaled, height_px, width_px, scores)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of an enlarged map: float32 (rows, columns), 0..1, whose first value lies at these pixels of the whole."""

    values: NDArray[np.float32]
    left_px: int
    top_px: int


def _interesting(probabilities: NDArray[np.float32], rows: int, columns: int) -> tuple[_Part, float]:
    """Returns the part of the enlarged map that holds every pixel inside a lesion, and the level from which they are.

    Most of an image is skin. Enlarging that too, and looking for outlines there, took more than half of the time
    (1022x767, lesions of 8 to 22 % of the image).

    Args:
        probabilities: float32 (rows, columns), 0..1, of any size.
        rows: Of the enlarged map.
        columns: Of the enlarged map.
    """
    guess = min(LEVEL, float(probabilities.max()) / 2) / 2
    for least in (guess, 0.0):  # where the peak lies between pixels, in a map made smaller, the guess is too high
        part = _enlarged(probabilities, least, rows, columns)
        level = min(LEVEL, float(part.values.max()) / 2)
        if level >= least:
            break
    return part, level


def _enlarged(probabilities: NDArray[np.float32], least: float, rows: int, columns: int) -> _Part:
    """Returns the map enlarged smoothly to rows x columns, but for what lies outside of all values of at least `least`.

    First along the rows, then along the columns, as OpenCV does both at once: to the bit the same (a part of a single
    column apart).
    """
    x, y, across, down = cv2.boundingRect((probabilities >= least).view(np.uint8))
    height, width = probabilities.shape
    left, right = _reach(x, across, columns / width, columns)
    top, bottom = _reach(y, down, rows / height, rows)
    wide = cv2.resize(probabilities, (columns, height), interpolation=cv2.INTER_LINEAR)[:, left:right]
    tall = cv2.resize(wide, (right - left, rows), interpolation=cv2.INTER_LINEAR)[top:bottom]
    return _Part(np.asarray(tall, np.float32), left, top)


def _reach(first: int, count: int, scale: float, most: int) -> tuple[int, int]:
    """Returns where the pixels begin and end, along one axis of `most`, that depend on `count` values from `first` on.

    A pixel lies between the centres of two values and depends on both. One pixel more on each side does no harm.
    """
    return max(0, floor((first - 0.5) * scale) - 1), min(most, ceil((first + count + 0.5) * scale) + 1)


def _without_specks(contours: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Returns the contours that are no specks, the largest first."""
    # A contour runs through the centres of its pixels: half of its length is missing from its area, and one of a single
    # row of pixels has none at all.
    areas = [cv2.contourArea(contour) + cv2.arcLength(contour, closed=True) / 2 + 1 for contour in contours]
    order = np.argsort(areas, kind="stable")[::-1]
    return [contours[index] for index in order if areas[index] >= SPECK_SHARE * max(areas)]


def _mean_inside(part: _Part, contour: NDArray[Any]) -> float:
    """Returns the mean of a map inside a contour, filled, border included; holes count as what they are."""
    x, y, width, height = cv2.boundingRect(contour)
    inside = np.zeros((height, width), np.uint8)
    cv2.drawContours(inside, [contour], -1, 255, cv2.FILLED, offset=(-x, -y))
    left, top = x - part.left_px, y - part.top_px
    mean = cv2.mean(part.values[top : top + height, left : left + width], inside)[0]
    return round(min(max(float(mean), 0.0), 1.0), 4)


def _scaled(contour: NDArray[Any], across: float, down: float) -> NDArray[np.int32]:
    """Returns a contour in pixels that are smaller by the factors given; pixel centres lie at half-integers."""
    if across == down == 1:
        return np.asarray(contour, np.int32)
    return np.asarray(np.round((contour + 0.5) * (across, down) - 0.5), np.int32)
