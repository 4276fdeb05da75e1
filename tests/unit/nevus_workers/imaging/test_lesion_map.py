"""From a map of probabilities to one region a lesion."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nevus_workers.imaging.lesion_map import FAINTEST, segment_map


def disc(centre: tuple[int, int] = (60, 50), radius: int = 30, value: float = 0.9) -> np.ndarray:
    """A map of 112x112 with one disc on nothing."""
    probabilities = np.full((112, 112), 0.02, np.float32)
    cv2.circle(probabilities, centre, radius, value, cv2.FILLED)
    return probabilities


@pytest.mark.parametrize(("height_px", "width_px"), [(112, 112), (450, 600), (767, 1022), (3000, 4000), (64, 900)])
def test_one_lesion_one_box_in_pixels_of_the_image(height_px: int, width_px: int) -> None:
    """Proves that a disc gives one region where it lies, whatever the image's size, with the mean inside as score."""
    found = segment_map(disc(), height_px, width_px)
    (region,) = found.regions
    down, across = height_px / 112, width_px / 112
    for value, expected, scale in (
        (region.box.x, 30 * across, across),
        (region.box.y, 20 * down, down),
        (region.box.width, 61 * across, across),
        (region.box.height, 61 * down, down),
    ):
        assert abs(value - expected) <= 1.5 * scale + 1
    assert found.mask.shape == (height_px, width_px)
    assert found.mask.mean() / 255 == pytest.approx(np.pi * 30.5**2 / 112**2, rel=0.05)
    assert 0.8 < region.score <= 0.9


def test_holes_are_filled_and_specks_left_out() -> None:
    """Proves that hair over a lesion and a fleck beside it leave one region without a hole."""
    probabilities = disc()
    probabilities[45:48, 55:70] = 0.1
    cv2.circle(probabilities, (10, 100), 4, 0.99, cv2.FILLED)
    found = segment_map(probabilities, 112, 112)
    assert len(found.regions) == 1
    assert found.mask[46, 60] == 255
    assert found.mask[100, 10] == 0


def test_two_lesions_are_two_regions_the_larger_first() -> None:
    """Proves that a second lesion of a like size is no speck."""
    probabilities = np.maximum(disc((30, 30), 16), disc((80, 80), 22, 0.7))
    found = segment_map(probabilities, 448, 448)
    assert [region.box.width > 150 for region in found.regions] == [True, False]
    assert found.regions[0].score < found.regions[1].score


def test_a_faint_lesion_has_a_region_with_a_low_score_and_nothing_has_none() -> None:
    """Proves the way down from a clear lesion to none."""
    (region,) = segment_map(disc(value=0.3), 200, 200).regions
    assert 0.2 < region.score < 0.31
    nothing = segment_map(np.full((112, 112), FAINTEST / 2, np.float32), 200, 200)
    assert nothing.regions == ()
    assert not nothing.mask.any()


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.float32, (12, 12), elements=st.floats(0, 1, width=32)), st.integers(1, 1500), st.integers(1, 40)
)
def test_any_map_and_any_size(probabilities: np.ndarray, height_px: int, width_px: int) -> None:
    """Proves that boxes lie inside the image, scores inside 0..1, and that a map above FAINTEST has a region."""
    found = segment_map(probabilities, height_px, width_px)
    assert found.mask.shape == (height_px, width_px)
    for region in found.regions:
        assert region.score is not None
        assert 0 <= region.score <= 1
        assert region.box.x >= 0 <= region.box.y
        assert region.box.x + region.box.width <= width_px
        assert region.box.y + region.box.height <= height_px
    assert bool(found.regions) == bool(found.mask.any())
