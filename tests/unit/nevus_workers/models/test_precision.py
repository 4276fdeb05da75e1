"""Networks in bfloat16: the same weights, nearly the same answers, and none that depends on its company."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from nevus_core.errors import ModelError
from nevus_core.records import PIPELINE_VERSION, ModelCard
from nevus_workers.imaging.segmenter import built_in_segmenters
from nevus_workers.models.engine import KerasEngine
from nevus_workers.models.repository import Repository
from nevus_workers.models.serving import Loader
from nevus_workers.stats import Stats
from nevus_workers.turns import Turns
from support.joint_network import drawn_lesion
from support.shelf import ARRANGEMENT
from support.tiny_models import put_tiny

IMAGES = 6
CLOSE = 0.05
"""Seeded random weights; what trained ones do is measured in docs/performance.md."""

Pair = tuple[KerasEngine, KerasEngine]


@pytest.fixture(params=["derm-joint", "notebook-cnn"])
def pair(
    request: pytest.FixtureRequest,
    joint: Any,
    untrained: Any,
    joint_card: ModelCard,
    card: ModelCard,
    repository: Repository,
    tmp_path: Path,
) -> Pair:
    """Engines with one file's weights: float32 and bfloat16."""
    network, chosen = {"derm-joint": (joint, joint_card), "notebook-cnn": (untrained, card)}[request.param]
    network.save_weights(tmp_path / "source.weights.h5")
    written = repository.publish(chosen, tmp_path / "source.weights.h5")
    path = repository.weights_path(written)
    exact, rough = (KerasEngine(written, path, IMAGES, 2, dtype) for dtype in ("float32", "bfloat16"))
    return exact, rough


def prepared(engine: KerasEngine) -> NDArray[Any]:
    """Drawn lesions as the engine takes them."""
    return np.stack([engine.prepare(drawn_lesion(seed)[0]) for seed in range(IMAGES)])


def test_answers_are_close(pair: Pair) -> None:
    """Proves that bfloat16 is at work, moves answers a little, and that they are float32 and in no coarse steps."""
    exact, rough = pair
    first, second = (engine.predict(prepared(engine)) for engine in pair)
    moved = np.abs(first.probabilities - second.probabilities)
    assert second.probabilities.dtype == np.float32
    assert 0 < moved.max() < CLOSE
    assert exact.gives_map == rough.gives_map == (second.maps is not None)
    if first.maps is not None and second.maps is not None:
        assert second.maps.dtype == np.float32
        assert np.abs(first.maps - second.maps).mean() < CLOSE
    types = {layer.dtype_policy.name for layer in rough._model.layers if layer.weights}
    assert types == {"mixed_bfloat16", "float32"}
    assert all(variable.dtype == "float32" for variable in rough._model.weights)
    answers = second.probabilities.view(np.uint32)
    assert (answers & 0xFFFF).any()  # bfloat16 would leave these bits empty


def test_an_answer_does_not_depend_on_who_shares_the_batch(pair: Pair) -> None:
    """Proves it for every size of batch, an image alone and in strips included."""
    rough = pair[1]
    batch = prepared(rough)
    alone = [rough.predict(batch[at : at + 1]) for at in range(IMAGES)]
    for count in range(2, IMAGES + 1):
        together = rough.predict(batch[:count])
        for at in range(count):
            assert abs(together.probabilities[at] - alone[at].probabilities[0]) <= 1e-6
            mine, other = together.maps, alone[at].maps
            assert mine is None or other is None or np.abs(mine[at] - other[0]).max() <= 1e-5


def test_explanations_go_on(pair: Pair) -> None:
    """Proves that an answer in bfloat16 can be explained."""
    rough = pair[1]
    if rough.gives_map:
        assert np.isfinite(rough.explain(prepared(rough)[0]).contributions).all()


def test_a_keras_file_is_refused(tmp_path: Path) -> None:
    """Proves that the message names the setting and what to do."""
    card = put_tiny(tmp_path)
    with pytest.raises(ModelError, match=r"NEVUS_ENGINE_DTYPE is bfloat16.*set float32") as caught:
        KerasEngine(card, Repository(tmp_path).weights_path(card), dtype="bfloat16")
    assert caught.value.reason == "MODEL_NOT_LOADED"


def test_results_say_it(pair: Pair, repository: Repository) -> None:
    """Proves that what is loaded in bfloat16, or never decodes smaller, says so in the pipeline's version."""
    exact = pair[0]
    for arrangement, expected in (
        (ARRANGEMENT, PIPELINE_VERSION),
        (dataclasses.replace(ARRANGEMENT, engine_dtype="bfloat16"), f"{PIPELINE_VERSION}+bfloat16"),
        (
            dataclasses.replace(ARRANGEMENT, engine_dtype="bfloat16", reduced_decode=False),
            f"{PIPELINE_VERSION}+bfloat16+whole",
        ),
    ):
        loader = Loader(repository, built_in_segmenters(), arrangement, Turns(), Stats())
        model = loader.load(replace(exact.card, segmenter="otsu"))
        model.batcher.close()
        assert model.pipeline_version == expected
