"""From findings to the object of --json, against values worked out by hand; and analysing, with a pipeline of paper."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nevus_core.errors import InvalidImage, SettingsError
from nevus_workers.evaluation.analysis import Analysis, Finding, Refusal, analyse
from nevus_workers.evaluation.cases import Case
from nevus_workers.evaluation.overlap import Overlap
from nevus_workers.evaluation.predictions import as_csv
from nevus_workers.evaluation.summary import summarise
from nevus_workers.evaluation.wording import lines
from support.made_up import CARD

MASK_KEYS = (
    "jaccard_mean", "dice_mean", "jaccard_thresholded", "dice_below_half_share", "one_region_share", "no_region_share",
)  # fmt: skip


def finding(name: str, probability: float, regions: int = 1, jaccard: float | None = None, **case: Any) -> Finding:
    """Returns a finding; ids that begin with m are malignant."""
    overlap = None if jaccard is None else Overlap(jaccard)
    labelled = Case(name, Path(f"{name}.jpg"), name.startswith("m"), **{"source": "here", **case})
    issues = () if regions else ("NO_REGION_FOUND",)
    return Finding(labelled, probability, regions, issues, overlap)


FINDINGS = [
    finding("m1", 0.9, 1, 0.8, diagnosis="melanoma"),
    finding("m2", 0.3, 2, 0.6, diagnosis="melanoma"),
    finding("b1", 0.7, 0, 0.0, diagnosis="nevus"),
    finding("b2", 0.05, 1, diagnosis="nevus", source="there"),
    finding("b3", 0.2, 3, source="there"),
]
REFUSED = Refusal(Case("x", Path("x.jpg"), True, "there"), "CORRUPT_IMAGE", "It is damaged.")


@pytest.fixture
def found() -> dict[str, Any]:
    """The summary of five findings and one refusal, as a program reads it."""
    summary = summarise(Analysis(FINDINGS, [REFUSED]), CARD, ["test", "val"])
    return json.loads(json.dumps(summary))


def test_classes_by_hand(found: dict[str, Any]) -> None:
    """Proves counts, AUC (5 of 6 pairs) with its interval, Brier score, and that refusals are in no figure."""
    assert (found["n"], found["malignant"], found["split"]) == (5, 2, "test,val")
    assert found["auc"] == pytest.approx(5 / 6, abs=1e-6)
    assert found["auc_ci"][0] <= found["auc"] <= found["auc_ci"][1]
    assert found["brier"] == pytest.approx((0.1**2 + 0.7**2 + 0.7**2 + 0.05**2 + 0.2**2) / 5)
    assert found["average_precision"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-6)
    assert found["failures"] == [{"id": "x", "reason": "CORRUPT_IMAGE", "message": "It is damaged."}]
    assert found["not_for_clinical_use"] is True
    assert found["model"] == {"name": "notebook-cnn", "version": "1", "weights_sha256": "0" * 64}
    assert sum(each["n"] for each in found["calibration"]) == 5


def test_operating_points_by_hand(found: dict[str, Any]) -> None:
    """Proves counts, rates and intervals at both of the card's thresholds, 0.5 and 0.1."""
    balanced, screening = found["operating_points"]["balanced"], found["operating_points"]["screening"]
    assert (balanced["sensitivity"], balanced["specificity"]) == (0.5, pytest.approx(2 / 3, abs=1e-6))
    assert [balanced[key] for key in ("true_positives", "false_negatives", "false_positives", "true_negatives")] == [
        1, 1, 1, 2,
    ]  # fmt: skip
    assert (screening["sensitivity"], screening["specificity"]) == (1, pytest.approx(1 / 3, abs=1e-6))
    assert screening["sensitivity_ci"][0] < screening["sensitivity_ci"][1] == 1


