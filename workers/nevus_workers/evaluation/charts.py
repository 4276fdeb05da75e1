"""ROC and reliability as pictures; matplotlib (`pip install nevus[plots]`) draws them, without it there are none."""

from __future__ import annotations

import importlib.util
import io
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from nevus_workers.evaluation.figures import calibration_bins, roc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nevus_workers.evaluation.analysis import Finding
    from nevus_workers.evaluation.summary import Figures

INK, PALE, ACCENT = "#1d4ed8", "#9ca3af", "#b91c1c"
MARKERS = "os^D"
"""Of operating points, in the card's order."""
SIDE_INCHES, DOTS_PER_INCH = 4.2, 150


def available() -> bool:
    """Returns whether pictures can be drawn: whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def draw_roc(findings: Sequence[Finding], found: Figures) -> bytes:
    """Returns the ROC curve with the operating points on it as PNG bytes; both classes are among the findings.

    Args:
        findings: What the curve is of.
        found: Their summary.
    """
    labels = np.array([one.case.malignant for one in findings], np.float32)
    across, up = roc(labels, np.array([one.probability for one in findings]))

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=PALE, linestyle=":", linewidth=1)
        axes.plot(across, up, color=INK)
        for marker, (name, at) in zip(cycle(MARKERS), found["operating_points"].items()):
            axes.plot(1 - at["specificity"], at["sensitivity"], marker, color=ACCENT, markersize=6, label=name)
        axes.legend(frameon=False, loc="lower right", title="operating points")
        axes.set(title=f"ROC, AUC {found['auc']:.3f}", xlabel="1 - specificity", ylabel="sensitivity")

    return _picture(draw)


def draw_reliability(findings: Sequence[Finding], found: Figures) -> bytes:
    """Returns as PNG bytes what share of each bin's images is malignant; a dot's area tells how many there are.

    Args:
        findings: One at least.
        found: Their summary.
    """
    labels = np.array([one.case.malignant for one in findings], np.float32)
    bins = [each for each in calibration_bins(labels, np.array([one.probability for one in findings])) if each.n]
    said, true = [each.probability_mean for each in bins], [each.malignant_share for each in bins]
    most = max(each.n for each in bins)

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=PALE, linestyle=":", linewidth=1)
        axes.plot(said, true, color=INK, linewidth=1)
        axes.scatter(said, true, s=[12 + 200 * each.n / most for each in bins], color=INK, alpha=0.6, linewidths=0)
        title = f"Reliability, calibration error {found['ece']:.3f}"
        axes.set(title=title, xlabel="mean probability said", ylabel="share that is malignant")

    return _picture(draw)


def _picture(draw: Callable[[Any], None]) -> bytes:
    """Returns a square picture of the unit square as PNG bytes, the same bytes for the same figures."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIDE_INCHES, SIDE_INCHES), layout="constrained")
    axes = figure.subplots()
    draw(axes)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.grid(alpha=0.3)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return png.getvalue()
