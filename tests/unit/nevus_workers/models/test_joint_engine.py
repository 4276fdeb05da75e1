"""`derm-joint` in the engine: two outputs of one pass, in every way in which batches come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nevus_core.records import ModelCard
from nevus_workers.models import engine as engine_module
from nevus_workers.models.engine import KerasEngine
from nevus_workers.models.preparation import prepare
from nevus_workers.models.repository import Repository
from nevus_workers.training import joint_product
from support.joint_network import drawn_lesion

IMAGES = 8


@pytest.fixture(scope="module")
def weights_bytes(joint: Any, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The network's weights as a Keras 3 file."""
    path = tmp_path_factory.mktemp("weights") / "a.weights.h5"
    joint.save_weights(path)
    return path.read_bytes()


@pytest.fixture
def published(
    repository: Repository, joint_card: ModelCard, weights_bytes: bytes, tmp_path: Path
) -> tuple[ModelCard, Path]:
    """The card with its digest, and where the weights lie."""
    source = tmp_path / "source.h5"
    source.write_bytes(weights_bytes)
    card = repository.publish(joint_card, source)
    return card, repository.weights_path(card)


@pytest.fixture
def engine(published: tuple[ModelCard, Path]) -> KerasEngine:
    """An engine with the network, on two cores."""
    return KerasEngine(*published, max_batch=IMAGES, strips=2)


@pytest.fixture(scope="module")
def pictures() -> list[NDArray[np.uint8]]:
    """Drawn lesions, BGR."""
    return [drawn_lesion(seed)[0] for seed in range(IMAGES)]


def test_answers_as_training_measured(engine: KerasEngine, joint: Any, pictures: list[NDArray[np.uint8]]) -> None:
    """Proves that both outputs are what the training's own preparation and a plain Keras call give."""
    size = {"width_px": 224, "height_px": 224}
    order = {"colour_order": joint_product.COLOUR_ORDER, "resampling": joint_product.RESAMPLING}
    pixels = np.stack([prepare(picture, **size, **order) for picture in pictures])
    batch = np.stack([engine.prepare(picture) for picture in pictures])
    assert batch.dtype == np.uint8
    assert np.array_equal(batch, pixels)
    expected = joint.predict_on_batch(pixels.astype(np.float32))
    assert np.ptp(expected["malignant"]) > 0.2
    assert np.ptp(expected["mask"]) > 0.9
    for given in (batch, batch.astype(np.float32)):
        answers = engine.predict(given)
        assert answers.maps is not None
        assert (answers.probabilities.dtype, answers.probabilities.shape) == (np.float32, (IMAGES,))
        assert (answers.maps.dtype, answers.maps.shape) == (np.float32, (IMAGES, 112, 112))
        assert np.abs(answers.probabilities - expected["malignant"][:, 0]).max() < 1e-5
        assert np.abs(answers.maps - expected["mask"][..., 0]).max() < 1e-4


def test_an_answer_does_not_depend_on_who_shares_the_batch(
    engine: KerasEngine, pictures: list[NDArray[np.uint8]]
) -> None:
    """Proves that an image has the same probability within 1e-6, and the same map within 1e-5, in every company."""
    batch = np.stack([engine.prepare(picture) for picture in pictures])
    alone = [engine.predict(batch[at : at + 1]) for at in range(IMAGES)]
    probabilities = np.concatenate([answers.probabilities for answers in alone])
    maps = np.concatenate([answers.maps for answers in alone if answers.maps is not None])
    assert np.ptp(probabilities) > 0.2
    for count in range(2, IMAGES + 1):
        for chosen in (slice(count), slice(IMAGES - count, None)):
            together = engine.predict(batch[chosen])
            assert together.maps is not None
            assert np.abs(together.probabilities - probabilities[chosen]).max() <= 1e-6
            assert np.abs(together.maps - maps[chosen]).max() <= 1e-5


def test_it_says_beforehand_that_it_gives_a_map(engine: KerasEngine) -> None:
    """Proves that this is known before the first pass, and that every size of batch can be warmed."""
    assert engine.gives_map
    engine.warm()


def test_other_backends_give_both_outputs(
    published: tuple[ModelCard, Path], pictures: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that the path of backends other than TensorFlow, by Keras's own operations, gives the same arrays."""
    ours, other = (KerasEngine(*published) for _ in range(2))
    batch = np.stack([ours.prepare(picture) for picture in pictures[:2]])
    expected = ours.predict(batch)
    monkeypatch.setattr(engine_module, "_import_backend", lambda: "another")
    found = other.predict(batch)
    assert expected.maps is not None
    assert found.maps is not None
    assert np.abs(found.probabilities - expected.probabilities).max() < 1e-6
    assert np.abs(found.maps - expected.maps).max() < 1e-5
