"""The pipeline with real networks: whose regions a job gets, in which order it is told, and what can't be asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from nevus_core.errors import InvalidRequest, ModelError
from nevus_core.image_header import inspect_image
from nevus_core.records import Artifact, JobOptions, ModelCard, Region, Result
from nevus_core.states import Stage
from nevus_workers.imaging.lesion_map import segment_map
from nevus_workers.imaging.otsu import OtsuSegmenter
from nevus_workers.imaging.segmenter import built_in_segmenters
from nevus_workers.models.answers import Answers
from nevus_workers.models.batcher import Batcher
from nevus_workers.models.engine import KerasEngine
from nevus_workers.models.repository import Repository
from nevus_workers.models.serving import ServingModel, check_segmenter
from nevus_workers.pipeline import Outcome, Pipeline, classify
from nevus_workers.room import Room
from support.joint_network import drawn_lesion

LONG_S = 60.0
HEIGHT_PX, WIDTH_PX = 300, 400
SEED = 21
"""Of a lesion that the network was not fitted to."""

Told = list[tuple[Stage, tuple[Region, ...] | None]]


class Held:
    """An engine's `predict` that waits while it is closed."""

    def __init__(self, engine: KerasEngine) -> None:
        self._engine = engine
        self.open = threading.Event()
        self.open.set()

    def __call__(self, batch: NDArray[Any]) -> Answers:
        """Answers when it is open."""
        assert self.open.wait(LONG_S)
        return self._engine.predict(batch)


@pytest.fixture(scope="module")
def engines(joint: Any, untrained: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, KerasEngine]:
    """`derm-joint` that sees drawn lesions, and an untrained `notebook-cnn`, loaded from a repository."""
    folder = tmp_path_factory.mktemp("serving")
    repository = Repository(folder / "models")
    made = {}
    for card, network in ((card_of("derm-joint"), joint), (card_of("notebook-cnn"), untrained)):
        network.save_weights(folder / "source.weights.h5")
        written = repository.publish(card, folder / "source.weights.h5")
        made[card.name] = KerasEngine(written, repository.weights_path(written))
    return made


@pytest.fixture
def passes(engines: dict[str, KerasEngine]) -> Held:
    """The passes of `derm-joint`."""
    return Held(engines["derm-joint"])


@pytest.fixture
def pipeline(engines: dict[str, KerasEngine], passes: Held) -> Iterator[Pipeline]:
    """Both models, with room for one image between decoding and batching."""
    serving = {
        engine.card.key: ServingModel(engine, Batcher(passes if engine.gives_map else engine.predict, 8, 0.0))
        for engine in engines.values()
    }
    yield Pipeline(serving, built_in_segmenters(), Room(1), "worker-1")
    for model in serving.values():
        model.batcher.close()


def card_of(name: str) -> ModelCard:
    """A card without weights."""
    side = 224 if name == "derm-joint" else 500
    card = ModelCard(
        name=name,
        version="1",
        title="Title",
        intended_use="Tests",
        limitations="All",
        training_data="None",
        licence="Apache-2.0",
        architecture=name,
        weights="a.weights.h5",
        input_width_px=side,
        input_height_px=side,
        operating_points={"balanced": 0.5},
        default_operating_point="balanced",
    )
    joint = {"colour_order": "rgb", "resampling": "area", "segmenter": "network"}
    return msgspec.structs.replace(card, **joint) if name == "derm-joint" else card


def options_of(
    model: str = "derm-joint", segmenter: str = "network", artifacts: tuple[Artifact, ...] = ()
) -> JobOptions:
    """Options as the front end fills them in."""
    return JobOptions(
        model=model,
        version="1",
        segmenter=segmenter,
        operating_point="balanced",
        artifacts=artifacts,
        queue_ttl_ms=1000,
        execution_timeout_ms=1000,
    )


def analyse(pipeline: Pipeline, options: JobOptions, picture: NDArray[np.uint8]) -> tuple[Outcome, Told]:
    """Returns the outcome of a picture sent as PNG, and what was told on the way."""
    data = cv2.imencode(".png", picture)[1].tobytes()
    told: Told = []
    image = inspect_image(data, max_bytes=len(data), max_pixels=picture.size)
    outcome = pipeline.run(data, image, options, lambda stage, regions: told.append((stage, regions)))
    return outcome, told


