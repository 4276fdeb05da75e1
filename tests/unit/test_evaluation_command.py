"""`nevus evaluate` as a person calls it: drawn images, the model that comes with nevus, every kind of output."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from nevus.cli import build_app
from nevus_workers import evaluate_command
from nevus_workers.imaging.decode import decode
from nevus_workers.models import architectures
from nevus_workers.models.preparation import prepare
from nevus_workers.models.repository import Repository

MODELS = Path(__file__).parent.parent.parent / "models"
KEYS = {
    "n", "auc", "auc_ci", "average_precision", "ece", "jaccard_mean", "dice_mean", "jaccard_thresholded",
    "one_region_share", "by_source", "operating_points", "model", "split", "malignant", "no_region_share",
    "dice_below_half_share", "boxes_per_image", "brier", "calibration", "by_diagnosis", "quality_issues",
    "not_for_clinical_use", "failures", "masks", "masks_resized", "segmenter", "pipeline_version",
    "default_operating_point",
}  # fmt: skip
MASK_KEYS = (
    "jaccard_mean", "dice_mean", "jaccard_thresholded", "one_region_share", "no_region_share", "dice_below_half_share",
)  # fmt: skip
COLOURS = {"malignant": (110, 40, 40), "benign": (90, 130, 180)}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawn test images with masks (the first a PNG, its mask of half its size), one cut off, two for val."""
    folder = tmp_path_factory.mktemp("evaluated")
    for part in ("images", "masks"):
        (folder / part).mkdir()
    rng = np.random.default_rng(3)
    rows = ["id,label,diagnosis,source,has_mask,split"]
    for index in range(15):
        label = "malignant" if index % 3 == 0 else "benign"
        image, mask = np.full((96, 128, 3), (170, 180, 220), np.uint8), np.zeros((96, 128), np.uint8)
        centre = tuple(int(value) for value in rng.integers(40, 56, 2))
        for canvas, colour in ((image, COLOURS[label]), (mask, 255)):
            cv2.circle(canvas, centre, 24, colour, cv2.FILLED)
        suffix, scale = (".png", 2) if index == 0 else (".jpg", 1)
        cv2.imwrite(
            str(folder / "images" / f"case-{index}{suffix}"), np.clip(image + rng.normal(0, 5, image.shape), 0, 255)
        )
        cv2.imwrite(str(folder / "masks" / f"case-{index}.png"), mask[::scale, ::scale])
        split = "val" if index > 12 else "test"
        rows.append(f"case-{index},{label},drawn {label},source-{index % 2},1,{split}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    cut = folder / "images" / "case-12.jpg"
    cut.write_bytes(cut.read_bytes()[:700])
    return folder


@dataclass(frozen=True)
class Run:
    """What one call gave."""

    answer: subprocess.CompletedProcess[str]
    found: dict[str, Any]
    page: str
    predictions: list[dict[str, str]]


def nevus(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own."""
    command = [sys.executable, "-m", "nevus", "evaluate", "--models", MODELS, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)


@pytest.fixture(scope="module")
def whole(data: Path) -> Run:
    """A call with every output."""
    page, predictions = data / "page.html", data / "predictions.csv"
    answer = nevus(
        "--model", "notebook-cnn@1", "--images", data / "images", "--labels", data / "labels.csv",
        "--masks", data / "masks", "--json", "--report", page, "--predictions", predictions,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    rows = list(csv.DictReader(io.StringIO(predictions.read_text())))
    return Run(answer, json.loads(answer.stdout), page.read_text(), rows)


def test_json(whole: Run) -> None:
    """Proves that stdout is one object with every key, of the images that could be analysed."""
    found = whole.found
    assert found.keys() == KEYS
    assert (found["n"], found["malignant"], found["split"], found["masks"], found["masks_resized"]) == (
        12, 4, "test", 12, 1,
    )  # fmt: skip
    assert set(found["operating_points"]) == {"balanced", "screening"}
    assert set(found["by_source"]) == {"source-0", "source-1"}
    assert found["by_diagnosis"]["drawn malignant"]["n"] == 4
    assert len(found["model"]["weights_sha256"]) == 64


def test_a_refused_image_is_named(whole: Run) -> None:
    """Proves that the file that is cut off stands in failures, and on stderr, and nowhere else."""
    (failure,) = whole.found["failures"]
    assert (failure["id"], failure["reason"]) == ("case-12", "TRUNCATED_IMAGE")
    assert "1 of 13 images failed" in whole.answer.stderr
    assert "case-12" not in {row["id"] for row in whole.predictions}
    assert "case-12" in whole.page


def test_masks_are_compared_at_the_images_size(whole: Run) -> None:
    """Proves that the pipeline's masks reach the comparison: a drawn disc on plain skin is found nearly whole."""
    assert whole.found["jaccard_mean"] > 0.9
    assert whole.found["one_region_share"] > 0.5
    for row in whole.predictions:
        share = float(row["jaccard"])
        assert float(row["dice"]) == pytest.approx(2 * share / (1 + share), abs=1e-5)


def test_probabilities_are_those_of_the_network(whole: Run, data: Path) -> None:
    """Proves image for image that the figures are of the model's own answers, and in the table's order."""
    repository = Repository(MODELS)
    card = repository.resolve("notebook-cnn", "1")
    network = architectures.build("notebook-cnn")
    network.load_weights(repository.weights_path(card))
    assert [row["id"] for row in whole.predictions] == [f"case-{index}" for index in range(12)]
    paths = [data / "images" / f"{row['id']}{'.png' if row['id'] == 'case-0' else '.jpg'}" for row in whole.predictions]
    images = [prepare(decode(path.read_bytes()), width_px=500, height_px=500) for path in paths]
    answers = np.asarray(network.predict_on_batch(np.stack(images).astype(np.float32))).reshape(-1)
    told = [float(row["probability"]) for row in whole.predictions]
    assert np.ptp(answers) > 1e-3
    assert told == pytest.approx(answers.tolist(), abs=2e-5)


def test_the_page_is_whole(whole: Run) -> None:
    """Proves that the report is of the same run and holds its pictures."""
    assert "notebook-cnn@1 on split test: 12 images (4 malignant)" in whole.page
    assert "data:image/jpeg" in whole.page
    assert "Not for clinical use" in whole.page


def test_without_masks_their_figures_are_null(data: Path) -> None:
    """Proves null for every mask figure, and several splits as one."""
    answer = nevus(
        "--model", "notebook-cnn", "--images", data / "images", "--labels", data / "labels.csv", "--json",
        "--split", "val,test",
    )  # fmt: skip
    found = json.loads(answer.stdout)
    assert (found["n"], found["split"], found["masks"]) == (14, "val,test", 0)
    assert [found[key] for key in MASK_KEYS] == [None] * len(MASK_KEYS)
    assert found["boxes_per_image"] > 0


def called(data: Path, *words: str | Path) -> Any:
    """Runs the command in this process; nothing here gets as far as a model."""
    images, labels = data / "images", data / "labels.csv"
    arguments = ["evaluate", "--models", MODELS, "--images", images, "--labels", labels, *words]
    return CliRunner().invoke(build_app(), [str(word) for word in arguments])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "notebook-cnn", "--split", "tset"), "has the split 'tset'. There are: test, val."),
        (("--model", "notebook-cnn", "--split", " , "), "--split names no split."),
        (("--model", "notebook-cnn", "--report", "nowhere/page.html"), "there is no folder nowhere"),
        (("--model", "notebook-cnn", "--masks", "nowhere"), "There is no folder nowhere."),
        (("--model", "no-such-model"), "There is no such model or version. Known"),
        (("--model", "notebook-cnn@77"), "There is no such model or version. Known"),
        ((), "Missing option '--model'"),
    ],
    ids=["split", "no split", "report", "masks", "model", "version", "no model"],
)
def test_wrong_usage_is_exit_code_2(
    data: Path, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that what is wrong is said on stderr, and nothing on stdout."""
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "64000000")  # the command sets it; this restores it
    answer = called(data, *words)
    assert answer.exit_code == 2
    assert said in " ".join(answer.stderr.split())
    assert answer.stdout == ""


def test_ctrl_c_is_exit_code_130(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that stopping leaves no file and no stack trace."""

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate_command, "_analyse", stop)
    answer = called(data, "--model", "notebook-cnn", "--report", tmp_path / "page.html")
    assert (answer.exit_code, answer.stderr) == (130, "Stopped.\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_real_images(data_folder: Path, tmp_path: Path) -> None:
    """Proves that forty real images with masks, half of them malignant, are better than chance."""
    with (data_folder / "labels.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == "test" and row["has_mask"] == "1"]
    chosen = [row for label in COLOURS for row in [row for row in rows if row["label"] == label][:20]]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(chosen)
    answer = nevus(
        "--model", "notebook-cnn@1", "--images", data_folder / "images", "--labels", tmp_path / "labels.csv",
        "--masks", data_folder / "masks", "--json",
    )  # fmt: skip
    found = json.loads(answer.stdout)
    assert (found["n"], found["malignant"], found["failures"]) == (40, 20, [])
    assert found["auc"] > 0.6
    assert 0.3 < found["jaccard_mean"] < 1
