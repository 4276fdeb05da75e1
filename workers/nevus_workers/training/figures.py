"""The figures by which a classifier is judged, and its operating points. numpy only.

Throughout: `labels` float32 (n,), 1 malignant, 0 benign, both present; `probabilities` float (n,), 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCREENING_SENSITIVITY = 0.95
"""What the operating point `screening` must reach on the validation split."""
BOOTSTRAP_SAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Rates:
    """Sensitivity (malignant called malignant) and specificity (benign called benign), each 0..1."""

    sensitivity: float
    specificity: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logit becomes `scale * logit + bias`. The order of images never changes: scale is positive."""

    scale: float
    bias: float


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
    """Returns the 95 % bootstrap interval of `auc`: low, high. Each class is resampled by itself."""
    rng = np.random.default_rng(seed)
    positive, negative = np.flatnonzero(labels > 0), np.flatnonzero(labels == 0)
    values = []
    for _ in range(samples):
        drawn = np.concatenate([rng.choice(positive, len(positive)), rng.choice(negative, len(negative))])
        values.append(auc(labels[drawn], probabilities[drawn]))
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def cross_entropy(labels: NDArray[np.float32], probabilities: NDArray[np.floating]) -> float:
    """Returns the mean binary cross-entropy; probabilities are kept off 0 and 1 by a millionth."""
    clipped = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return float(-np.where(labels > 0, np.log(clipped), np.log(1 - clipped)).mean())


def jaccard(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    """Returns intersection over union of two masks of one shape, 0..1; 1 where both are empty."""
    union = np.count_nonzero(truth | found)
    return np.count_nonzero(truth & found) / union if union else 1.0


def rates(labels: NDArray[np.float32], probabilities: NDArray[np.floating], threshold: float) -> Rates:
    """Returns the rates where `probability >= threshold` means malignant."""
    called = probabilities >= threshold
    return Rates(float(called[labels > 0].mean()), float((~called)[labels == 0].mean()))


def balanced_threshold(labels: NDArray[np.float32], probabilities: NDArray[np.floating]) -> float:
    """Returns the threshold with the largest Youden's J (sensitivity + specificity - 1)."""
    return max(
        _cuts(probabilities),
        key=lambda cut: (at := rates(labels, probabilities, cut)).sensitivity + at.specificity,
    )


def screening_threshold(
    labels: NDArray[np.float32], probabilities: NDArray[np.floating], sensitivity: float = SCREENING_SENSITIVITY
) -> float:
    """Returns the highest threshold whose sensitivity is at least the one asked for."""
    fitting = [cut for cut in _cuts(probabilities) if rates(labels, probabilities, cut).sensitivity >= sensitivity]
    return max(fitting)


def calibrate(labels: NDArray[np.float32], logits: NDArray[np.floating], steps: int = 50) -> Calibration:
    """Returns the scale and bias on the logits under which the labels are likeliest (Platt), by Newton's method.

    Training on a balanced draw of classes shifts every probability upwards; this moves them back to the share of
    malignant images in the split given.
    """
    features = np.stack([logits.astype(np.float64), np.ones(len(logits))], axis=1)
    coefficients = np.array([1.0, 0.0])
    for _ in range(steps):
        probabilities = 1 / (1 + np.exp(-(features @ coefficients)))
        gradient = features.T @ (labels - probabilities)
        weight = probabilities * (1 - probabilities)
        curvature = features.T @ (features * weight[:, None]) + 1e-6 * np.eye(2)
        coefficients = coefficients + np.linalg.solve(curvature, gradient)
    scale, bias = (float(value) for value in coefficients)
    if not np.isfinite([scale, bias]).all() or scale <= 0:
        return Calibration(1.0, 0.0)
    return Calibration(scale, bias)


def _cuts(probabilities: NDArray[np.floating]) -> list[float]:
    """Returns thresholds half-way between neighbouring probabilities, rounded to 4 digits, 0 and 1 included."""
    ordered = np.unique(probabilities.astype(np.float64))
    middles = np.unique(np.round((ordered[1:] + ordered[:-1]) / 2, 4))
    return [0.0, *(float(value) for value in middles), 1.0]
