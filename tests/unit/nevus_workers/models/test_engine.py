"""The loaded model: parity with a plain Keras call, preparation, and what a wrong file leads to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import msgspec
import numpy as np
import pytest

from nevus_core.errors import ModelError
from nevus_workers.models import architectures, compiled
from nevus_workers.models.engine import KerasEngine, configure_threads
from nevus_workers.models.preparation import prepare
from nevus_workers.models.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from nevus_core.records import ModelCard


@pytest.fixture(scope="module")
def weights_bytes(untrained: Any, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The untrained network's weights as a Keras 3 file."""
    path = tmp_path_factory.mktemp("weights") / "a.weights.h5"
    untrained.save_weights(path)
    return path.read_bytes()


@pytest.fixture
def engine(repository: Repository, card: ModelCard, weights_bytes: bytes, tmp_path: Path) -> KerasEngine:
    """An engine with the untrained network, at most three images a batch."""
    source = tmp_path / "source.h5"
    source.write_bytes(weights_bytes)
    written = repository.publish(card, source)
    return KerasEngine(written, repository.weights_path(written), max_batch=3)


def test_answers_as_a_direct_keras_call(
    engine: KerasEngine, untrained: Any, lesion: Callable[..., NDArray[np.uint8]]
) -> None:
    """Proves parity with Keras within 1e-6, for uint8 and float32 input, alone and in a batch."""
    images = [lesion(seed) for seed in range(3)]
    batch = np.stack([engine.prepare(image) for image in images])
    reference = np.stack([cv2.resize(image, (500, 500)) for image in images]).astype(np.float32)
    expected = np.asarray(untrained(reference)).reshape(-1)
    assert np.ptp(expected) > 0.001
    assert np.allclose(engine.predict(batch).probabilities, expected, atol=1e-6)
    assert np.allclose(engine.predict(batch.astype(np.float32)).probabilities, expected, atol=1e-6)
    alone = [float(engine.predict(batch[index : index + 1]).probabilities[0]) for index in range(3)]
    assert np.allclose(alone, expected, atol=1e-6)


def test_an_answer_does_not_depend_on_who_shares_the_batch(lesion: Callable[..., NDArray[np.uint8]]) -> None:
    """Proves with the model that nevus ships: alone, in pairs and in eights an image gets the same probability."""
    repository = Repository(Path(__file__).parents[4] / "models")
    card = repository.resolve("notebook-cnn")
    engine = KerasEngine(card, repository.weights_path(card), max_batch=8)
    batch = np.stack([engine.prepare(lesion(seed)) for seed in range(8)])
    alone = np.concatenate([engine.predict(batch[at : at + 1]).probabilities for at in range(8)])
    pairs = np.concatenate([engine.predict(batch[at : at + 2]).probabilities for at in range(0, 8, 2)])
    assert np.ptp(alone) > 0.001
    assert np.array_equal(pairs, alone)
    assert np.array_equal(engine.predict(batch).probabilities, alone)


def test_an_image_in_strips_has_the_same_answer(lesion: Callable[..., NDArray[np.uint8]]) -> None:
    """Cut into two or three, alone or beside others: the same bits. The cut is behind the rows that a pooling drops."""
    repository = Repository(Path(__file__).parents[4] / "models")
    card = repository.resolve("notebook-cnn", "1")
    whole, *cut = (KerasEngine(card, repository.weights_path(card), 4, strips) for strips in (1, 2, 3))
    images = np.stack([whole.prepare(lesion(seed)) for seed in range(4)])
    expected = whole.predict(images).probabilities
    for engine in cut:
        alone = np.concatenate([engine.predict(images[at : at + 1]).probabilities for at in range(4)])
        assert np.array_equal(alone, expected)
        assert np.array_equal(engine.predict(images).probabilities, expected)