@pytest.fixture
def analysed(pipeline: Pipeline) -> Callable[..., tuple[Outcome, Told]]:
    """A function (options) -> outcome and what was told, of the drawn lesion."""
    return lambda options: analyse(pipeline, options, drawn_lesion(SEED, WIDTH_PX, HEIGHT_PX)[0])


def direct(engine: KerasEngine) -> tuple[float, NDArray[np.float32]]:
    """Returns what the network says of the drawn lesion: probability, and map float32 (112, 112)."""
    answers = engine.predict(engine.prepare(drawn_lesion(SEED, WIDTH_PX, HEIGHT_PX)[0])[None])
    assert answers.maps is not None
    return float(answers.probabilities[0]), answers.maps[0]


def test_regions_come_from_the_networks_map(
    analysed: Callable[..., tuple[Outcome, Told]], engines: dict[str, KerasEngine]
) -> None:
    """Proves regions, class and provenance of the card's own segmenter, and that the box lies on the lesion."""
    engine = engines["derm-joint"]
    outcome, told = analysed(options_of(segmenter=engine.card.segmenter))
    probability, lesion_map = direct(engine)
    result = outcome.result
    assert result.regions == segment_map(lesion_map, HEIGHT_PX, WIDTH_PX).regions
    assert told == [(Stage.CLASSIFYING, result.regions)]
    assert result.classification == classify(engine.card, probability, "balanced")
    assert (result.provenance.segmenter, result.provenance.model) == ("network", "derm-joint")
    assert (result.quality_issues, result.needs_review) == ((), False)
    assert result.measures is not None
    assert result.measures.region == 0
    assert max(result.measures.asymmetry_major, result.measures.asymmetry_minor) < 0.3
    (region,) = result.regions
    assert region.score is not None
    assert region.score > 0.5
    x, y, width, height = cv2.boundingRect(drawn_lesion(SEED, WIDTH_PX, HEIGHT_PX)[1])
    corners = np.array([region.box.x, region.box.y, region.box.x + region.box.width, region.box.y + region.box.height])
    assert np.abs(corners - (x, y, x + width, y + height)).max() < 12


def test_otsu_on_request(analysed: Callable[..., tuple[Outcome, Told]], engines: dict[str, KerasEngine]) -> None:
    """Proves that the same model with `otsu` gives that segmenter's regions, and the same class."""
    outcome, told = analysed(options_of(segmenter="otsu"))
    picture, _ = drawn_lesion(SEED, WIDTH_PX, HEIGHT_PX)
    assert outcome.result.regions == OtsuSegmenter().segment(picture).regions
    assert told == [(Stage.CLASSIFYING, outcome.result.regions)]
    assert outcome.result.classification.probability == direct(engines["derm-joint"])[0]
    assert outcome.result.provenance.segmenter == "otsu"


def test_a_model_without_a_map(analysed: Callable[..., tuple[Outcome, Told]]) -> None:
    """Proves that `notebook-cnn` is served with `otsu`, and refused with the map that it does not give."""
    outcome, _ = analysed(options_of("notebook-cnn", "otsu"))
    assert outcome.result.provenance.segmenter == "otsu"
    with pytest.raises(InvalidRequest, match=r"Known: otsu\.") as caught:
        analysed(options_of("notebook-cnn", "network"))
    assert (caught.value.reason, caught.value.violations[0].field) == ("UNKNOWN_SEGMENTER", "segmenter")


def test_an_unknown_segmenter(analysed: Callable[..., tuple[Outcome, Told]]) -> None:
    """Proves that the refusal names the network's map among what `derm-joint` has."""
    with pytest.raises(InvalidRequest, match=r"Known: network, otsu\.") as caught:
        analysed(options_of(segmenter="magic"))
    assert caught.value.reason == "UNKNOWN_SEGMENTER"


