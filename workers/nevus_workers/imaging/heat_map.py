"""The picture of an explanation: the image in grey, coloured where it spoke for or against the positive class.

In grey, so that every colour is the map's. Orange spoke for, blue against (the two differ for the colour-blind too);
what is near zero stays clear. Colours are relative to the image's own strongest cell, which the legend gives in
figures: a map whose cells weigh next to nothing looks as strong as any other, until one reads it. The outlines are the
regions', so that one sees whether the evidence lies on the lesion. The band is the overlay's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from nevus_workers.imaging.band import band_height_px, draw_band
from nevus_workers.imaging.legend import draw_legend, legend_height_px
from nevus_workers.imaging.overlay import draw_outline, encode_picture, place_on_canvas, plan_layout, scale_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nevus_core.records import Classification, Region

STOPS = (-1.0, -0.5, 0.0, 0.5, 1.0)
COLOURS_RGB = ((40, 90, 255), (70, 160, 255), (150, 150, 150), (255, 150, 40), (255, 70, 10))
"""At the stops, on the scale from strongest against to strongest for."""
CLEAR_BELOW = 0.08
"""Of the strongest cell: weaker ones leave the image as it is."""
MOST_COVER = 0.75
"""Of the image, by the colour of the strongest cell: structures stay visible."""
OUTLINE_BGR = (235, 235, 235)
LEAST_SCALE = 1e-6
"""Of the logit: below it there is nothing to be shown."""


def draw_heat_map(
    image_bgr: NDArray[np.uint8],
    contributions: NDArray[np.float32],
    method: str,
    regions: Sequence[Region],
    classification: Classification,
    caption: str,
) -> bytes:
    """Returns the heat map as PNG bytes.

    Args:
        image_bgr: uint8 (height_px, width_px, 3), blue-green-red, upright, not modified.
        contributions: float32 (rows, columns), finite: what each cell did to the logit of the positive class; the
            cells divide the image evenly.
        method: How they were computed, in words, for the legend.
        regions: In pixels of image_bgr; outlined.
        classification: Drawn in the band: class, probability, operating point.
        caption: What made it, such as "notebook-cnn 1, otsu".
    """
    height_px, width_px = image_bgr.shape[:2]
    layout = plan_layout(width_px, height_px, lambda unit_px: legend_height_px(unit_px) + band_height_px(unit_px))
    unit_px = layout.unit_px
    strongest = max(float(np.abs(contributions).max(initial=0.0)), LEAST_SCALE)
    grey = cv2.cvtColor(scale_image(image_bgr, layout), cv2.COLOR_BGR2GRAY)
    strength = cv2.resize(contributions / strongest, grey.shape[::-1], interpolation=cv2.INTER_CUBIC)
    scaled = tint(np.asarray(grey, np.uint8), np.asarray(strength, np.float32))
    for region in regions:
        draw_outline(scaled, region, layout, OUTLINE_BGR)
    legend_px = legend_height_px(unit_px)
    picture = place_on_canvas(scaled, layout, legend_px + band_height_px(unit_px))
    rows, columns = contributions.shape
    positive = list(classification.probabilities)[-1] if classification.probabilities else classification.label
    words = f"contribution of each of {rows}x{columns} cells to the logit  ·  {method}  ·  shows where, not why"
    draw_legend(picture[layout.height_px : layout.height_px + legend_px], tint, strongest, positive, words, unit_px)
    draw_band(picture[layout.height_px + legend_px :], classification, caption, len(regions), unit_px)
    return encode_picture(picture)


def tint(grey: NDArray[np.uint8], strength: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns a grey image coloured by strength: uint8 (height_px, width_px, 3), blue-green-red.

    Args:
        grey: uint8 (height_px, width_px), 0..255.
        strength: float32 (height_px, width_px), -1..1 (beyond: as at the ends): against and for the positive class.
    """
    levels = np.linspace(-1, 1, 256)
    table = np.stack([np.interp(levels, STOPS, channel) for channel in zip(*COLOURS_RGB, strict=True)], axis=1)
    cover = MOST_COVER * np.clip((np.abs(levels) - CLEAR_BELOW) / (1 - CLEAR_BELOW), 0, 1)
    at = np.rint((np.clip(strength, -1, 1) + 1) * 127.5).astype(np.uint8)
    covered = cover.astype(np.float32)[at][..., None]
    colours = table[:, ::-1].astype(np.float32)[at]
    return np.asarray(np.rint(grey[..., None] * (1 - covered) + colours * covered), np.uint8)