def test_masks_by_hand(found: dict[str, Any]) -> None:
    """Proves that mask figures are means over the three images that have a mask, boxes over all five."""
    assert found["masks"] == 3
    assert found["jaccard_mean"] == pytest.approx(1.4 / 3, abs=1e-6)
    assert found["jaccard_thresholded"] == pytest.approx(0.8 / 3, abs=1e-6)
    assert found["dice_mean"] == pytest.approx((1.6 / 1.8 + 1.2 / 1.6) / 3, abs=1e-6)
    for key in ("dice_below_half_share", "one_region_share", "no_region_share"):
        assert found[key] == pytest.approx(1 / 3, abs=1e-6)
    assert found["boxes_per_image"] == pytest.approx(7 / 5)
    assert found["quality_issues"] == {"NO_REGION_FOUND": 1}


def test_sources_and_diagnoses(found: dict[str, Any]) -> None:
    """Proves that each part has its own figures, and None where it has one class or no masks."""
    assert found["by_source"]["here"]["auc"] == 0.5
    there = found["by_source"]["there"]
    assert (there["n"], there["malignant"], there["auc"], there["auc_ci"], there["average_precision"]) == (
        2, 0, None, None, None,
    )  # fmt: skip
    assert there["operating_points"]["balanced"]["sensitivity"] is None
    assert there["operating_points"]["balanced"]["specificity"] == 1
    assert [there[key] for key in MASK_KEYS] == [None] * 6
    assert found["by_diagnosis"] == {
        "melanoma": {"n": 2, "malignant": 2, "flagged_share": {"balanced": 0.5, "screening": 1.0}},
        "nevus": {"n": 2, "malignant": 0, "flagged_share": {"balanced": 0.5, "screening": 0.5}},
        "not stated": {"n": 1, "malignant": 0, "flagged_share": {"balanced": 0.0, "screening": 1.0}},
    }


def test_words(found: dict[str, Any]) -> None:
    """Proves that what a terminal shows has the figures, the refusal and the warning."""
    text = "\n".join(lines(found))
    for expected in ("5 images (2 malignant)", "0.833", "missed 1 of 2", "1 images failed", "Not for clinical use"):
        assert expected in text


def test_predictions() -> None:
    """Proves the table's columns, digits and empty cells."""
    assert as_csv([FINDINGS[0], FINDINGS[4]]) == (
        "id,label,source,probability,regions,jaccard,dice\n"
        "m1,malignant,here,0.90000000,1,0.800000,0.888889\n"
        "b3,benign,there,0.20000000,3,,\n"
    )


class PaperServed:
    """Refuses or breaks at files that say so, slowly from the second one on; counts them."""

    def __init__(self, threads: int = 2, slow_s: float = 0.0) -> None:
        self.threads = threads
        self.slow_s = slow_s
        self.calls = 0
        self._lock = threading.Lock()

    def analyse(self, data: bytes) -> Any:
        """Raises what the file says."""
        with self._lock:
            self.calls += 1
            first = self.calls == 1
        time.sleep(0 if first else self.slow_s)
        if data == b"refuse":
            raise InvalidImage("CORRUPT_IMAGE", "It is damaged.")
        raise RuntimeError("secret")


def written_cases(folder: Path, *contents: bytes) -> list[Case]:
    """Writes files and returns cases of them."""
    for index, content in enumerate(contents):
        (folder / f"{index}.jpg").write_bytes(content)
    return [Case(str(index), folder / f"{index}.jpg", False, "here") for index in range(len(contents))]


def test_nothing_to_measure_is_an_error(tmp_path: Path) -> None:
    """Proves that refusals and faults are both counted, and that all of them together are no evaluation."""
    with pytest.raises(SettingsError, match=r"None of the 2 images.*The first, 0: .*It is damaged"):
        analyse(written_cases(tmp_path, b"refuse", b"break"), PaperServed())


def test_ctrl_c_begins_nothing_more(tmp_path: Path) -> None:
    """Proves that what waits when a person stops is not begun."""
    served = PaperServed(threads=1, slow_s=0.3)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyse(written_cases(tmp_path, *[b"refuse"] * 50), served, on_done=stop)
    assert served.calls < 5


def test_a_card_without_the_default_digits_is_rounded() -> None:
    """Proves that figures have six digits at most."""
    card = replace(CARD, operating_points={"balanced": 0.123456789})
    assert summarise(Analysis(FINDINGS, []), card, ["test"])["operating_points"]["balanced"]["threshold"] == 0.123457