@pytest.mark.parametrize("segmenter", ["network", "magic"])
def test_a_card_with_a_segmenter_that_its_model_lacks(
    engines: dict[str, KerasEngine], tmp_path: Path, segmenter: str
) -> None:
    """Proves that a model of whose requests every one would fail is not served."""
    repository = Repository(tmp_path)
    source = tmp_path / "source.weights.h5"
    engine = engines["notebook-cnn"]
    engine._model.save_weights(source)
    written = repository.publish(msgspec.structs.replace(engine.card, segmenter=segmenter), source)
    wrong = KerasEngine(written, repository.weights_path(written))
    with pytest.raises(ModelError, match=segmenter) as caught:
        check_segmenter(wrong, built_in_segmenters())
    assert caught.value.reason == "INVALID_MODEL_CARD"


def test_pictures(analysed: Callable[..., tuple[Outcome, Told]], engines: dict[str, KerasEngine]) -> None:
    """Proves that mask and overlay are drawn from the map: the mask is the image's size and covers the lesion."""
    outcome, _ = analysed(options_of(artifacts=(Artifact.OVERLAY, Artifact.MASK)))
    assert outcome.result.artifacts == (Artifact.OVERLAY, Artifact.MASK)
    mask, overlay = (
        cv2.imdecode(np.frombuffer(outcome.pictures[kind], np.uint8), cv2.IMREAD_UNCHANGED)
        for kind in (Artifact.MASK, Artifact.OVERLAY)
    )
    assert mask is not None
    assert overlay is not None
    _, lesion_map = direct(engines["derm-joint"])
    assert np.array_equal(mask > 0, segment_map(lesion_map, HEIGHT_PX, WIDTH_PX).mask > 0)
    truth = drawn_lesion(SEED, WIDTH_PX, HEIGHT_PX)[1] > 0
    assert ((mask > 0) & truth).sum() / ((mask > 0) | truth).sum() > 0.75
    assert overlay.ndim == 3
    assert overlay.shape[1] >= WIDTH_PX


@pytest.mark.parametrize(("model", "segmenter"), [("derm-joint", "network"), ("notebook-cnn", "otsu")])
def test_a_heat_map_changes_nothing_else(
    analysed: Callable[..., tuple[Outcome, Told]], model: str, segmenter: str
) -> None:
    """Proves that it comes on request, by either method, is not the overlay, and leaves the result to the bit."""
    plain, _ = analysed(options_of(model, segmenter))
    outcome, _ = analysed(options_of(model, segmenter, (Artifact.OVERLAY, Artifact.HEAT_MAP)))
    assert plain.pictures == {}
    assert outcome.result.artifacts == (Artifact.OVERLAY, Artifact.HEAT_MAP)
    for field in ("classification", "regions", "measures", "quality_issues"):
        assert getattr(outcome.result, field) == getattr(plain.result, field)
    drawn, overlay = (
        cv2.imdecode(np.frombuffer(outcome.pictures[kind], np.uint8), cv2.IMREAD_UNCHANGED)
        for kind in (Artifact.HEAT_MAP, Artifact.OVERLAY)
    )
    assert drawn is not None
    assert overlay is not None
    assert drawn.shape[1] == overlay.shape[1]
    assert drawn.shape[0] > overlay.shape[0]


def test_a_job_that_waits_for_its_map_leaves_the_room(pipeline: Pipeline, passes: Held) -> None:
    """Proves that others decode meanwhile: three jobs reach the held network through a room for one and share it."""
    passes.open.clear()
    (model,) = (model for model in pipeline._models.values() if model.engine.gives_map)
    submitted = threading.Semaphore(0)
    accept = model.batcher._accept

    def counted(item: NDArray[Any], arrived: int) -> Any:
        future = accept(item, arrived)
        submitted.release()
        return future

    model.batcher._accept = counted  # type: ignore[method-assign]
    pictures = [drawn_lesion(seed)[0] for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(analyse, pipeline, options_of(), picture) for picture in pictures]
        for _ in waiting:
            assert submitted.acquire(timeout=LONG_S)
        passes.open.set()
        results: list[Result] = [future.result(LONG_S)[0].result for future in waiting]
    assert max(result.provenance.batch_size for result in results) >= 2
    assert len({result.regions for result in results}) == 3
    assert all(result.provenance.timings.segment_ms > 0 for result in results)
