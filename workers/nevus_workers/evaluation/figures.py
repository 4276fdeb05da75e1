"""The figures by which a classifier is judged. numpy only; training takes its own from here.

Throughout: `labels` float32 (n,), 1 malignant, 0 benign; `probabilities` float (n,), 0..1, of malignant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOOTSTRAP_SAMPLES = 2000
CALIBRATION_BINS = 15
"""As in Guo et al., "On Calibration of Modern Neural Networks", 2017, arXiv:1706.04599."""
NORMAL_975 = 1.959963984540054
"""The normal distribution's 97.5 % quantile: intervals are of 95 %."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Sensitivity (malignant called malignant) and specificity (benign called benign), each 0..1."""

    sensitivity: float
    specificity: float


@dataclass(frozen=True, slots=True)
class Bin:
    """The images whose probability lies in low..high (high excluded, but for the last bin).

    Attributes:
        low, high: Its borders, 0..1.
        n: How many images.
        probability_mean: What the model said of them, on average; None where there are none.
        malignant_share: How many of them are malignant, 0..1; None where there are none.
    """

    low: float
    high: float
    n: int
    probability_mean: float | None
    malignant_share: float | None


def auc(labels: NDArray[np.float32], probabilities: NDArray[np.floating]) -> float:
    """Returns the area under the ROC curve, 0..1; ties count half. 0.5 where only one class is there."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if positives == 0 or negatives == 0:
        return 0.5
    _, inverse, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = float(mean_ranks[inverse][labels > 0].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def auc_interval(
    labels: NDArray[np.float32], probabilities: NDArray[np.floating], *, seed: int = 0, samples: int = BOOTSTRAP_SAMPLES
) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of `auc`: low, high. Each class, both present, is resampled by itself."""
    rng = np.random.default_rng(seed)
    positive, negative = np.flatnonzero(labels > 0), np.flatnonzero(labels == 0)
    values = []
    for _ in range(samples):
        drawn = np.concatenate([rng.choice(positive, len(positive)), rng.choice(negative, len(negative))])
        values.append(auc(labels[drawn], probabilities[drawn]))
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def rates(labels: NDArray[np.float32], probabilities: NDArray[np.floating], threshold: float) -> Rates:
    """Returns the rates where `probability >= threshold` means malignant; both classes are present."""
    called = probabilities >= threshold
    return Rates(float(called[labels > 0].mean()), float((~called)[labels == 0].mean()))


def roc(
    labels: NDArray[np.float32], probabilities: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the ROC curve, both classes present: 1 - specificity and sensitivity, float64 (m,), from 0, 0 to 1, 1.

    A point for each distinct probability, the highest first; equal probabilities move together.
    """
    called_malignant, called_benign = _called(labels, probabilities)
    across = np.concatenate([[0.0], called_benign / called_benign[-1]])
    up = np.concatenate([[0.0], called_malignant / called_malignant[-1]])
    return across, up


def average_precision(labels: NDArray[np.float32], probabilities: NDArray[np.floating]) -> float:
    """Returns the mean precision over the malignant images, each at its own probability as threshold, 0..1.

    The sum over thresholds of precision times the gain in recall, without interpolation: what scikit-learn's
    `average_precision_score` gives. At least one image is malignant.
    """
    called_malignant, called_benign = _called(labels, probabilities)
    precision = called_malignant / (called_malignant + called_benign)
    gains = np.diff(called_malignant, prepend=0.0) / called_malignant[-1]
    return float((precision * gains).sum())


def calibration_bins(
    labels: NDArray[np.float32], probabilities: NDArray[np.floating], count: int = CALIBRATION_BINS
) -> list[Bin]:
    """Returns the images sorted into `count` bins of equal width over 0..1."""
    places = np.minimum((probabilities.astype(np.float64) * count).astype(int), count - 1)
    found = []
    for place in range(count):
        inside = places == place
        some = bool(inside.any())
        said = float(probabilities[inside].mean(dtype=np.float64)) if some else None
        true = float(labels[inside].mean(dtype=np.float64)) if some else None
        found.append(Bin(place / count, (place + 1) / count, int(inside.sum()), said, true))
    return found


def calibration_error(bins: list[Bin]) -> float:
    """Returns the expected calibration error, 0..1: |said - true| of each bin, weighted by its images; one at least."""
    total = sum(each.n for each in bins)
    gaps = (
        each.n * abs(each.probability_mean - each.malignant_share)
        for each in bins
        if each.probability_mean is not None and each.malignant_share is not None
    )
    return sum(gaps) / total


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Returns the 95 % score interval of a share `hits / total`, total > 0: low, high (Wilson 1927)."""
    share, square = hits / total, NORMAL_975**2
    centre = share + square / (2 * total)
    reach = NORMAL_975 * math.sqrt(share * (1 - share) / total + square / (4 * total**2))
    scale = 1 + square / total
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)


def _called(labels: NDArray[np.float32], probabilities: NDArray[np.floating]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns float64 (m,), (m,): malignant and benign images at or above each distinct probability, highest first."""
    distinct, inverse = np.unique(-probabilities.astype(np.float64), return_inverse=True)
    malignant = np.bincount(inverse, labels, len(distinct))
    benign = np.bincount(inverse, 1 - labels, len(distinct))
    return np.cumsum(malignant), np.cumsum(benign)
