"""Parity on real images, through the whole system: the notebook's boxes, and Keras' own probability."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from nevus import Client, Job
from support import notebook_reference
from support.system import TOP, System

TOLERANCE = 1e-5

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def validation_images(data_folder: Path) -> list[Path]:
    """Returns the files of the split `val`."""
    with (data_folder / "labels.csv").open(encoding="utf-8") as rows:
        names = [row["id"] for row in csv.DictReader(rows) if row["split"] == "val"]
    return [data_folder / "images" / f"{name}.jpg" for name in names]


@pytest.fixture(scope="module")
def answers(system: System, data_folder: Path) -> dict[Path, Job]:
    """What the system says of every validation image."""
    paths = validation_images(data_folder)
    with Client(system.target) as client:
        items = ((str(path), path) for path in paths)
        updates = client.analyze_many(items, segmenter="otsu", model="notebook-cnn")
        jobs = {Path(key): event.snapshot for key, event in updates if event.final}
    assert len(jobs) == len(paths) > 800
    return jobs


def test_boxes_are_the_notebooks(answers: dict[Path, Job]) -> None:
    """For every image the same boxes in the same order as the notebook's steps find."""
    differing = []
    for path, job in answers.items():
        found = [(r.box.x, r.box.y, r.box.width, r.box.height) for r in job.result.regions]
        if found != notebook_reference.boxes(cv2.imread(str(path))):
            differing.append(path.name)
    assert differing == []


def test_probabilities_are_kerass(answers: dict[Path, Job]) -> None:
    """For every image the probability of direct calls of the Keras model on cv2's pixels, within 1e-5."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from nevus_workers.models import architectures
    from nevus_workers.models.repository import Repository

    repository = Repository(TOP / "models")
    card = repository.resolve("notebook-cnn")
    model = architectures.build("notebook-cnn")
    model.load_weights(repository.weights_path(card))
    paths = list(answers)
    served = np.array([answers[path].result.classification.probability for path in paths])
    pixels = [cv2.resize(cv2.imread(str(path)), (500, 500)).astype(np.float32) for path in paths]
    alone = np.array([float(np.asarray(model(one[None], training=False))[0, 0]) for one in pixels])
    eights = [np.asarray(model(np.stack(pixels[at : at + 8]), training=False)) for at in range(0, len(pixels), 8)]
    apart = {"alone": np.abs(served - alone).max(), "in eights": np.abs(served - np.concatenate(eights)[:, 0]).max()}
    print(f"largest difference of {len(paths)} probabilities to Keras: {apart}")  # noqa: T201  # the figure is the point
    assert max(apart.values()) <= TOLERANCE
