"""What the ceiling does with an image: the worker's own steps, with the worker's own answers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parents[3]))  # the benchmark is no installed package

import bench.work
from bench.gpu_child import beside_network, decode_rate
from bench.images import lesion_jpeg
from bench.work import Upload, Work, read_uploads
from nevus_core.records import Classification, JobOptions, ModelCard
from nevus_workers.imaging.segmenter import NETWORK, built_in_segmenters
from nevus_workers.models.answers import Answers
from nevus_workers.models.batcher import Batcher
from nevus_workers.models.preparation import prepare_for
from nevus_workers.models.serving import ServingModel
from nevus_workers.pipeline import Outcome, Pipeline
from nevus_workers.room import Room
from support.tiny_models import tiny_card

SIZES = ((320, 240), (1100, 1050))
"""The larger one is decoded at half its size for a network of 16x16 pixels."""
MAPPED = tiny_card(resampling="area", segmenter=NETWORK)
PLAIN = tiny_card()


class Darkness:
    """An engine that takes what is dark for a lesion; it has a map where its card says so."""

    max_batch = 4

    def __init__(self, card: ModelCard) -> None:
        self.card = card
        self.gives_map = card.segmenter == NETWORK

    def prepare(self, image_bgr: NDArray[np.uint8]) -> NDArray[Any]:
        """As the card says."""
        return prepare_for(self.card, image_bgr)

    def predict(self, batch: NDArray[Any]) -> Answers:
        """The share that is dark, and where."""
        dark = (batch.mean(axis=3) < 130).astype(np.float32)
        return Answers(dark.mean(axis=(1, 2)), dark if self.gives_map else None)


@pytest.fixture
def uploads(tmp_path: Path) -> list[Upload]:
    """An image of each size."""
    for number, size in enumerate(SIZES):
        (tmp_path / f"{number}.jpg").write_bytes(lesion_jpeg(number, *size))
    return read_uploads(tmp_path)


def served(engine: Any, upload: Upload) -> Outcome:
    """What a worker says of an image."""
    card = engine.card
    model = ServingModel(engine, Batcher(engine.predict, 4, 0.0))
    options = JobOptions(
        model=card.name,
        version=card.version,
        segmenter=card.segmenter,
        operating_point=card.default_operating_point,
        artifacts=(),
        queue_ttl_ms=1000,
        execution_timeout_ms=1000,
    )
    try:
        pipeline = Pipeline({card.key: model}, built_in_segmenters(), Room(1), "worker-1")
        return pipeline.run(upload.data, upload.image, options, lambda *_: None)
    finally:
        model.batcher.close()


def overheard(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Any]:
    """What a step of `bench.work` gives back, as it does."""
    act, heard = getattr(bench.work, name), []

    def listen(*words: Any) -> Any:
        heard.append(act(*words))
        return heard[-1]

    monkeypatch.setattr(bench.work, name, listen)
    return heard


@pytest.mark.parametrize("card", [MAPPED, PLAIN], ids=["the network's own map", "otsu"])
def test_the_answers_are_the_workers(card: ModelCard, uploads: list[Upload], monkeypatch: pytest.MonkeyPatch) -> None:
    """Class, issues and measures, so every step before them too; and the large image is decoded as small as there."""
    told = {name: overheard(monkeypatch, name) for name in ("measure", "quality_issues", "decode_at")}
    engine: Any = Darkness(card)
    work = Work(card, card.segmenter)
    found = work.analyze(engine, uploads)
    expected = [served(engine, upload).result for upload in uploads]
    assert found == [result.classification for result in expected]
    assert told["measure"] == [result.measures for result in expected]
    assert told["quality_issues"] == [result.quality_issues for result in expected]
    assert None not in told["measure"]
    assert [shrink for _, shrink in told["decode_at"]] == ([1, 2] if card is MAPPED else [1, 1])
    assert set(work.spent_s) == {"decode", "prepare", "segment", "look", "measure", "network"}
    assert all(spent_s >= 0 for spent_s in work.spent_s.values())


def test_what_is_beside_the_network_needs_none(uploads: list[Upload]) -> None:
    """A drawn map stands in for the network's, and every other step is done, by several threads too."""
    work = Work(MAPPED, NETWORK)
    beside_network(work, uploads[0])
    assert set(work.spent_s) == {"decode", "prepare", "segment", "look", "measure"}
    order = {"begin_s": 0.0, "seconds": 0.01}
    assert decode_rate(lambda image: beside_network(work, image), uploads, order, 2).images_per_s > 0


def test_a_segmenters_image_needs_no_map(uploads: list[Upload]) -> None:
    """All is done before the network answers."""
    work = Work(PLAIN, "otsu")
    begun = work.begin(uploads[0])
    assert begun.rest is None
    assert begun.prepared.shape == (16, 16, 3)
    assert isinstance(work.finish(begun, 0.9, None), Classification)