def test_a_card_gets_batches_whole(lesion: Callable[..., NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU gets them image by image, in pieces: the same bits."""
    tensorflow = pytest.importorskip("tensorflow")
    repository = Repository(Path(__file__).parents[4] / "models")
    card = repository.resolve("notebook-cnn", "1")
    in_pieces, whole = (KerasEngine(card, repository.weights_path(card), 4) for _ in range(2))
    images = np.stack([whole.prepare(lesion(seed)) for seed in range(4)])
    expected = in_pieces.predict(images).probabilities
    monkeypatch.setattr(tensorflow.config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(compiled, "image_by_image", lambda *_: pytest.fail("cut for a card"))
    assert np.array_equal(whole.predict(images).probabilities, expected)


def test_warm_and_shapes(engine: KerasEngine) -> None:
    """Proves that warming runs, and that answers are float32 (n,) within 0..1."""
    engine.warm()
    answers = engine.predict(np.zeros((2, 500, 500, 3), np.uint8))
    assert (engine.gives_map, answers.maps) == (False, None)
    answer = answers.probabilities
    assert answer.dtype == np.float32
    assert answer.shape == (2,)
    assert ((answer >= 0) & (answer <= 1)).all()


def test_reads_a_legacy_file(
    untrained: Any, legacy_weights: bytes, repository: Repository, card: ModelCard, tmp_path: Path
) -> None:
    """Proves that a `model.h5` in the layout of Keras 2, as the notebook's is, gives the same answers."""
    legacy = tmp_path / "upload"
    legacy.write_bytes(legacy_weights)
    written = repository.publish(msgspec.structs.replace(card, weights="model.h5"), legacy)
    engine = KerasEngine(written, repository.weights_path(written))
    batch = np.random.default_rng(0).integers(0, 256, (1, 500, 500, 3)).astype(np.uint8)
    expected = np.asarray(untrained(batch.astype(np.float32))).reshape(-1)
    assert np.allclose(engine.predict(batch).probabilities, expected, atol=1e-6)


def test_digest_is_checked_before_loading(engine: KerasEngine, repository: Repository) -> None:
    """Proves that changed weights are never loaded."""
    path = repository.weights_path(engine.card)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        KerasEngine(engine.card, path)
    assert caught.value.reason == "WEIGHTS_DIGEST_MISMATCH"


@pytest.mark.parametrize("weights", [b"no weights at all", b"\x89HDF\r\n\x1a\nbroken"])
def test_file_that_is_no_weights(repository: Repository, card: ModelCard, tmp_path: Path, weights: bytes) -> None:
    """Proves MODEL_NOT_LOADED where the digest is right and the content is not."""
    source = tmp_path / "source.h5"
    source.write_bytes(weights)
    written = repository.publish(card, source)
    with pytest.raises(ModelError) as caught:
        KerasEngine(written, repository.weights_path(written))
    assert caught.value.reason == "MODEL_NOT_LOADED"


def test_card_and_architecture_must_agree(repository: Repository, card: ModelCard, tmp_path: Path) -> None:
    """Proves INVALID_MODEL_CARD for another input size and for an unknown architecture."""
    for change in ({"input_width_px": 224}, {"architecture": "resnet-9000"}):
        source = tmp_path / "source.h5"
        source.write_bytes(b"weights")
        written = repository.publish(msgspec.structs.replace(card, **change), source)
        with pytest.raises(ModelError) as caught:
            KerasEngine(written, repository.weights_path(written))
        assert caught.value.reason == "INVALID_MODEL_CARD"


def test_the_notebooks_network() -> None:
    """Proves that the architecture is the notebook's: layers, kernels and parameter count."""
    model = architectures.build("notebook-cnn")
    assert model.count_params() == 2_391_237
    assert [array.shape for array in model.get_weights()] == [
        (4, 4, 3, 32),
        (32,),
        (4, 4, 32, 16),
        (16,),
        (238144, 10),
        (10,),
        (10, 1),
        (1,),
    ]


def test_preparation(lesion: Callable[..., NDArray[np.uint8]]) -> None:
    """Proves size, colour order, scale and dtype of what the network gets."""
    image = lesion(2)
    plain = prepare(image, width_px=50, height_px=30)
    assert plain.dtype == np.uint8
    assert np.array_equal(plain, cv2.resize(image, (50, 30), interpolation=cv2.INTER_LINEAR))
    turned = prepare(image, width_px=50, height_px=30, colour_order="rgb", scale=1 / 255)
    assert turned.dtype == np.float32
    assert np.allclose(turned, plain[:, :, ::-1] / 255, atol=1e-6)


def test_threads_after_the_start_are_refused(engine: KerasEngine) -> None:
    """Proves that a number of threads that comes too late is reported, not silently lost."""
    engine.predict(np.zeros((1, 500, 500, 3), np.uint8))
    assert configure_threads(61, 61) is False


def test_importing_is_light() -> None:
    """Proves that engine, repository and fetch can be imported without TensorFlow, Keras or gdown."""
    code = (
        "import sys, nevus_workers.models.engine, nevus_workers.models.fetch, nevus_workers.training.plan\n"
        "heavy = {'tensorflow', 'keras', 'gdown', 'requests'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (outcome.stdout.strip(), outcome.stderr) == ("[]", "")
