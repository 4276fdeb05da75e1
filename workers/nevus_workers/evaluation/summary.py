"""From single findings to the object that `nevus evaluate --json` prints. Keys are added over time, never changed.

Shares and probabilities are 0..1, rounded to six digits; what can't be said (an AUC of one class, a Jaccard without
masks) is None.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from nevus_workers.evaluation import figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from nevus_core.records import ModelCard
    from nevus_workers.evaluation.analysis import Analysis, Finding

DIGITS = 6
NOT_STATED = "not stated"
"""Stands for an empty diagnosis or source."""

Figures = dict[str, Any]


def summarise(analysis: Analysis, card: ModelCard, splits: Sequence[str]) -> Figures:
    """Returns everything that is known of an evaluation, as JSON takes it.

    Args:
        analysis: One finding at least.
        card: Whose operating points count.
        splits: What was evaluated.
    """
    findings, points = analysis.findings, card.operating_points
    labels, probabilities = _arrays(findings)
    bins = figures.calibration_bins(labels, probabilities)
    return {
        "model": {"name": card.name, "version": card.version, "weights_sha256": card.weights_sha256},
        "segmenter": card.segmenter,
        "pipeline_version": findings[0].pipeline_version,
        "split": ",".join(splits),
        **_group(findings, points),
        "default_operating_point": card.default_operating_point,
        "by_source": {name: _group(part, points) for name, part in _parted(findings, lambda one: one.case.source)},
        "by_diagnosis": {
            name: _flagged(part, points) for name, part in _parted(findings, lambda one: one.case.diagnosis)
        },
        "calibration": [_rounded(msgspec.to_builtins(each)) for each in bins],
        "quality_issues": dict(sorted(Counter(kind for one in findings for kind in one.issues).items())),
        "failures": [
            {"id": each.case.id, "reason": each.reason, "message": each.message} for each in analysis.refusals
        ],
        "not_for_clinical_use": True,
    }


def _group(findings: Sequence[Finding], points: Mapping[str, float]) -> Figures:
    """Returns the figures of some images, one at least: all, or those of one source."""
    labels, probabilities = _arrays(findings)
    malignant = int(labels.sum())
    both = 0 < malignant < len(labels)
    bins = figures.calibration_bins(labels, probabilities)
    found: Figures = {
        "n": len(findings),
        "malignant": malignant,
        "auc": figures.auc(labels, probabilities) if both else None,
        "auc_ci": list(figures.auc_interval(labels, probabilities)) if both else None,
        "average_precision": figures.average_precision(labels, probabilities) if malignant else None,
        "brier": float(np.mean((probabilities - labels) ** 2)),
        "ece": figures.calibration_error(bins),
        "boxes_per_image": float(np.mean([one.regions for one in findings])),
        **_mask_figures([one for one in findings if one.overlap is not None]),
        "operating_points": {
            name: _operating_point(labels, probabilities, threshold) for name, threshold in points.items()
        },
    }
    return {key: _rounded(each) for key, each in found.items()}


def _mask_figures(masked: Sequence[Finding]) -> Figures:
    """Returns how well the masks of the images that have a drawn one agree with it; None for each where there is none.

    Each figure is the mean over those images, so that a large lesion counts no more than a small one.
    """
    overlaps = [one.overlap for one in masked if one.overlap is not None]
    regions = [one.regions for one in masked]

    def mean(values: Iterable[float]) -> float | None:
        return float(np.mean(list(values))) if overlaps else None

    return {
        "masks": len(overlaps),
        "masks_resized": sum(each.resized for each in overlaps),
        "jaccard_mean": mean(each.jaccard for each in overlaps),
        "dice_mean": mean(each.dice for each in overlaps),
        "jaccard_thresholded": mean(each.thresholded for each in overlaps),
        "dice_below_half_share": mean(each.dice < 0.5 for each in overlaps),
        "one_region_share": mean(count == 1 for count in regions),
        "no_region_share": mean(count == 0 for count in regions),
    }


def _operating_point(labels: NDArray[np.float32], probabilities: NDArray[np.float64], threshold: float) -> Figures:
    """Returns counts, rates and their 95 % Wilson intervals where `probability >= threshold` means malignant."""
    called, malignant = probabilities >= threshold, labels > 0
    hits, misses = int((called & malignant).sum()), int((~called & malignant).sum())
    alarms, rests = int((called & ~malignant).sum()), int((~called & ~malignant).sum())
    sensitivity, sensitivity_ci = _share(hits, hits + misses)
    specificity, specificity_ci = _share(rests, rests + alarms)
    return {
        "threshold": threshold,
        "sensitivity": sensitivity,
        "sensitivity_ci": sensitivity_ci,
        "specificity": specificity,
        "specificity_ci": specificity_ci,
        "true_positives": hits,
        "false_negatives": misses,
        "false_positives": alarms,
        "true_negatives": rests,
    }


def _share(hits: int, total: int) -> tuple[float | None, list[float] | None]:
    """Returns hits / total and its interval; None for both where there is nothing to hit."""
    return (hits / total, list(figures.wilson(hits, total))) if total else (None, None)


def _flagged(findings: Sequence[Finding], points: Mapping[str, float]) -> Figures:
    """Returns of the images of one diagnosis how many there are and which share each operating point calls malignant.

    Where the diagnosis is a malignant one this is the sensitivity for it, elsewhere the rate of false alarms.
    """
    labels, probabilities = _arrays(findings)
    return {
        "n": len(findings),
        "malignant": int(labels.sum()),
        "flagged_share": {
            name: round(float((probabilities >= threshold).mean()), DIGITS) for name, threshold in points.items()
        },
    }


def _arrays(findings: Sequence[Finding]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Returns labels float32 (n,) and probabilities float64 (n,)."""
    labels = np.array([one.case.malignant for one in findings], np.float32)
    return labels, np.array([one.probability for one in findings], np.float64)


def _parted(findings: Sequence[Finding], key: Callable[[Finding], str]) -> list[tuple[str, list[Finding]]]:
    """Returns the findings by a word of theirs, sorted by it."""
    parts: dict[str, list[Finding]] = {}
    for one in findings:
        parts.setdefault(key(one) or NOT_STATED, []).append(one)
    return sorted(parts.items())


def _rounded(value: Any) -> Any:
    """Returns the same object with every float in it rounded."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return value
