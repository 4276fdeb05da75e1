"""The `derm-joint` that is shipped, its real weights: one lesion gives one region, and what lies on it gives none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from nevus.synthetic import synthetic_lesion
from nevus_workers.imaging.decode import decode
from nevus_workers.imaging.lesion_map import segment_map
from nevus_workers.models.engine import KerasEngine
from nevus_workers.models.repository import Repository

SIDE_PX = 448
MODELS = Path(__file__).parents[4] / "models"


@pytest.fixture(scope="module")
def engine() -> KerasEngine:
    """The newest version in the repository."""
    repository = Repository(MODELS)
    card = repository.resolve("derm-joint")
    return KerasEngine(card, repository.weights_path(card))


def hairy(image: NDArray[np.uint8]) -> None:
    """Draws eight dark hairs across the whole picture."""
    rng = np.random.default_rng(5)
    for _ in range(8):
        start, end = (tuple(int(value) for value in rng.uniform(0, SIDE_PX, 2)) for _ in range(2))
        cv2.line(image, start, end, (30, 35, 45), 2, cv2.LINE_AA)


def ruled(image: NDArray[np.uint8]) -> None:
    """Draws a ruler's ticks along the lower edge."""
    for index, x in enumerate(range(10, SIDE_PX, 14)):
        cv2.line(image, (x, SIDE_PX - 1), (x, SIDE_PX - (30 if index % 5 == 0 else 16)), (20, 20, 20), 2)


def vignetted(image: NDArray[np.uint8]) -> None:
    """Darkens the corners, as a dermatoscope's tube does."""
    inside = np.zeros(image.shape[:2], np.uint8)
    cv2.circle(inside, (SIDE_PX // 2, SIDE_PX // 2), round(SIDE_PX * 0.58), 1, cv2.FILLED)
    image[inside == 0] = 8


def speckled(image: NDArray[np.uint8]) -> None:
    """Draws small dark specks into two corners."""
    for x, y in ((40, 50), (60, 44), (390, 400), (410, 380)):
        cv2.circle(image, (x, y), 3, (40, 50, 70), cv2.FILLED, cv2.LINE_AA)


@pytest.mark.parametrize("spoil", [None, hairy, ruled, vignetted, speckled])
def test_one_lesion_one_region(engine: KerasEngine, spoil: object) -> None:
    """Proves that each of six drawn lesions gives one region where it lies, whatever is drawn beside it."""
    for seed in range(6):
        image = decode(synthetic_lesion(SIDE_PX, SIDE_PX, seed))
        truth = _dark(image)
        if callable(spoil):
            spoil(image)
        answers = engine.predict(engine.prepare(image)[None])
        assert answers.maps is not None
        found = segment_map(answers.maps[0], SIDE_PX, SIDE_PX)
        assert len(found.regions) == 1, seed
        inside = found.mask > 0
        assert (inside & truth).sum() / (inside | truth).sum() > 0.75, seed


def _dark(image_bgr: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Returns the lesion that was drawn, bool (rows, columns): the largest dark piece, without hairs."""
    grey = cv2.medianBlur(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY), 9)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((grey < 140).astype(np.uint8))
    assert count > 1
    return np.asarray(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))
