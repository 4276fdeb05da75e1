"""A summary in words: the rows that both the terminal and the page show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nevus_workers.evaluation.summary import Figures

NOT_FOR_CLINICAL_USE = "Not for clinical use: no diagnosis, no triage, no screening."
NOTHING = "-"
"""Stands where a figure can't be given."""


def title(found: Figures) -> str:
    """Returns what was evaluated on what: `notebook-cnn@1 on split test: 1249 images (213 malignant)`."""
    model = found["model"]
    images = f"{found['n']} image{'' if found['n'] == 1 else 's'} ({found['malignant']} malignant)"
    return f"{model['name']}@{model['version']} on split {found['split']}: {images}"


def headline(found: Figures) -> list[tuple[str, str]]:
    """Returns the figures that come first, each with its name: of the class, then of the masks where there are any."""
    rows = [
        ("AUC", with_interval(found["auc"], found["auc_ci"])),
        ("Average precision", number(found["average_precision"])),
        ("Expected calibration error (15 bins)", number(found["ece"])),
        ("Brier score", number(found["brier"])),
        ("Regions an image", number(found["boxes_per_image"], 2)),
    ]
    if found["masks"]:
        rows += [
            ("Images with a drawn mask", str(found["masks"])),
            ("Mean Jaccard", number(found["jaccard_mean"])),
            ("Mean Dice", number(found["dice_mean"])),
            ("Mean Jaccard, below 0.65 counted 0", number(found["jaccard_thresholded"])),
            ("Dice below 0.5", percent(found["dice_below_half_share"])),
            ("Exactly one region", percent(found["one_region_share"])),
            ("No region", percent(found["no_region_share"])),
        ]
    return rows


def operating_rows(found: Figures) -> list[tuple[str, ...]]:
    """Returns for each operating point: name, threshold, sensitivity, specificity, missed and false alarms."""
    rows: list[tuple[str, ...]] = []
    for name, at in found["operating_points"].items():
        sensitivity = with_interval(at["sensitivity"], at["sensitivity_ci"])
        specificity = with_interval(at["specificity"], at["specificity_ci"])
        missed = f"{at['false_negatives']} of {at['false_negatives'] + at['true_positives']}"
        alarms = f"{at['false_positives']} of {at['false_positives'] + at['true_negatives']}"
        rows.append((name, f"{at['threshold']:.4f}", sensitivity, specificity, missed, alarms))
    return rows


def lines(found: Figures) -> list[str]:
    """Returns the whole summary for a terminal, the most important first."""
    rows = headline(found)
    width = max(len(name) for name, _ in rows)
    told = [title(found), *(f"  {name:<{width}}  {value}" for name, value in rows)]
    for name, threshold, sensitivity, specificity, missed, alarms in operating_rows(found):
        told += [
            f"  {name} (threshold {threshold})",
            f"    sensitivity {sensitivity}, missed {missed}",
            f"    specificity {specificity}, false alarms {alarms}",
        ]
    if found["failures"]:
        first = found["failures"][0]
        told.append(f"  {len(found['failures'])} images failed; the first, {first['id']}: {first['message']}")
    if found["masks_resized"]:
        told.append(f"  {resized(found)}")
    return [*told, NOT_FOR_CLINICAL_USE]


def resized(found: Figures) -> str:
    """Returns the sentence on drawn masks that were not of their image's size."""
    return (
        f"{found['masks_resized']} drawn masks were not of their image's size and were brought to it (nearest pixel)."
    )


def number(value: float | None, digits: int = 3) -> str:
    """Returns a figure with so many digits."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """Returns a share as per cent."""
    return NOTHING if value is None else f"{100 * value:.1f} %"


def with_interval(value: float | None, interval: Sequence[Any] | None) -> str:
    """Returns a figure and its 95 % interval."""
    if value is None or interval is None:
        return number(value)
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"
