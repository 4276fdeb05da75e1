"""The page of `nevus evaluate --report`: whole, escaped, and asking no other address for anything."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from nevus_workers.evaluation import charts, report
from nevus_workers.evaluation.analysis import Analysis, Finding, Refusal
from nevus_workers.evaluation.cases import Case
from nevus_workers.evaluation.overlap import Overlap
from nevus_workers.evaluation.summary import summarise
from nevus_workers.imaging.mask import encode_mask
from support.lesions import lesion_bgr
from support.made_up import CARD

HOSTILE = '<script>alert("x")</script>'
VOID = {"meta", "img", "br"}


class Checker(HTMLParser):
    """Notes what is open, every tag, and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def made_up_findings(folder: Path, count: int = 30) -> list[Finding]:
    """Returns findings on drawn images; every other one is malignant, each mask agrees less than the last."""
    findings = []
    mask = np.zeros((60, 80), np.uint8)
    mask[20:40, 30:60] = 255
    cv2.imwrite(str(folder / "truth.png"), mask)
    for index in range(count):
        path = folder / f"{index}.png"
        cv2.imwrite(str(path), lesion_bgr(index, 80, 60))
        case = Case(f"image {index}", path, index % 2 == 0, "here", "nevus", folder / "truth.png")
        overlap = Overlap(1 - index / 100, resized=index == 0)
        findings.append(Finding(case, index / count, 1, (), overlap, encode_mask(np.roll(mask, 6))))
    return findings


def page(findings: list[Finding], **card: str) -> str:
    """Returns the report on them and one refusal."""
    refused = Refusal(Case(HOSTILE, Path("x.jpg"), True, "there"), "CORRUPT_IMAGE", "It is damaged.")
    changed = replace(CARD, **card)
    return report.report(findings, summarise(Analysis(findings, [refused]), changed, ["test"]), changed)


def test_it_holds_what_a_person_needs(tmp_path: Path) -> None:
    """Proves tables, curves, worst cases, refusals and the warning, and that every tag is closed."""
    text = page(made_up_findings(tmp_path))
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    for expected in (
        "Not for clinical use", "Operating points", "balanced", "screening", "By source", "By diagnosis",
        "called benign at balanced: lowest probabilities (8 of 8)",
        "called malignant at balanced: highest probabilities (8 of 8)",
        "Masks: least agreement with the drawn ones (12 of 30)",
        "1 drawn masks were not of their image's size".replace("'", "&#x27;"), "It is damaged.", CARD.limitations,
    ):  # fmt: skip
        assert expected in text, expected
    assert text.count("data:image/jpeg") == 8 + 8 + 12


def test_it_asks_no_address(tmp_path: Path) -> None:
    """Proves that there is no script, no external address and no link, and that the page forbids them itself."""
    text = page(made_up_findings(tmp_path, 6))
    checker = Checker()
    checker.feed(text)
    assert checker.tags.isdisjoint({"script", "link", "iframe", "object", "embed", "base"})
    assert all(address.startswith("data:image/") for address in checker.addresses)
    assert not re.search(r"(https?:)?//[a-z]|url\(|@import", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    assert "default-src 'none'" in text


def test_everything_is_escaped(tmp_path: Path) -> None:
    """Proves that ids, sources, diagnoses, messages and a card's prose can't become markup."""
    findings = made_up_findings(tmp_path, 4)
    case = findings[0].case
    hostile = Case(HOSTILE, case.path, True, HOSTILE, HOSTILE, case.mask)
    findings[0] = Finding(hostile, 0.0, 1, (HOSTILE,), findings[0].overlap, findings[0].mask_png)
    text = page(findings, title=HOSTILE, limitations=HOSTILE, intended_use=HOSTILE, segmenter=HOSTILE)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_the_same_findings_give_the_same_page(tmp_path: Path) -> None:
    """Proves that nothing in it is of the moment."""
    findings = made_up_findings(tmp_path, 6)
    assert page(findings) == page(findings)


def test_the_worst_come_first(tmp_path: Path) -> None:
    """Proves the order of the three galleries."""
    text = page(made_up_findings(tmp_path))
    missed, flagged, masks = (
        re.findall(r'alt="image (\d+)"', part) for part in text.split("<h2>") if "<figure>" in part
    )
    assert missed[:3] == ["0", "2", "4"]
    assert flagged[:3] == ["29", "27", "25"]
    assert masks[:3] == ["29", "28", "27"]


def test_without_matplotlib_a_sentence_stands_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that the page is made without the curves, and says so."""
    monkeypatch.setattr(charts, "available", lambda: False)
    text = page(made_up_findings(tmp_path, 4))
    assert "data:image/png" not in text
    assert "matplotlib is not installed" in text


def test_one_class_has_no_roc(tmp_path: Path) -> None:
    """Proves that benign images alone give a page: no ROC curve, and nothing missed."""
    pytest.importorskip("matplotlib")
    text = page([one for one in made_up_findings(tmp_path, 6) if not one.case.malignant])
    assert text.count("data:image/png") == 1
    assert "There is no ROC curve" in text
    assert "There is none." in text
