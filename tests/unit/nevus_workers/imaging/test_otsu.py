"""The segmenter `otsu` against an independent script, and the regions and mask that come of it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from nevus_core.errors import InvalidRequest
from nevus_workers.imaging.decode import decode
from nevus_workers.imaging.otsu import OtsuSegmenter
from nevus_workers.imaging.regions import MAX_CONTOUR_POINTS, from_contours, simplify
from nevus_workers.imaging.segmenter import built_in_segmenters
from support import notebook_reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from nevus_workers.imaging.regions import Segmentation

DATA = Path(__file__).parents[5] / "shared" / "data"


def boxes(segmentation: Segmentation) -> list[tuple[int, int, int, int]]:
    """The segmentation's boxes as tuples."""
    return [(r.box.x, r.box.y, r.box.width, r.box.height) for r in segmentation.regions]


@pytest.mark.parametrize("size", [(320, 240), (224, 224), (1022, 767), (60, 400)])
@pytest.mark.parametrize("seed", range(10))
def test_boxes_are_the_notebooks(lesion: Callable[..., NDArray[np.uint8]], seed: int, size: tuple[int, int]) -> None:
    """Proves parity on drawn images: the same boxes in the same order."""
    image = lesion(seed, *size)
    before = image.copy()
    assert boxes(OtsuSegmenter().segment(image)) == notebook_reference.boxes(image)
    assert np.array_equal(image, before)


@pytest.mark.slow
def test_boxes_are_the_notebooks_on_real_images() -> None:
    """Proves parity on every validation image of the shared data."""
    if not (DATA / "labels.csv").is_file():
        pytest.skip("the shared data is not here")
    with (DATA / "labels.csv").open(encoding="utf-8") as lines:
        names = [row["id"] for row in csv.DictReader(lines) if row["split"] == "val"]
    segmenter = OtsuSegmenter()
    paths = [DATA / "images" / f"{name}.jpg" for name in names]
    different = [
        path.stem
        for path in paths
        if boxes(segmenter.segment(decode(path.read_bytes()))) != notebook_reference.boxes(cv2.imread(str(path)))
    ]
    assert len(paths) > 800
    assert different == []


@pytest.mark.parametrize("value", [0, 127, 255])
def test_an_even_image(value: int) -> None:
    """Proves that an image of one colour gives what the notebook gives, and no error."""
    image = np.full((50, 70, 3), value, np.uint8)
    assert boxes(OtsuSegmenter().segment(image)) == notebook_reference.boxes(image)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2, 2)])
def test_tiny_images_have_no_regions(shape: tuple[int, int]) -> None:
    """Proves that images too small for a region are answered with none."""
    segmentation = OtsuSegmenter().segment(np.zeros((*shape, 3), np.uint8))
    assert segmentation.regions == ()
    assert segmentation.mask.shape == shape


def test_area_limit() -> None:
    """Proves that a blob of just over 100 square pixels counts and one of 100 does not."""
    image = np.full((100, 200, 3), 255, np.uint8)
    contours = [
        np.array([[x, 10], [x + 10, 10], [x + 10, 10 + side], [x, 10 + side]], np.int32)
        for x, side in ((20, 10), (80, 11))
    ]
    assert [cv2.contourArea(contour) for contour in contours] == [100, 110]
    cv2.rectangle(image, (20, 20), (27, 27), (0, 0, 0), cv2.FILLED)
    cv2.rectangle(image, (80, 20), (100, 40), (0, 0, 0), cv2.FILLED)
    assert len(OtsuSegmenter().segment(image).regions) == 1


def test_mask_covers_the_regions(lesion: Callable[..., NDArray[np.uint8]]) -> None:
    """Proves that the mask is 0 or 255, lies inside the boxes and touches each of their sides."""
    image = lesion(3)
    segmentation = OtsuSegmenter().segment(image)
    assert set(np.unique(segmentation.mask)) <= {0, 255}
    outside = segmentation.mask.copy()
    for x, y, width, height in boxes(segmentation):
        assert segmentation.mask[y, x : x + width].any()
        assert segmentation.mask[y : y + height, x + width - 1].any()
        outside[y : y + height, x : x + width] = 0
    assert not outside.any()


def test_outlines_are_bounded() -> None:
    """Proves that a jagged outline is stored with few points while box and area stay exact."""
    rng = np.random.default_rng(1)
    angles = np.linspace(0, 2 * np.pi, 3000, endpoint=False)
    radius = 300 + rng.uniform(-40, 40, 3000)
    points = np.stack([400 + radius * np.cos(angles), 400 + radius * np.sin(angles)], axis=1)
    contour = points.astype(np.int32)[:, None]
    region = from_contours([contour], 800, 800).regions[0]
    assert len(region.contour) <= 2 * MAX_CONTOUR_POINTS
    assert region.area_px == cv2.contourArea(contour)
    box = region.box
    assert (box.x, box.y, box.width, box.height) == tuple(cv2.boundingRect(contour))


def test_short_outlines_stay_exact() -> None:
    """Proves that an outline within the limit is not touched."""
    contour = np.array([[[0, 0]], [[9, 0]], [[9, 9]], [[0, 9]]], np.int32)
    assert simplify(contour) is contour


def test_segmenters_by_name() -> None:
    """Proves that the built-in list knows `otsu` and names what it knows when asked for another."""
    segmenters = built_in_segmenters()
    assert segmenters.get("otsu").name == "otsu"
    with pytest.raises(InvalidRequest, match="otsu") as caught:
        segmenters.get("magic")
    assert caught.value.reason == "UNKNOWN_SEGMENTER"
