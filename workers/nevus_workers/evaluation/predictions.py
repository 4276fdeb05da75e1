"""One line an image, so that two evaluations, or one and the served system, can be compared image for image."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from nevus_workers.evaluation.cases import LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nevus_workers.evaluation.analysis import Finding

COLUMNS = ("id", "label", "source", "probability", "regions", "jaccard", "dice")


def as_csv(findings: Sequence[Finding]) -> str:
    """Returns the table: probability with eight digits, Jaccard and Dice with six; both empty without a drawn mask."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in findings:
        overlap = one.overlap
        agreement = ("", "") if overlap is None else (f"{overlap.jaccard:.6f}", f"{overlap.dice:.6f}")
        label = LABELS[one.case.malignant]
        writer.writerow((one.case.id, label, one.case.source, f"{one.probability:.8f}", one.regions, *agreement))
    return text.getvalue()
