"""The synthetic lesion: the same every time, quick, and what Otsu takes for exactly one lesion."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from nevus import synthetic_lesion


def decoded(png: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)


def test_size_and_determinism() -> None:
    """8-bit RGB of the size asked for; the seed decides the pixels."""
    image_bgr = decoded(synthetic_lesion(640, 480, seed=3))
    assert image_bgr.shape == (480, 640, 3)
    assert image_bgr.dtype == np.uint8
    assert synthetic_lesion(640, 480, seed=3) == synthetic_lesion(640, 480, seed=3)
    assert synthetic_lesion(64, 64, seed=3) != synthetic_lesion(64, 64, seed=4)


@pytest.mark.parametrize("seed", range(8))
def test_otsu_finds_one_region(seed: int) -> None:
    """The notebook's segmentation sees one lesion near the middle, no hair and no noise."""
    grey = cv2.GaussianBlur(cv2.cvtColor(decoded(synthetic_lesion(seed=seed)), cv2.COLOR_BGR2GRAY), (5, 5), 0)
    _, dark = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(dark, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    (lesion,) = [contour for contour in contours if cv2.contourArea(contour) > 100]
    x, y, width, height = cv2.boundingRect(lesion)
    assert x < 300 < x + width
    assert y < 225 < y + height
    assert 15_000 < cv2.contourArea(lesion) < 60_000


def test_it_is_drawn_in_no_time() -> None:
    """Best of three, so that a busy machine does not decide."""
    times = []
    for _ in range(3):
        begin = time.process_time()
        synthetic_lesion()
        times.append(time.process_time() - begin)
    assert min(times) < 1.5


@pytest.mark.parametrize("size", [(32, 32), (33, 200), (2000, 40)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    """Any size from 32 px up."""
    assert decoded(synthetic_lesion(*size)).shape[1::-1] == size


def test_too_small_is_refused() -> None:
    """Below 32 px there is no room for a lesion."""
    with pytest.raises(ValueError, match="at least 32 x 32"):
        synthetic_lesion(31, 100)
