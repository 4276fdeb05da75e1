"""The words on an overlay: the band below the image and the number on each box."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nevus_core.records import Classification

NOTICE = "NOT FOR CLINICAL USE"
BACKGROUND = (20, 24, 30)
WHITE = (245, 247, 250)
MUTED = (150, 160, 172)
POSITIVE = (240, 112, 72)
NEGATIVE = (64, 186, 160)
TAG = (20, 24, 30)
NOTICE_COLOUR = (255, 208, 92)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def band_height_px(unit_px: int) -> int:
    """Returns the height of the band for a line height."""
    return round(unit_px * 4.6)


def draw_band(
    band: NDArray[np.uint8], classification: Classification, caption: str, regions: int, unit_px: int
) -> None:
    """Draws class, probability bar, notice and caption into the array.

    Args:
        band: uint8 (band_height_px(unit_px), width_px, 3), blue-green-red; drawn over.
        classification: What to say.
        caption: What made it.
        regions: How many regions were found.
        unit_px: Line height.
    """
    height_px, width_px = band.shape[:2]
    canvas = Image.new("RGB", (width_px, height_px), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    positive = classification.probability >= classification.threshold
    colour = POSITIVE if positive else NEGATIVE
    draw.rectangle((0, 0, width_px, max(2, unit_px // 6)), fill=colour)
    margin, top, bottom = unit_px, round(unit_px * 1.75), round(unit_px * 3.55)
    room = width_px - 3 * margin
    notice = fit_font(draw, NOTICE, round(unit_px * 0.95), room * 0.45)
    left = fit_font(draw, classification.label.upper(), round(unit_px * 1.5), room * 0.55)
    draw.text((margin, top), classification.label.upper(), colour, left, "lm")
    draw.text((width_px - margin, top), NOTICE, NOTICE_COLOUR, notice, "rm")
    label_end = margin + draw.textlength(classification.label.upper(), left)
    notice_start = width_px - margin - draw.textlength(NOTICE, notice)
    _draw_bar(draw, classification, (label_end + margin, top, notice_start - 1.5 * margin), unit_px, colour)
    found = f"{regions} region{'' if regions == 1 else 's'}"
    detail = f"{_positive_class(classification)} {classification.probability:.3f}, "
    detail += f"threshold {classification.threshold:.3f} ({classification.operating_point})  ·  {found}  ·  {caption}"
    draw.text(
        (margin, bottom), detail, MUTED, fit_font(draw, detail, round(unit_px * 0.8), width_px - 2 * margin), "lm"
    )
    band[...] = np.asarray(canvas)[:, :, ::-1]


def draw_tag(picture: NDArray[np.uint8], text: str, corner: tuple[int, int], box_width_px: int, unit_px: int) -> None:
    """Draws a small number at the upper left corner of a box: above it where there is room, else inside.

    Args:
        picture: uint8 (height_px, width_px, 3), blue-green-red; drawn over.
        text: One to three digits.
        corner: x, y of the box's upper left corner.
        box_width_px: A narrow box gets a smaller tag.
        unit_px: Line height.
    """
    size = max(11, min(round(unit_px * 0.8), box_width_px // 2))
    font = _font(size)
    left, top, right, bottom = font.getbbox(text)
    pad = max(2, size // 4)
    width, height = round(right - left) + 2 * pad, round(bottom - top) + 2 * pad
    x = max(0, min(corner[0], picture.shape[1] - width))
    y = corner[1] - height if corner[1] >= height else corner[1]
    patch = picture[y : y + height, x : x + width]
    canvas = Image.new("RGB", (width, height), TAG)
    ImageDraw.Draw(canvas).text((pad - left, pad - top), text, WHITE, font)
    patch[...] = np.asarray(canvas)[: patch.shape[0], : patch.shape[1], ::-1]


def _draw_bar(
    draw: ImageDraw.ImageDraw,
    classification: Classification,
    place: tuple[float, float, float],
    unit_px: int,
    colour: tuple[int, int, int],
) -> None:
    """Draws the probability as a bar with a notch at the threshold; place is left, middle and right."""
    left, middle, right = place
    if right - left < 4 * unit_px:
        return
    right = min(right, left + 16 * unit_px)
    half = unit_px * 0.28
    draw.rounded_rectangle((left, middle - half, right, middle + half), half, fill=(52, 60, 70))
    end = left + (right - left) * classification.probability
    draw.rounded_rectangle((left, middle - half, max(end, left + 2 * half), middle + half), half, fill=colour)
    notch = left + (right - left) * classification.threshold
    thick = max(1, unit_px // 12)
    draw.rectangle((notch - thick, middle - 2 * half, notch + thick, middle + 2 * half), fill=WHITE)


def _positive_class(classification: Classification) -> str:
    """Returns the name of the class whose probability is given."""
    return list(classification.probabilities)[-1] if classification.probabilities else classification.label


def fit_font(draw: ImageDraw.ImageDraw, text: str, size: int, room_px: float) -> Font:
    """Returns the font at the size asked for, or smaller where the text would not fit the room."""
    length = draw.textlength(text, _font(size))
    return _font(size if length <= room_px else max(8, int(size * room_px / length)))


@lru_cache(maxsize=64)
def _font(size: int) -> Font:
    return ImageFont.load_default(size)
