"""The picture that a person looks at: the image, numbered boxes and outlines on it, and the class in a band below.

Nothing covers the image but thin lines with a dark rim, legible on skin and on hair. Small images are enlarged and
large ones reduced, so that lines and letters have the same size on every screen. The band always says
NOT FOR CLINICAL USE; no argument switches it off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from nevus_workers.imaging.band import band_height_px, draw_band, draw_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from nevus_core.records import Classification, Region

MAX_SIDE_PX = 2048
"""Of the finished picture, band included."""
MIN_SIDE_PX = 900
"""The long side of a small image is enlarged to this."""
MIN_WIDTH_PX = 480
"""Of the canvas, so that the band's words fit under a narrow image."""
CONTOUR_BGR = (90, 235, 255)
BOX_BGR = (255, 255, 255)
RIM_BGR = (25, 20, 20)
CANVAS_BGR = (30, 24, 20)
PNG_SETTINGS = (cv2.IMWRITE_PNG_COMPRESSION, 3, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
"""Measured on a photograph of 1022x868: 37 ms and 478 kB, against 52 ms and 535 kB with the default strategy."""
SUB_PIXEL_BITS = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of the picture are, in its own pixels.

    Attributes:
        scale: Picture pixels per image pixel.
        width_px, height_px: Of the scaled image.
        canvas_width_px: Of the picture; the image stands in its middle.
        unit_px: Height of a line of text; line widths follow it.
    """

    scale: float
    width_px: int
    height_px: int
    canvas_width_px: int
    unit_px: int

    @property
    def left_px(self) -> int:
        """Of the image on the canvas."""
        return (self.canvas_width_px - self.width_px) // 2

    @property
    def line_px(self) -> int:
        """Width of a box's line."""
        return max(1, round(self.unit_px / 11))


def plan_layout(width_px: int, height_px: int, foot_px: Callable[[int], int] = band_height_px) -> Layout:
    """Returns the layout for an image of this size: whole picture at most MAX_SIDE_PX, text in proportion.

    Args:
        width_px: Of the image.
        height_px: Of the image.
        foot_px: Height of what stands below the image, for a line height in px.
    """
    scale = min(1.0, MAX_SIDE_PX / max(width_px, height_px))
    if max(width_px, height_px) < MIN_SIDE_PX:
        scale = MIN_SIDE_PX / max(width_px, height_px)
    for _ in range(2):
        scaled_width, scaled_height = max(1, round(width_px * scale)), max(1, round(height_px * scale))
        canvas_width = max(scaled_width, MIN_WIDTH_PX)
        unit = min(44, max(15, round(canvas_width / 46)))
        excess = scaled_height + foot_px(unit) - MAX_SIDE_PX
        if excess > 0:
            scale *= (scaled_height - excess) / scaled_height
    return Layout(scale, scaled_width, scaled_height, canvas_width, unit)


def draw_overlay(
    image_bgr: NDArray[np.uint8], regions: Sequence[Region], classification: Classification, caption: str
) -> bytes:
    """Returns the overlay as PNG bytes.

    Args:
        image_bgr: uint8 (height_px, width_px, 3), blue-green-red, upright, not modified.
        regions: In pixels of image_bgr; numbered from 1 in this order.
        classification: Drawn in the band: class, probability, operating point.
        caption: What made it, such as "notebook-cnn 1, otsu".
    """
    height_px, width_px = image_bgr.shape[:2]
    layout = plan_layout(width_px, height_px)
    scaled = scale_image(image_bgr, layout)
    largest_first = sorted(enumerate(regions, 1), key=lambda entry: -entry[1].area_px)
    for _, region in largest_first:
        _draw_box(scaled, region, layout)
    for _, region in largest_first:
        draw_outline(scaled, region, layout)
    for number, region in reversed(largest_first):
        x, y, far_x, _ = _corners(region, layout)
        draw_tag(scaled, str(number), (x, y), far_x - x, layout.unit_px)
    picture = place_on_canvas(scaled, layout, band_height_px(layout.unit_px))
    draw_band(picture[layout.height_px :], classification, caption, len(regions), layout.unit_px)
    return encode_picture(picture)


def scale_image(image_bgr: NDArray[np.uint8], layout: Layout) -> NDArray[np.uint8]:
    """Returns a copy at the layout's size: uint8 (layout.height_px, layout.width_px, 3), blue-green-red, 0..255."""
    method = cv2.INTER_AREA if layout.scale < 1 else cv2.INTER_CUBIC
    size = layout.width_px, layout.height_px
    return np.asarray(cv2.resize(image_bgr, size, interpolation=method), np.uint8)


def place_on_canvas(scaled: NDArray[np.uint8], layout: Layout, foot_px: int) -> NDArray[np.uint8]:
    """Returns the picture, uint8 (layout.height_px + foot_px, layout.canvas_width_px, 3), the image in its place."""
    picture = np.empty((layout.height_px + foot_px, layout.canvas_width_px, 3), np.uint8)
    picture[...] = CANVAS_BGR
    picture[: layout.height_px, layout.left_px : layout.left_px + layout.width_px] = scaled
    return picture


def encode_picture(picture: NDArray[np.uint8]) -> bytes:
    """Returns a picture, uint8 (height_px, width_px, 3), blue-green-red, as PNG bytes."""
    _, encoded = cv2.imencode(".png", picture, PNG_SETTINGS)
    return encoded.tobytes()


def draw_outline(
    picture: NDArray[np.uint8], region: Region, layout: Layout, colour_bgr: tuple[int, int, int] = CONTOUR_BGR
) -> None:
    """Draws the region's contour in place: a bright line on a dark rim, kept whole at the image's border.

    Args:
        picture: uint8 (layout.height_px, layout.width_px, 3), blue-green-red; drawn over.
        region: In pixels of the image before scaling.
        layout: Of the picture.
        colour_bgr: Of the line.
    """
    points = (np.array(region.contour, np.float64).reshape(-1, 1, 2) + 0.5) * layout.scale
    inset = layout.line_px / 2 + 1
    inside = np.clip(points, inset, np.array([layout.width_px, layout.height_px]) - inset)
    fine = np.rint(inside * 2**SUB_PIXEL_BITS).astype(np.int32)
    for colour, width_px in ((RIM_BGR, layout.line_px + 2), (colour_bgr, layout.line_px)):
        cv2.polylines(picture, [fine], True, colour, width_px, cv2.LINE_AA, SUB_PIXEL_BITS)


def _draw_box(picture: NDArray[np.uint8], region: Region, layout: Layout) -> None:
    """Draws the region's box in place."""
    x, y, far_x, far_y = _corners(region, layout)
    for colour, width_px in ((RIM_BGR, layout.line_px + 2), (BOX_BGR, layout.line_px)):
        cv2.rectangle(picture, (x, y), (far_x, far_y), colour, width_px)


def _corners(region: Region, layout: Layout) -> tuple[int, int, int, int]:
    """Returns left, top, right, bottom of the region's box in the picture, the last pixels inside it."""
    box = region.box
    left, top = round(box.x * layout.scale), round(box.y * layout.scale)
    right = round((box.x + box.width) * layout.scale) - 1
    bottom = round((box.y + box.height) * layout.scale) - 1
    return left, top, max(left, right), max(top, bottom)
