"""The report's content: charts and worst cases gathered, then laid out by `page`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nevus_workers.evaluation import charts
from nevus_workers.evaluation.page import Pictures, render
from nevus_workers.evaluation.worst import galleries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nevus_core.records import ModelCard
    from nevus_workers.evaluation.analysis import Finding
    from nevus_workers.evaluation.summary import Figures

NO_MATPLOTLIB = "The curves are left out: matplotlib is not installed here (pip install 'nevus[plots]')."
RELIABILITY = (
    "Reliability: the share of malignant images where a probability was said; a dot's area: of how many images."
)
ONE_CLASS = "There is no ROC curve: all images have the same label."


def report(findings: Sequence[Finding], found: Figures, card: ModelCard) -> str:
    """Returns the report as one HTML page.

    Args:
        findings: With their masks kept.
        found: Their summary.
        card: Of the model.
    """
    drawn: tuple[tuple[str, bytes], ...] = ()
    note = RELIABILITY
    if not charts.available():
        note = NO_MATPLOTLIB
    elif found["auc"] is None:
        drawn, note = (("Reliability", charts.draw_reliability(findings, found)),), ONE_CLASS
    else:
        drawn = (
            ("ROC curve", charts.draw_roc(findings, found)),
            ("Reliability", charts.draw_reliability(findings, found)),
        )
    point = card.default_operating_point
    worst = galleries(findings, point, card.operating_points[point])
    return render(found, card, Pictures(drawn, note, worst))
