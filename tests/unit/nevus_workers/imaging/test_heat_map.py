"""The heat map: its size, its colours on both sides of zero, and that nothing odd breaks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import msgspec
import numpy as np
import pytest

from nevus_workers.imaging.band import band_height_px
from nevus_workers.imaging.heat_map import draw_heat_map, tint
from nevus_workers.imaging.legend import legend_height_px
from nevus_workers.imaging.otsu import OtsuSegmenter
from nevus_workers.imaging.overlay import MAX_SIDE_PX, draw_overlay, plan_layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from nevus_core.records import Classification

METHOD = "class activation map"
CORNERS = np.zeros((8, 8), np.float32)
CORNERS[0, 0], CORNERS[7, 7] = 2.0, -2.0


def read(data: bytes) -> NDArray[np.uint8]:
    """The pixels of a picture file, as stored."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


@pytest.mark.parametrize("size", [(1022, 767), (224, 224), (2000, 3008), (1, 1), (1, 3000), (5000, 2), (2048, 2048)])
def test_size_of_the_picture(size: tuple[int, int], malignant: Classification) -> None:
    """Proves that the picture, legend and band included, never exceeds the limit, and small images are enlarged."""
    width_px, height_px = size
    image = np.zeros((height_px, width_px, 3), np.uint8)
    picture = read(draw_heat_map(image, CORNERS, METHOD, (), malignant, "notebook-cnn 1, otsu"))
    layout = plan_layout(width_px, height_px, lambda unit_px: legend_height_px(unit_px) + band_height_px(unit_px))
    foot_px = legend_height_px(layout.unit_px) + band_height_px(layout.unit_px)
    assert picture.shape == (layout.height_px + foot_px, layout.canvas_width_px, 3)
    assert 480 <= max(picture.shape[:2]) <= MAX_SIDE_PX


def test_for_is_orange_against_is_blue_and_the_rest_is_the_image(malignant: Classification) -> None:
    """Proves that cells lie where they belong, that both sides of zero differ, and that zero leaves grey alone."""
    image = np.full((1000, 1000, 3), (90, 120, 180), np.uint8)
    picture = read(draw_heat_map(image, CORNERS, METHOD, (), malignant, "caption")).astype(int)
    blue, _, red = picture[60, 60]
    assert red > blue + 80
    blue, _, red = picture[940, 940]
    assert blue > red + 80
    grey = cv2.cvtColor(image[:1, :1], cv2.COLOR_BGR2GRAY)[0, 0]
    assert (picture[500, 500] == grey).all()


def test_the_scale_is_told_and_every_image_gets_its_own(malignant: Classification) -> None:
    """Proves that a hundredth of the evidence has the same colours, and other figures in the legend."""
    image = np.full((1000, 1000, 3), (90, 120, 180), np.uint8)
    strong, weak = (
        read(draw_heat_map(image, CORNERS * factor, METHOD, (), malignant, "caption")) for factor in (1, 0.01)
    )
    assert np.array_equal(strong[:1000], weak[:1000])
    assert not np.array_equal(strong[1000:], weak[1000:])


def test_it_is_not_the_overlay(lesion: Callable[..., NDArray[np.uint8]], malignant: Classification) -> None:
    """Proves that it has the overlay's band below and another picture above, and that the image is left as it was."""
    image = lesion(1, 1000, 800)
    before = image.copy()
    regions = OtsuSegmenter().segment(image).regions
    drawn = read(draw_heat_map(image, CORNERS, METHOD, regions, malignant, "caption"))
    overlay = read(draw_overlay(image, regions, malignant, "caption"))
    band_px = band_height_px(plan_layout(1000, 800).unit_px)
    assert np.array_equal(drawn[-band_px:], overlay[-band_px:])
    assert not np.array_equal(drawn[:800], overlay[:800])
    assert np.array_equal(image, before)


@pytest.mark.parametrize("contributions", [np.zeros((7, 7)), np.full((1, 1), 5.0), np.full((112, 112), -1e-9)])
def test_strange_maps(contributions: NDArray[np.float64], malignant: Classification) -> None:
    """Proves that a map without any evidence, of one cell, or of many is drawn without an error."""
    image = np.full((100, 1000, 3), 128, np.uint8)
    picture = read(draw_heat_map(image, contributions.astype(np.float32), METHOD, (), malignant, "caption"))
    coloured = np.ptp(picture[:100].astype(int), axis=2).max() > 0
    assert coloured == (np.abs(contributions).max() > 1e-6)


def test_long_names_fit(malignant: Classification) -> None:
    """Proves that the legend of a narrow picture with a long class's name is drawn."""
    shown = msgspec.structs.replace(malignant, probabilities={"no": 0.17, "x" * 60: 0.83})
    picture = read(draw_heat_map(np.zeros((900, 90, 3), np.uint8), CORNERS, METHOD, (), shown, "caption"))
    assert picture.shape[1] == 480


def test_colours_grow_with_strength() -> None:
    """Proves that stronger is never paler: the distance from grey rises to both ends."""
    strength = np.linspace(-1, 1, 101, dtype=np.float32)[None]
    colours = tint(np.full((1, 101), 120, np.uint8), strength).astype(int)[0]
    away = np.ptp(colours, axis=1)
    assert (np.diff(away[50:]) >= -1).all()
    assert (np.diff(away[:51]) <= 1).all()
    assert away[50] == 0
    assert min(away[0], away[-1]) > 100
