"""The legend of a heat map: what its colours mean, in words and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from nevus_workers.imaging.band import BACKGROUND, MUTED, WHITE, fit_font

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BAR_GREY = 120
"""Under the colours of the scale: the grey of skin in shade."""


def legend_height_px(unit_px: int) -> int:
    """Returns the height of the legend for a line height."""
    return round(unit_px * 3.2)


def draw_legend(
    legend: NDArray[np.uint8],
    tint: Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.uint8]],
    strongest: float,
    positive: str,
    words: str,
    unit_px: int,
) -> None:
    """Draws the scale of colours between its two ends, and below it what it is a scale of.

    Args:
        legend: uint8 (legend_height_px(unit_px), width_px, 3), blue-green-red; drawn over.
        tint: Colours grey pixels by strength, -1..1; see `heat_map.tint`.
        strongest: The contribution at the scale's ends, of the logit.
        positive: Name of the positive class.
        words: What it is a scale of.
        unit_px: Line height.
    """
    height_px, width_px = legend.shape[:2]
    canvas = Image.new("RGB", (width_px, height_px), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    margin, top, bottom = unit_px, round(unit_px * 0.95), round(unit_px * 2.35)
    room = width_px - 2 * margin
    ends = f"against {positive}  -{strongest:.2g}", f"+{strongest:.2g}  for {positive}"
    size = round(unit_px * 0.8)
    font = fit_font(draw, max(ends, key=len), size, room * 0.36)
    draw.text((margin, top), ends[0], WHITE, font, "lm")
    draw.text((width_px - margin, top), ends[1], WHITE, font, "rm")
    draw.text((margin, bottom), words, MUTED, fit_font(draw, words, size, room), "lm")
    left = round(margin + draw.textlength(ends[0], font) + margin * 0.7)
    right = round(width_px - margin - draw.textlength(ends[1], font) - margin * 0.7)
    legend[...] = np.asarray(canvas)[:, :, ::-1]
    if right > left:
        high = round(unit_px * 0.5)
        grey = np.full((2 * high, right - left), BAR_GREY, np.uint8)
        scale = np.tile(np.linspace(-1, 1, right - left, dtype=np.float32), (2 * high, 1))
        legend[top - high : top + high, left:right] = tint(grey, scale)
