"""The figures that cards carry, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nevus_workers.training import figures

TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 1], np.float32)
PROBABILITIES = np.array([0.1, 0.2, 0.3, 0.6, 0.25, 0.5, 0.7, 0.8])


def test_auc_by_hand() -> None:
    """Proves the AUC: 13 of the 16 pairs are in the right order."""
    assert figures.auc(TRUTH, PROBABILITIES) == pytest.approx(13 / 16)


def test_auc_at_its_ends() -> None:
    """Proves 1 for perfect order, 0 for the reverse, 0.5 for a constant and for one class alone."""
    assert figures.auc(TRUTH, TRUTH) == 1
    assert figures.auc(TRUTH, 1 - TRUTH) == 0
    assert figures.auc(TRUTH, np.full(8, 0.3)) == 0.5
    assert figures.auc(np.zeros(8, np.float32), PROBABILITIES) == 0.5


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=2, max_size=40))
def test_auc_counts_pairs(rows: list[tuple[bool, int]]) -> None:
    """Proves that the AUC is the share of pairs in the right order, ties counting half."""
    truth = np.array([row[0] for row in rows], np.float32)
    values = np.array([row[1] for row in rows]) / 10
    pairs = [(high > low) + 0.5 * (high == low) for high in values[truth > 0] for low in values[truth == 0]]
    assert figures.auc(truth, values) == pytest.approx(float(np.mean(pairs)) if pairs else 0.5)


def test_rates_by_hand() -> None:
    """Proves sensitivity and specificity, the threshold itself counting as malignant."""
    at = figures.rates(TRUTH, PROBABILITIES, 0.5)
    assert (at.sensitivity, at.specificity) == (0.75, 0.75)


def test_balanced_threshold() -> None:
    """Proves that the threshold lies where sensitivity and specificity add up to most."""
    threshold = figures.balanced_threshold(TRUTH, PROBABILITIES)
    at = figures.rates(TRUTH, PROBABILITIES, threshold)
    assert at.sensitivity + at.specificity == 1.5


def test_screening_threshold() -> None:
    """Proves that sensitivity is reached with the highest threshold that does."""
    threshold = figures.screening_threshold(TRUTH, PROBABILITIES, sensitivity=1.0)
    assert 0.2 < threshold <= 0.25
    assert figures.rates(TRUTH, PROBABILITIES, threshold).sensitivity == 1


def test_interval_holds_the_auc_and_repeats() -> None:
    """Proves that the bootstrap interval contains the AUC, is seeded, and narrows with more images."""
    low, high = figures.auc_interval(TRUTH, PROBABILITIES, samples=300)
    assert low <= 13 / 16 <= high
    assert (low, high) == figures.auc_interval(TRUTH, PROBABILITIES, samples=300)
    wide = figures.auc_interval(np.tile(TRUTH, 20), np.tile(PROBABILITIES, 20), samples=300)
    assert wide[1] - wide[0] < high - low


def test_calibration_recovers_what_was_distorted() -> None:
    """Proves that scale and bias on logits are found again from labels drawn by the true probabilities."""
    rng = np.random.default_rng(5)
    true_logits = rng.normal(-1, 2, 20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-true_logits))).astype(np.float32)
    fitted = figures.calibrate(labels, (true_logits - 1) / 2)
    assert fitted.scale == pytest.approx(2, abs=0.1)
    assert fitted.bias == pytest.approx(1, abs=0.1)


def test_calibration_never_turns_the_order_round() -> None:
    """Proves that logits which are worse than chance, or separate perfectly, leave a usable calibration."""
    for logits in (1 - 2 * TRUTH, 200 * (2 * TRUTH - 1), np.zeros(8)):
        fitted = figures.calibrate(TRUTH, np.asarray(logits, np.float64))
        assert fitted.scale > 0
        assert np.isfinite([fitted.scale, fitted.bias]).all()
