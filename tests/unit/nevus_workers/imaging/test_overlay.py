"""The overlay and the mask file: sizes, what is drawn where, and that nothing odd breaks them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import msgspec
import numpy as np
import pytest

from nevus_core.records import Box, Region
from nevus_workers.imaging.band import band_height_px
from nevus_workers.imaging.mask import encode_mask
from nevus_workers.imaging.otsu import OtsuSegmenter
from nevus_workers.imaging.overlay import MAX_SIDE_PX, draw_overlay, plan_layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from nevus_core.records import Classification

Draw = "Callable[..., NDArray[np.uint8]]"


def read(data: bytes) -> NDArray[np.uint8]:
    """The pixels of a picture file, as stored."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


@pytest.mark.parametrize(
    "size", [(1022, 767), (224, 224), (3008, 2000), (2000, 3008), (1, 1), (1, 3000), (5000, 2), (2048, 2048)]
)
def test_size_of_the_picture(size: tuple[int, int], malignant: Classification) -> None:
    """Proves that the picture, band included, never exceeds the limit, and small images are enlarged."""
    width_px, height_px = size
    picture = read(draw_overlay(np.zeros((height_px, width_px, 3), np.uint8), (), malignant, "notebook-cnn 1, otsu"))
    layout = plan_layout(width_px, height_px)
    assert picture.shape == (layout.height_px + band_height_px(layout.unit_px), layout.canvas_width_px, 3)
    assert 480 <= max(picture.shape[:2]) <= MAX_SIDE_PX


def test_image_is_not_modified(lesion: Callable[..., NDArray[np.uint8]], malignant: Classification) -> None:
    """Proves that drawing happens on a copy."""
    image = lesion(1)
    before = image.copy()
    draw_overlay(image, OtsuSegmenter().segment(image).regions, malignant, "caption")
    assert np.array_equal(image, before)


def test_box_is_drawn_where_it_is(malignant: Classification) -> None:
    """Proves that a white line runs along the box of a region, and that its inside stays as it was."""
    image = np.full((1000, 1000, 3), (90, 120, 180), np.uint8)
    box = Box(x=300, y=400, width=200, height=100)
    region = Region(box=box, area_px=20_000.0, contour=(350, 430, 450, 430, 450, 470, 350, 470))
    picture = read(draw_overlay(image, (region,), malignant, "caption"))
    assert (picture[450, 300] == 255).all()
    assert (picture[450, 499] == 255).all()
    assert (picture[400, 400] == 255).all()
    assert (picture[450, 400] == image[450, 400]).all()
    assert (picture[700, 400] == image[700, 400]).all()


@pytest.mark.parametrize(("probability", "strongest"), [(0.9, 2), (0.1, 1)])
def test_band_shows_the_class_by_colour(malignant: Classification, probability: float, strongest: int) -> None:
    """Proves that the band's upper edge is red above the threshold and green below it."""
    shown = msgspec.structs.replace(malignant, probability=probability)
    image = np.zeros((1000, 1000, 3), np.uint8)
    picture = read(draw_overlay(image, (), shown, "caption"))
    assert int(picture[1001, 500].argmax()) == strongest


def test_band_differs_with_the_words(malignant: Classification) -> None:
    """Proves that label, caption and operating point are drawn, and that overlong ones do not break it."""
    image = np.zeros((400, 400, 3), np.uint8)
    pictures = {
        draw_overlay(image, (), malignant, "one"),
        draw_overlay(image, (), malignant, "two"),
        draw_overlay(image, (), msgspec.structs.replace(malignant, label="x" * 200), "one"),
        draw_overlay(image, (), msgspec.structs.replace(malignant, operating_point="y" * 300), "one"),
    }
    assert len(pictures) == 4


def test_many_and_strange_regions(malignant: Classification) -> None:
    """Proves that hundreds of boxes, at the border, tiny or without an outline, are drawn without an error."""
    boxes = [Box(x=x, y=y, width=1 + x % 9, height=1 + y % 9) for x in range(0, 200, 10) for y in range(0, 200, 10)]
    regions = [Region(box=box, area_px=float(box.width * box.height)) for box in boxes]
    assert read(draw_overlay(np.zeros((200, 200, 3), np.uint8), regions, malignant, "caption")).shape[1] == 900


def test_mask_file_is_the_mask() -> None:
    """Proves that the PNG has the mask's size, comes back bit for bit, and takes one bit a pixel."""
    mask = np.zeros((33, 77), np.uint8)
    mask[5:20, 10:50] = 255
    data = encode_mask(mask)
    assert np.array_equal(read(data), mask)
    assert data[24] == 1
