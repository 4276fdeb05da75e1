"""The mean of all pixels that fall together, beside what OpenCV makes of the same."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from nevus_workers.imaging.area import resize_area


@pytest.mark.parametrize(
    ("rows", "columns", "height_px", "width_px"),
    [(767, 1022, 224, 224), (450, 600, 224, 224), (225, 4000, 224, 224), (256, 256, 224, 225), (448, 672, 224, 224),
     (9, 7, 1, 1), (10, 9, 9, 3)],
)  # fmt: skip
def test_the_same_as_opencv(rows: int, columns: int, height_px: int, width_px: int) -> None:
    """Noise, which no rounding spares: hardly a value differs, and by one at most; the image stays as it was."""
    image = np.random.default_rng(rows).integers(0, 256, (rows, columns, 3), np.uint8)
    before = image.copy()
    found = resize_area(image, width_px, height_px)
    expected = cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA)
    difference = cv2.absdiff(found, expected)
    assert found.dtype == np.uint8
    assert found.shape == expected.shape
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= 2e-4 * difference.size
    assert np.array_equal(image, before)


@pytest.mark.parametrize("value", [0, 1, 127, 255])
def test_an_even_image_stays_even(value: int) -> None:
    """Its weights add up to one, also where the last area ends; part of a larger image is read as it stands."""
    image = np.full((523, 611, 3), value, np.uint8)
    assert (resize_area(image, 224, 224) == value).all()
    assert (resize_area(image[10:, 20:], 224, 224) == value).all()
