"""Measures of the largest region after the ABCD rule: asymmetry, border, colours, diameter.

They describe a shape that a segmenter found, and the pixels inside it; they are no score and no diagnosis. The rule is
Stolz et al., "ABCD rule of dermatoscopy: a new practical method for early recognition of malignant melanoma", Eur. J.
Dermatol. 4 (1994) 521-527; how each letter is measured here is said at its function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from nevus_core.records import LesionMeasures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nevus_core.records import Region

PATCH_PX = 96
"""Long side of the reduced patch that shape and colours are measured on; smaller regions are enlarged to it."""
COLOURS_BGR = {
    "white": (245, 245, 245),
    "red": (70, 70, 190),
    "light_brown": (90, 135, 185),
    "dark_brown": (35, 55, 95),
    "blue_grey": (140, 125, 105),
    "black": (20, 20, 25),
}
"""The rule's six colours. The rule names them and gives no numbers; these were chosen here, by eye."""
COLOUR_SHARE = 0.05
"""A colour counts from this share of the lesion on."""


def measure(image_bgr: NDArray[np.uint8], regions: Sequence[Region]) -> LesionMeasures | None:
    """Returns the measures of the largest region; None where there is none, or its outline has no area.

    Takes 0.3 ms on one core for a lesion of any size (2026-11-23).

    Args:
        image_bgr: uint8 (height_px, width_px, 3), blue-green-red, 0..255, upright, not modified.
        regions: Of this image; their outlines are used.
    """
    index = max(range(len(regions)), key=lambda at: regions[at].area_px, default=None)
    if index is None:
        return None
    outline = np.array(regions[index].contour, np.int32).reshape(-1, 2)
    if len(outline) < 3 or regions[index].area_px <= 0:
        return None
    x, y, width, height = cv2.boundingRect(outline)
    scale = PATCH_PX / max(width, height)
    polygon = (outline - (x, y) + 0.5) * scale
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    inside = np.zeros((rows, columns), np.uint8)
    cv2.fillPoly(inside, [np.rint(polygon * 16 - 8).astype(np.int32)], 1, shift=4)
    patch = cv2.resize(image_bgr[y : y + height, x : x + width], (columns, rows), interpolation=cv2.INTER_LINEAR)
    major, minor = asymmetry(inside)
    return LesionMeasures(
        region=index,
        asymmetry_major=round(major, 4),
        asymmetry_minor=round(minor, 4),
        border_irregularity=round(border_irregularity(polygon), 4),
        colours=colours(patch, inside),
        diameter_px=round(diameter_px(outline), 1),
    )


def asymmetry(inside: NDArray[np.uint8]) -> tuple[float, float]:
    """Returns what does not match when the shape is folded along its long and along its short principal axis.

    Each is 0..1: the area in which the shape and its mirror image differ, beside twice the shape's area; 0 for a shape
    that is symmetric. After Stoecker, Li and Moss, "Automatic detection of asymmetry in skin tumors", Comput. Med.
    Imaging Graph. 16 (1992) 191-197. Shape only: asymmetry of colour, which the rule counts too, is not measured. A
    star is as long as it is wide, so its axes are any two, and it may count as less symmetric than it is.

    Args:
        inside: uint8 (rows, columns), 1 inside the shape, 0 outside; some pixels of it must be inside.
    """
    moments = cv2.moments(inside, binaryImage=True)
    area = moments["m00"]
    centre = moments["m10"] / area, moments["m01"] / area
    angle = 0.5 * np.arctan2(2 * moments["mu11"], moments["mu20"] - moments["mu02"])
    cosine, sine = np.cos(angle), np.sin(angle)
    side = int(np.ceil(np.hypot(*inside.shape))) | 1  # odd: the shape's centre falls on the middle pixel
    turn = np.array([[cosine, sine], [-sine, cosine]])
    shift = (side - 1) / 2 - turn @ centre
    # The grey of the border keeps a turned disc symmetric to a fraction of a percent.
    turned = cv2.warpAffine(inside * 255, np.column_stack([turn, shift]), (side, side), flags=cv2.INTER_LINEAR)
    total = 2 * max(cv2.norm(turned, cv2.NORM_L1), 1.0)
    return tuple(cv2.norm(turned, cv2.flip(turned, axis), cv2.NORM_L1) / total for axis in (0, 1))  # type: ignore[return-value]


def border_irregularity(outline: NDArray[Any]) -> float:
    """Returns the outline's length squared beside that of a circle of the same area: 1 for a circle, more for others.

    P^2 / (4 pi A), after Golston, Stoecker, Moss and Dhillon, "Automatic detection of irregular borders in melanoma and
    other skin tumors", Comput. Med. Imaging Graph. 16 (1992) 199-203. The outline is smoothed to one hundredth of the
    lesion first, so that the steps between pixels do not count.

    Args:
        outline: float or int (n, 2), x and y of a closed outline, n at least 3, of any size.
    """
    points = np.asarray(outline, np.float32)
    smooth = cv2.approxPolyDP(points, float(np.ptp(points, axis=0).max()) / 100, closed=True)
    area = max(cv2.contourArea(points), 1e-6)
    return max(1.0, cv2.arcLength(smooth, closed=True) ** 2 / (4 * np.pi * area))


def colours(patch_bgr: Any, inside: NDArray[np.uint8]) -> tuple[str, ...]:
    """Returns which of the rule's six colours a lesion has, in the order of COLOURS_BGR.

    Each pixel counts for the nearest colour in CIE L*a*b* (CIE 15, difference of 1976); a colour is there where it has
    COLOUR_SHARE of the lesion.

    Args:
        patch_bgr: uint8 (rows, columns, 3), blue-green-red.
        inside: uint8 (rows, columns), 1 inside the lesion, 0 outside.
    """
    named = np.array([list(COLOURS_BGR.values())], np.uint8)
    references = cv2.cvtColor(named, cv2.COLOR_BGR2LAB)[0].astype(np.float32)
    half = (max(1, patch_bgr.shape[1] // 2), max(1, patch_bgr.shape[0] // 2))
    calm = cv2.resize(patch_bgr, half, interpolation=cv2.INTER_AREA)
    chosen = cv2.resize(inside, calm.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    # L in 0..255 stands for 0..100: an eighth of its square or so makes the three axes alike.
    weights = np.array((100 / 255, 1.0, 1.0), np.float32)
    pixels = cv2.cvtColor(calm, cv2.COLOR_BGR2LAB)[chosen].astype(np.float32) * weights
    references *= weights
    if not len(pixels):
        return ()
    nearest = np.argmin((references**2).sum(axis=1) - 2 * pixels @ references.T, axis=1)
    shares = np.bincount(nearest, minlength=len(references)) / len(pixels)
    return tuple(name for name, share in zip(COLOURS_BGR, shares, strict=True) if share >= COLOUR_SHARE)


def diameter_px(outline: NDArray[np.int32]) -> float:
    """Returns the largest distance between two pixels of an outline (the largest Feret diameter), in px.

    The rule's D is another thing (dermoscopic structures); clinical ABCD's D is this, in mm, for which a picture
    without a scale has no answer.

    Args:
        outline: int32 (n, 2), x and y of pixels, n at least 1.
    """
    hull = cv2.convexHull(outline).reshape(-1, 2).astype(np.float64)
    return float(np.sqrt(((hull[:, None] - hull[None]) ** 2).sum(axis=2).max())) + 1.0
