"""Measures of drawn shapes whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from nevus_core.records import LesionMeasures
from nevus_workers.imaging.measures import COLOUR_SHARE, COLOURS_BGR, colours, diameter_px, measure
from nevus_workers.imaging.regions import from_contours

SKIN_BGR = (150, 175, 215)
BROWN_BGR = COLOURS_BGR["dark_brown"]
CENTRE = (400, 300)


def measured(draw: Callable[[Any], Any], colour: tuple[int, int, int] = BROWN_BGR) -> LesionMeasures:
    """The measures of what is drawn white into a mask of 600 rows and 800 columns."""
    mask = np.zeros((600, 800), np.uint8)
    draw(mask)
    image = np.where(mask[..., None] > 0, colour, SKIN_BGR).astype(np.uint8)
    found = measure(image, regions_of(mask))
    assert found is not None
    return found


def regions_of(mask: Any) -> Any:
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return from_contours(contours, *mask.shape).regions


def disc(mask: Any, radius_px: int = 150) -> None:
    cv2.circle(mask, CENTRE, radius_px, 255, cv2.FILLED)


def half_disc(mask: Any) -> None:
    disc(mask)
    mask[: CENTRE[1]] = 0


def test_a_disc_is_symmetric_and_regular() -> None:
    """Its outline is as short as its area allows, and its diameter is that of the circle."""
    found = measured(disc)
    assert max(found.asymmetry_major, found.asymmetry_minor) < 0.02
    assert found.border_irregularity == pytest.approx(1, abs=0.02)
    assert found.diameter_px == pytest.approx(301, abs=1)
    assert found.colours == ("dark_brown",)


@pytest.mark.parametrize("radius_px", [20, 60, 250])
def test_size_does_not_count(radius_px: int) -> None:
    """But for the diameter."""
    found = measured(lambda mask: disc(mask, radius_px))
    assert max(found.asymmetry_major, found.asymmetry_minor) < 0.03
    assert found.border_irregularity == pytest.approx(1, abs=0.1)
    assert found.diameter_px == pytest.approx(2 * radius_px + 1, abs=1)


@pytest.mark.parametrize("angle", [0, 33, 90, 200])
def test_half_a_disc_is_symmetric_along_one_axis_only(angle: float) -> None:
    """However it lies; its irregularity is (pi + 2)^2 / (2 pi^2)."""

    def draw(mask: Any) -> None:
        half_disc(mask)
        turn = cv2.getRotationMatrix2D(CENTRE, angle, 1)
        mask[...] = cv2.warpAffine(mask, turn, (mask.shape[1], mask.shape[0]), flags=cv2.INTER_NEAREST)

    found = measured(draw)
    assert found.asymmetry_minor < 0.02
    assert found.asymmetry_major == pytest.approx(0.19, abs=0.02)
    assert found.border_irregularity == pytest.approx((math.pi + 2) ** 2 / (2 * math.pi**2), abs=0.04)


def test_an_ellipse_and_a_star() -> None:
    """The ellipse is symmetric and less regular than a disc; the star is very irregular."""
    ellipse = measured(lambda mask: cv2.ellipse(mask, CENTRE, (200, 80), 25, 0, 360, 255, cv2.FILLED))
    assert max(ellipse.asymmetry_major, ellipse.asymmetry_minor) < 0.02
    assert ellipse.border_irregularity == pytest.approx(1.34, abs=0.04)
    angles, radii = np.linspace(0, 2 * np.pi, 20, endpoint=False), np.resize((200, 90), 20)
    points = np.stack([CENTRE[0] + radii * np.cos(angles), CENTRE[1] + radii * np.sin(angles)], axis=1)
    assert measured(lambda mask: cv2.fillPoly(mask, [points.astype(np.int32)], 255)).border_irregularity > 5


@pytest.mark.parametrize("name", COLOURS_BGR)
def test_each_colour_has_its_name(name: str) -> None:
    """And no other."""
    assert measured(disc, COLOURS_BGR[name]).colours == (name,)


def test_a_colour_needs_its_share() -> None:
    """A tenth counts, a fiftieth does not."""
    image = np.full((400, 400, 3), BROWN_BGR, np.uint8)
    region = regions_of(np.full((400, 400), 255, np.uint8))
    for rows, expected in ((8, ("dark_brown",)), (40, ("dark_brown", "black"))):
        image[:rows] = COLOURS_BGR["black"]
        found = measure(image, region)
        assert found is not None
        assert found.colours == expected


@pytest.mark.parametrize("size", [(96, 96), (96, 71), (33, 96), (1, 96), (1, 1)])
def test_colours_are_those_of_the_plain_way(size: tuple[int, int]) -> None:
    """Each pixel inside goes to the nearest of the six, one after the other."""
    rng = np.random.default_rng(size)
    inside = np.zeros(size, np.uint8)
    cv2.ellipse(inside, (size[1] // 2, size[0] // 2), (size[1] // 2, size[0] // 3), 20, 0, 360, 255, cv2.FILLED)
    named = np.array(list(COLOURS_BGR.values()), np.uint8)
    places = cv2.resize(rng.integers(0, 6, (5, 5), np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
    patch = np.clip(named[places] + rng.normal(0, 30, (*size, 3)), 0, 255).astype(np.uint8)
    rows, columns = (max(1, side // 2) for side in size)
    even = cv2.resize(patch, (2 * columns, 2 * rows), interpolation=cv2.INTER_LINEAR)
    calm = cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA)
    pixels, references = (
        cv2.cvtColor(each, cv2.COLOR_BGR2LAB).reshape(-1, 3) * (100 / 255, 1, 1) for each in (calm, named[None])
    )
    nearest = [int(np.argmin(((pixel - references) ** 2).sum(axis=1))) for pixel in pixels]
    chosen = [at for at, cell in zip(nearest, inside[::2, ::2][:rows, :columns].ravel(), strict=True) if cell]
    expected = tuple(
        name
        for at, name in enumerate(COLOURS_BGR)
        if chosen.count(at) and chosen.count(at) >= COLOUR_SHARE * len(chosen)
    )
    assert colours(patch, inside) == expected


def test_the_diameter_is_the_largest_distance() -> None:
    """Of any two points, one after the other; far out as well, where squares pass 32 bits."""
    for factor in (1, 700):
        points = np.random.default_rng(factor).integers(0, 100, (40, 2)).astype(np.int32) * factor
        expected = max(math.dist(one, other) for one in points for other in points) + 1
        assert diameter_px(points) == pytest.approx(expected, abs=1e-6)


def test_the_largest_region_is_measured() -> None:
    """And named by its place; without a region there is nothing to measure."""
    mask = np.zeros((600, 800), np.uint8)
    cv2.circle(mask, (100, 500), 20, 255, cv2.FILLED)
    cv2.circle(mask, (500, 200), 90, 255, cv2.FILLED)
    image = np.full((600, 800, 3), BROWN_BGR, np.uint8)
    regions = regions_of(mask)
    found = measure(image, regions)
    assert found is not None
    assert regions[found.region].area_px == max(region.area_px for region in regions)
    assert found.diameter_px == pytest.approx(181, abs=1)
    assert measure(image, ()) is None


@pytest.mark.parametrize("size", [(1, 200), (200, 1), (3, 3), (2, 3000), (3000, 2)])
def test_slivers(size: tuple[int, int]) -> None:
    """A line has no area and no measures, a few pixels have some; neither is an error."""
    mask = np.full(size, 255, np.uint8)
    image = np.full((*size, 3), BROWN_BGR, np.uint8)
    assert (measure(image, regions_of(mask)) is None) == (1 in size)


def test_the_image_is_not_modified() -> None:
    """A view of it is reduced, not changed."""
    mask = np.zeros((60, 80), np.uint8)
    cv2.circle(mask, (40, 30), 20, 255, cv2.FILLED)
    image = np.random.default_rng(1).integers(0, 255, (60, 80, 3), np.uint8)
    image.setflags(write=False)
    assert measure(image, regions_of(mask)) is not None
