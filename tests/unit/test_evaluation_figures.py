"""The figures of `nevus evaluate`, against values worked out by hand or by the ISIC challenges' own scoring."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nevus_workers.evaluation import figures
from nevus_workers.evaluation.overlap import Overlap, compare, fitted
from nevus_workers.training import figures as training_figures

TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 1], np.float32)
PROBABILITIES = np.array([0.1, 0.2, 0.3, 0.6, 0.25, 0.5, 0.7, 0.8])
TIED = np.array([0.1, 0.2, 0.5, 0.5, 0.25, 0.5, 0.5, 0.8])

ISIC_CLASSES = ((PROBABILITIES, 0.8541666666666666, 0.8125), (TIED, 0.7166666666666667, 0.75))
"""Probabilities, average precision, AUC by isic-challenge-scoring 5.6.0 (with scikit-learn 1.9.1), 2026-11-23."""

ISIC_MASKS = {
    "a little aside": (0.763681592039801, 0.763681592039801, 0.8660084626234132),
    "far aside": (0.25820763087843834, 0.0, 0.4104372355430183),
    "too large": (0.5640413683373111, 0.0, 0.7212614445574771),
    "nothing found": (0.0, 0.0, 0.0),
    "nothing true": (0.0, 0.0, 0.0),
    "both empty": (1.0, 1.0, 1.0),
    "at the threshold": (0.65, 0.65, 0.7878787878787878),
}
"""Jaccard, thresholded Jaccard, Dice of the masks below by isic-challenge-scoring 5.6.0, 2026-11-23."""


def disc(y_px: int, x_px: int, radius_px: int) -> np.ndarray:
    """Returns uint8 (48, 64): a white disc on black."""
    rows, columns = np.mgrid[:48, :64]
    return np.where((rows - y_px) ** 2 + (columns - x_px) ** 2 <= radius_px**2, 255, 0).astype(np.uint8)


def block(width_px: int) -> np.ndarray:
    """Returns uint8 (48, 64): a white block of 10 rows at the left."""
    mask = np.zeros((48, 64), np.uint8)
    mask[:10, :width_px] = 255
    return mask


PAIRS = {
    "a little aside": (disc(24, 30, 15), disc(25, 33, 15)),
    "far aside": (disc(24, 30, 15), disc(20, 44, 15)),
    "too large": (disc(24, 30, 15), disc(24, 30, 20)),
    "nothing found": (disc(24, 30, 15), block(0)),
    "nothing true": (block(0), disc(24, 30, 15)),
    "both empty": (block(0), block(0)),
    "at the threshold": (block(13), block(20)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_masks_as_the_isic_challenge_scores_them(name: str) -> None:
    """Proves Jaccard, its threshold of 0.65 and Dice against the challenge's own program."""
    overlap = compare(*PAIRS[name])
    assert (overlap.jaccard, overlap.thresholded, overlap.dice) == pytest.approx(ISIC_MASKS[name], abs=1e-12)
    assert not overlap.resized


def test_a_drawn_mask_of_another_size_is_brought_to_the_images() -> None:
    """Proves that it is resized by nearest pixels, stays black and white, and that this is said."""
    truth, found = disc(24, 30, 15), np.kron(disc(24, 30, 15), np.ones((3, 3), np.uint8))
    assert compare(truth, found) == Overlap(1.0, resized=True)
    assert set(np.unique(fitted(truth, (31, 77)))) == {0, 255}


def test_grey_edges_count_from_one_half_on() -> None:
    """Proves that a mask which went through a lossy file is cut at half of white."""
    truth = block(13)
    truth[:10, 13], truth[:10, 14] = 127, 128
    found = block(13)
    found[:10, 14] = 255
    assert compare(truth, found).jaccard == 1


@pytest.mark.parametrize(("probabilities", "precision", "area"), ISIC_CLASSES)
def test_classes_as_the_isic_challenge_scores_them(probabilities: np.ndarray, precision: float, area: float) -> None:
    """Proves average precision and AUC against the challenge's own program, ties included."""
    assert figures.average_precision(TRUTH, probabilities) == pytest.approx(precision)
    assert figures.auc(TRUTH, probabilities) == pytest.approx(area)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=2, max_size=40))
def test_the_area_under_the_roc_is_the_auc(rows: list[tuple[bool, int]]) -> None:
    """Proves that the curve which is drawn has the area that is told."""
    truth = np.array([row[0] for row in rows], np.float32)
    values = np.array([row[1] for row in rows]) / 10
    if 0 < truth.sum() < len(truth):
        across, up = figures.roc(truth, values)
        assert (across[0], up[0], across[-1], up[-1]) == (0, 0, 1, 1)
        assert np.trapezoid(up, across) == pytest.approx(figures.auc(truth, values))


def test_calibration_by_hand() -> None:
    """Proves bins, their borders, and the error: two bins of width one half, the border in the upper one."""
    truth = np.array([0, 1, 1, 0, 1], np.float32)
    said = np.array([0.0, 0.4, 0.5, 0.9, 1.0])
    low, high = figures.calibration_bins(truth, said, 2)
    assert (low.n, low.probability_mean, low.malignant_share) == (2, pytest.approx(0.2), 0.5)
    assert (high.n, high.probability_mean, high.malignant_share) == (3, pytest.approx(0.8), pytest.approx(2 / 3))
    assert figures.calibration_error([low, high]) == pytest.approx((2 * 0.3 + 3 * (0.8 - 2 / 3)) / 5)


def test_empty_bins_are_there_and_count_nothing() -> None:
    """Proves that there are always fifteen bins, and that those without images have no shares."""
    bins = figures.calibration_bins(TRUTH, np.full(8, 0.5))
    assert len(bins) == 15
    assert sum(each.n for each in bins) == 8
    assert [each.probability_mean for each in bins if not each.n] == [None] * 14
    assert figures.calibration_error(bins) == 0


def test_wilson_by_hand() -> None:
    """Proves the interval at values that textbooks give, and that it stays within 0..1 at both ends."""
    assert figures.wilson(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-6)
    assert figures.wilson(0, 10) == pytest.approx((0, 0.277533), abs=1e-6)
    assert figures.wilson(10, 10) == pytest.approx((0.722467, 1), abs=1e-6)


def test_training_means_the_same_figures() -> None:
    """Proves that a card's figures and those of an evaluation are the same functions."""
    for name in ("auc", "auc_interval", "rates", "Rates"):
        assert getattr(training_figures, name) is getattr(figures, name)
