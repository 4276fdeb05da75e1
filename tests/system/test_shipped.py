"""A deployment without a word about models: `derm-joint` answers, and the notebook's network stands beside it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from nevus import Client
from nevus_core.settings import CommonSettings
from support.lesions import lesion_jpeg
from support.system import SHIPPED, System, running

SIZES = ((320, 240), (450, 600), (1022, 767), (224, 224), (2048, 2048))
"""Of drawn images, width and height in px; the last one is decoded at half its size."""


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """`nevus up` with one worker, and nothing else said."""
    with running(tmp_path_factory.mktemp("shipped"), workers=1, settings=SHIPPED) as started:
        yield started


@pytest.fixture
def lesion(shipped: System, tmp_path: Path) -> Path:
    """What `make run` analyses."""
    path = tmp_path / "lesion.png"
    shipped.nevus("sample", path)
    return path


def test_derm_joint_answers_where_nothing_is_asked_for(shipped: System, lesion: Path, tmp_path: Path) -> None:
    """One region of the network's own map, every picture, and a doctor who is content."""
    kinds = ("overlay", "mask", "heat_map")
    words = [word for kind in kinds for word in ("--" + kind.replace("_", "-"), tmp_path / kind)]
    line = json.loads(shipped.nevus("analyze", lesion, "--json", *words).stdout)
    assert (line["model"]["name"], line["segmenter"]) == (CommonSettings().default_model, "network")
    assert line["model"]["name"] == "derm-joint"
    assert len(line["regions"]) == 1
    assert 0 < line["probability"] < 1
    pictures = [cv2.imread(line[kind]) for kind in kinds]
    assert all(picture is not None for picture in pictures)
    assert pictures[1].shape[:2] == (line["image"]["height_px"], line["image"]["width_px"])
    assert shipped.nevus("doctor", "--quiet").returncode == 0
    with Client(shipped.target) as client:
        (region,) = client.analyze(lesion).result.regions
    assert region.score is not None
    assert 0.5 < region.score <= 1


def test_the_notebooks_network_answers_by_name(shipped: System, lesion: Path) -> None:
    """Chosen with --model it segments as the notebook does, and an answer says so."""
    line = json.loads(shipped.nevus("analyze", lesion, "--model", "notebook-cnn", "--json").stdout)
    assert (line["model"]["name"], line["segmenter"], line["state"]) == ("notebook-cnn", "otsu", "SUCCEEDED")
    assert line["regions"]


def test_both_are_listed_with_their_cards(shipped: System) -> None:
    """Each with its segmenter, limits, licence and figures."""
    cards = [json.loads(line) for line in shipped.nevus("models", "list", "--json").stdout.splitlines()]
    assert {card["model"]: card["default_segmenter"] for card in cards} == {
        "derm-joint": "network", "notebook-cnn": "otsu",
    }  # fmt: skip
    for card in cards:
        assert card["workers"] == 1
        assert "not tested" in " ".join(card["limitations"].split())
        assert "CC BY-NC 4.0" in card["licence"]
        assert card["evaluation"]["auc"] > 0.8
        assert card["model"] in shipped.nevus("models", "show", card["model"]).stdout


def test_what_is_served_is_what_is_evaluated(shipped: System, tmp_path: Path) -> None:
    """Proves that `nevus evaluate` measures the answers that people get: within 1e-4, with as many regions."""
    images, rows = tmp_path / "images", ["id,label,source,split"]
    images.mkdir()
    for seed, (width_px, height_px) in enumerate(SIZES):
        (images / f"{seed}.jpg").write_bytes(lesion_jpeg(seed, width_px, height_px))
        rows.append(f"{seed},{('benign', 'malignant')[seed % 2]},drawn,test")
    labels, predictions = tmp_path / "labels.csv", tmp_path / "predictions.csv"
    labels.write_text("\n".join(rows) + "\n")
    shipped.nevus(
        "evaluate", "--model", CommonSettings().default_model, "--images", images, "--labels", labels,
        "--predictions", predictions,
    )  # fmt: skip
    lines = [json.loads(line) for line in shipped.nevus("analyze", images, "--json").stdout.splitlines()]
    served = {Path(line["file"]).stem: line for line in lines}
    with predictions.open(newline="") as table:
        evaluated = {row["id"]: row for row in csv.DictReader(table)}
    assert served.keys() == evaluated.keys() == {str(seed) for seed in range(len(SIZES))}
    for name, row in evaluated.items():
        assert served[name]["probability"] == pytest.approx(float(row["probability"]), abs=1e-4)
        assert len(served[name]["regions"]) == int(row["regions"])
