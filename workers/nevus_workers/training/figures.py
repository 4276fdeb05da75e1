"""What training chooses by figures: operating points and calibration.

The figures themselves are those of `nevus_workers.evaluation`, so that a card and `nevus evaluate` mean the same.

Throughout: `labels` float32 (n,), 1 malignant, 0 benign, both present; `probabilities` float (n,), 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nevus_workers.evaluation.figures import BOOTSTRAP_SAMPLES, Rates, auc, auc_interval, rates
from nevus_workers.evaluation.overlap import jaccard

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "BOOTSTRAP_SAMPLES",
    "Calibration",
    "Rates",
    "auc",
    "auc_interval",
    "balanced_threshold",
    "calibrate",
    "cross_entropy",
    "jaccard",
    "rates",
    "screening_threshold",
]

SCREENING_SENSITIVITY = 0.95
"""What the operating point `screening` must reach on the validation split."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logit becomes `scale * logit + bias`. The order of images never changes: scale is positive."""

    scale: float
    bias: float


def cross_entropy(labels: NDArray[np.float32], probabilities: NDArray[np.floating]) -> float:
    """Returns the mean binary cross-entropy; probabilities are kept off 0 and 1 by a millionth."""
    clipped = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return float(-np.where(labels > 0, np.log(clipped), np.log(1 - clipped)).mean())


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
