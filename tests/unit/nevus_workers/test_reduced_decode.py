"""A large JPEG through the pipeline, decoded smaller: the same answer within a tolerance, and nothing else changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from nevus_core.errors import InvalidImage, ModelError
from nevus_core.image_header import inspect_image
from nevus_core.records import PIPELINE_VERSION, Artifact, ImageInfo, ModelCard, Result
from nevus_core.work_store import Claim
from nevus_workers.imaging import decode as decoding
from nevus_workers.imaging.segmenter import NETWORK
from nevus_workers.models.batcher import Batcher
from nevus_workers.models.engine import KerasEngine
from nevus_workers.models.repository import Repository
from nevus_workers.models.serving import ServingModel
from nevus_workers.pipeline import Pipeline
from nevus_workers.shadow import Shadow, ShadowPlan
from nevus_workers.stats import Stats
from support.joint_network import drawn_lesion
from support.reduction_rates import analysis, both_ways, difference, encoded, enlarged, figures, options_of

SIZE = 3008, 2000
LARGEST_CHANGE, MEAN_CHANGE = 0.03, 0.006
LEAST_JACCARD, LEAST_MEAN_JACCARD, MEDIAN_DIAMETER = 0.85, 0.99, 0.01
"""What docs/performance.md and docs/evaluation.md promise of real images: of the probability, of two masks of one
image, and of the relative change of the diameter."""
MODELS = Path(os.environ.get("NEVUS_MODELS") or Path(__file__).parents[3] / "models")

Pair = tuple[Pipeline, Pipeline]


@pytest.fixture(scope="module")
def engine(joint: Any, tmp_path_factory: pytest.TempPathFactory) -> KerasEngine:
    """`derm-joint` that sees drawn lesions."""
    folder = tmp_path_factory.mktemp("reduced")
    joint.save_weights(folder / "source.weights.h5")
    repository = Repository(folder / "models")
    card = ModelCard(
        name="derm-joint",
        version="1",
        title="Title",
        architecture="derm-joint",
        weights="a.weights.h5",
        input_width_px=224,
        input_height_px=224,
        colour_order="rgb",
        resampling="area",
        segmenter=NETWORK,
        operating_points={"balanced": 0.5},
        default_operating_point="balanced",
    )
    written = repository.publish(card, folder / "source.weights.h5")
    return KerasEngine(written, repository.weights_path(written))


@pytest.fixture
def pair(engine: KerasEngine) -> Iterator[Pair]:
    """Two pipelines: one that decodes smaller where it may, one that never does."""
    with both_ways(engine) as made:
        yield made


@pytest.fixture
def shrinks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """By how much images were decoded smaller, one entry a decoding."""
    seen: list[int] = []
    decode = decoding.decode

    def noted(data: bytes, shrink: int = 1) -> NDArray[np.uint8]:
        seen.append(shrink)
        return decode(data, shrink)

    monkeypatch.setattr("nevus_workers.pipeline.decode", noted)
    monkeypatch.setattr("nevus_workers.imaging.reduction.decode", noted)
    return seen


def header(data: bytes) -> ImageInfo:
    """What the front end says of an upload."""
    return inspect_image(data, max_bytes=10**8, max_pixels=10**8)


def lesion_jpeg(seed: int) -> bytes:
    """A drawn lesion as a large JPEG file."""
    return encoded(drawn_lesion(seed, *SIZE)[0])


@pytest.mark.parametrize("seed", range(4))
def test_a_drawn_lesion(pair: Pair, engine: KerasEngine, shrinks: list[int], seed: int) -> None:
    """Proves the tolerance, and that regions, mask and provenance are in pixels of the upload."""
    picture, truth = drawn_lesion(seed, *SIZE)
    wanted = options_of(engine.card, artifacts=(Artifact.MASK,))
    reduced, whole = (analysis(pipeline, wanted)(encoded(picture)) for pipeline in pair)
    assert shrinks == [2, 1]
    found = difference(reduced, whole)
    assert found.probability <= LARGEST_CHANGE
    assert found.agreement >= 0.95
    assert found.diameter is not None
    assert found.diameter < 0.05
    assert found.same_issues
    result = reduced.result
    assert (result.provenance.width_px, result.provenance.height_px) == SIZE
    x, y, width, height = cv2.boundingRect(truth)
    box = result.regions[0].box
    corners = np.array([box.x, box.y, box.x + box.width, box.y + box.height])
    assert np.abs(corners - (x, y, x + width, y + height)).max() < 80
    versions = [outcome.result.provenance.pipeline_version for outcome in (reduced, whole)]
    assert versions == [PIPELINE_VERSION, f"{PIPELINE_VERSION}+whole"]


def without_timings(result: Result) -> Result:
    """The result but for what differs between two runs anyway, and for the names of the pictures."""
    kept = msgspec.structs.replace(result.provenance, timings=None)  # type: ignore[arg-type]
    return msgspec.structs.replace(result, provenance=kept, artifacts=())


def test_pictures_change_no_answer(pair: Pair, engine: KerasEngine, shrinks: list[int]) -> None:
    """Proves that a picture of the image is drawn on all its pixels, beside the answer of one without pictures."""
    data, pictured = lesion_jpeg(1), options_of(engine.card, artifacts=(Artifact.OVERLAY,))
    plain = analysis(pair[0], options_of(engine.card))(data)
    drawn = analysis(pair[0], pictured)(data)
    assert shrinks == [2, 2, 1]
    assert without_timings(drawn.result) == without_timings(plain.result)
    whole = analysis(pair[1], pictured)(data)
    sizes = [
        cv2.imdecode(np.frombuffer(outcome.pictures[Artifact.OVERLAY], np.uint8), cv2.IMREAD_COLOR).shape  # type: ignore[union-attr]
        for outcome in (drawn, whole)
    ]
    assert sizes[0] == sizes[1]


def test_otsu_sees_every_pixel(pair: Pair, engine: KerasEngine, shrinks: list[int]) -> None:
    """Proves that nothing is reduced where a segmenter looks at the image: results are equal to the last digit."""
    data = lesion_jpeg(2)
    first, second = (analysis(pipeline, options_of(engine.card, "otsu"))(data).result for pipeline in pair)
    assert shrinks == [1, 1]
    assert (first.classification, first.regions) == (second.classification, second.regions)
    assert (first.measures, first.quality_issues) == (second.measures, second.quality_issues)


def test_a_linear_model_sees_every_pixel(engine: KerasEngine) -> None:
    """Proves that a network that takes four pixels instead of a mean gets those that it was trained on."""
    image = header(lesion_jpeg(0))
    batcher = Batcher(engine.predict, 8, 0.0)
    assert ServingModel(engine, batcher).shrink(image) == 2
    engine_of_linear: Any = type("Linear", (), {"card": msgspec.structs.replace(engine.card, resampling="linear")})
    assert ServingModel(engine_of_linear, batcher).shrink(image) == 1
    batcher.close()


@pytest.mark.parametrize("side", ["width_px", "height_px"])
def test_a_wrong_size_is_damage(pair: Pair, engine: KerasEngine, side: str) -> None:
    """Proves that an image of other pixels than its header announced is refused, decoded smaller or not."""
    data = lesion_jpeg(0)
    said = msgspec.structs.replace(header(data), **{side: 3500})
    for pipeline in pair:
        with pytest.raises(InvalidImage) as caught:
            pipeline.run(data, said, options_of(engine.card), lambda stage, regions: None)
        assert caught.value.reason == "CORRUPT_IMAGE"


@pytest.mark.slow
def test_real_images(data_folder: Path) -> None:
    """Proves the tolerance over the validation images of original size, enlarged, with the trained network."""
    repository = Repository(MODELS)
    try:
        card = repository.resolve("derm-joint")
    except ModelError:
        pytest.skip("the model repository has no trained derm-joint")
    wanted = options_of(card, artifacts=(Artifact.MASK,))
    with both_ways(KerasEngine(card, repository.weights_path(card))) as made:
        reducing, never = (analysis(pipeline, wanted) for pipeline in made)
        found = figures([difference(reducing(data), never(data)) for data in enlarged(data_folder, "val")])
    assert found["images"] > 50
    assert found["probability_largest"] <= LARGEST_CHANGE
    assert found["probability_mean"] <= MEAN_CHANGE
    assert found["jaccard_least"] >= LEAST_JACCARD
    assert found["jaccard_mean"] >= LEAST_MEAN_JACCARD
    assert found["diameter_median"] <= MEDIAN_DIAMETER
    assert found["other_issues"] <= 1


@pytest.mark.parametrize(("segmenter", "expected"), [(NETWORK, 2), ("otsu", 1)])
def test_a_shadow_sees_what_it_would_if_it_served(
    engine: KerasEngine, shrinks: list[int], monkeypatch: pytest.MonkeyPatch, segmenter: str, expected: int
) -> None:
    """Proves that a version on trial is asked with pixels decoded as for its own card's segmenter."""
    data = lesion_jpeg(3)
    on_trial = msgspec.structs.replace(engine.card, version="2", segmenter=segmenter)
    stats = Stats()
    with both_ways(engine) as (pipeline, _), closing(Batcher(engine.predict, 8, 0.0)) as batcher:
        served = pipeline._models.get(engine.card.key)
        assert served is not None
        candidate: Any = SimpleNamespace(card=on_trial, prepare=engine.prepare)
        models = {engine.card.key: served, on_trial.key: ServingModel(candidate, batcher)}
        outcome = analysis(pipeline, options_of(engine.card))(data)
        shrinks.clear()
        monkeypatch.setattr("nevus_workers.shadow.LOOK_S", 0.001)
        shadow = Shadow(ShadowPlan(on_trial.key, 1.0), models, lambda: True, stats)
        shadow.start()
        shadow.offer(Claim("default/1", 1, 1, 1, header(data), data, options_of(engine.card)), outcome.result)
        deadline = time.monotonic() + 60
        while not stats.copy().shadows and time.monotonic() < deadline:
            time.sleep(0.01)
        shadow.stop()
    assert shrinks == [expected]
    assert [count.pairs for count in stats.copy().shadows] == [1]
