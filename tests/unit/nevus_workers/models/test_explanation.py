"""Class activation maps and occlusion: that the shares are the logit, and that what matters is found where it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nevus_core.records import ModelOutputs
from nevus_workers.models import engine as engine_module
from nevus_workers.models.answers import Answers
from nevus_workers.models.class_activation import find_head
from nevus_workers.models.engine import KerasEngine
from nevus_workers.models.explainer import Explainer
from nevus_workers.models.explanation import Method
from nevus_workers.models.occlusion import logit, occlusion
from nevus_workers.models.repository import Repository
from support.joint_network import drawn_lesion
from support.tiny_models import tiny_card

HEIGHT_PX, WIDTH_PX = 16, 24
PIXELS = np.random.default_rng(3).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3)).astype(np.uint8)


def small(**changes: Any) -> Any:
    """Returns a network of convolution, mean and dense logit; `changes` spoil its head."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(5)
    image = keras.Input((HEIGHT_PX, WIDTH_PX, 3))
    maps = layers.Conv2D(4, 3, strides=2, activation="relu")(layers.Rescaling(1 / 255)(image))
    pooled = changes.get("pool", layers.GlobalAveragePooling2D())(maps)
    dense = layers.Dense(changes.get("units", 1), changes.get("activation"), bias_initializer="ones")
    outcome = dense(layers.Dropout(0.5)(pooled))
    return keras.Model(image, outcome if "activation" in changes else layers.Activation("sigmoid")(outcome))


def nested() -> Any:
    """Returns the same kind of head whose mean is inside of a model, inside of another, and whose dense is not."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(6)
    image = keras.Input((None, None, 3))
    backbone = keras.Model(image, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image)))
    whole = keras.Sequential(
        [keras.Input((HEIGHT_PX, WIDTH_PX, 3)), layers.Rescaling(1 / 255), backbone, layers.Dense(1)]
    )
    pixels = keras.Input((HEIGHT_PX, WIDTH_PX, 3))
    return keras.Model(pixels, layers.Activation("sigmoid")(whole(pixels, training=False)))


def logit_of(model: Any, pixels: NDArray[Any]) -> float:
    """Returns the logit of a model's own probability of one image."""
    found = model(pixels[None].astype(np.float32), training=False)
    return float(logit(np.asarray(found["malignant"] if isinstance(found, dict) else found))[0, 0])


def loaded(network: Any, folder: Path, **changes: Any) -> KerasEngine:
    """Returns an engine with a network that was saved as a whole and published."""
    source = folder / "source.keras"
    network.save(source)
    repository = Repository(folder / "models")
    written = repository.publish(tiny_card(input_width_px=WIDTH_PX, input_height_px=HEIGHT_PX, **changes), source)
    return KerasEngine(written, repository.weights_path(written), max_batch=4)


@pytest.mark.parametrize(
    "make", [small, lambda: small(activation="sigmoid"), nested], ids=["plain", "sigmoid in the dense", "nested"]
)
def test_shares_and_bias_are_the_logit(make: Callable[[], Any]) -> None:
    """Proves that the head is found in each shape, and that nothing of the logit is missing from the map."""
    network = make()
    head = find_head(network)
    assert head is not None
    maps = np.asarray(head.features(PIXELS[None].astype(np.float32)))[0]
    shares = head.shares(maps)
    assert (shares.dtype, shares.shape) == (np.float32, maps.shape[:2])
    assert np.ptp(shares) > 0
    assert shares.sum() + head.bias == pytest.approx(logit_of(network, PIXELS), abs=1e-5)


def test_shares_are_where_they_belong() -> None:
    """Proves rows, columns and direction: a network that likes what is bright finds the one bright pixel."""
    import keras
    from keras import layers

    image = keras.Input((HEIGHT_PX, WIDTH_PX, 3))
    dense = layers.Dense(1, "sigmoid", kernel_initializer="ones")
    network = keras.Model(image, dense(layers.GlobalAveragePooling2D()(image)))
    pixels = np.zeros_like(PIXELS)
    pixels[3, 17] = 200
    found = Explainer(network, 4, threading.Lock()).explain(pixels, pytest.fail, "tensorflow")
    assert found.method is Method.CLASS_ACTIVATION
    assert np.argwhere(found.contributions).tolist() == [[3, 17]]
    assert found.contributions.max() == pytest.approx(600 / (HEIGHT_PX * WIDTH_PX))


@pytest.mark.parametrize("backend", ["tensorflow", "another"])
def test_derm_joint(joint: Any, backend: str) -> None:
    """Proves the shares of the network that serves, compiled and by Keras's own operations: 7x7 that are its logit."""
    head = find_head(joint)
    assert head is not None
    explainer = Explainer(joint, 4, threading.Lock())
    for seed in range(2):
        pixels = drawn_lesion(seed, 224, 224)[0]
        found = explainer.explain(pixels, pytest.fail, backend)
        assert (found.method, found.contributions.shape) == (Method.CLASS_ACTIVATION, (7, 7))
        assert found.contributions.sum() + head.bias == pytest.approx(logit_of(joint, pixels), abs=1e-4)


@pytest.mark.parametrize("change", ["two columns", "maximum", "dense before", "flattened", "mean of higher rank"])
def test_other_heads_have_no_such_map(change: str) -> None:
    """Proves that nothing is taken for a mean and a dense logit that is none."""
    from keras import layers

    spoiled: dict[str, dict[str, Any]] = {
        "two columns": {"units": 2, "activation": "softmax"},
        "maximum": {"pool": layers.GlobalMaxPooling2D()},
        "dense before": {"pool": lambda maps: layers.Dense(3, "relu")(layers.GlobalAveragePooling2D()(maps))},
        "flattened": {"pool": layers.Flatten()},
        "mean of higher rank": {"pool": layers.GlobalAveragePooling2D(keepdims=True)},
    }
    assert find_head(small(**spoiled[change])) is None


def test_brought_models(tmp_path: Path) -> None:
    """Proves that a file that Keras saved is explained by its class activation map too, logits or not."""
    network = small()
    engine = loaded(network, tmp_path, outputs=ModelOutputs(logits=False))
    found = engine.explain(PIXELS)
    assert (found.method, found.contributions.shape) == (Method.CLASS_ACTIVATION, (7, 11))
    assert found.contributions.sum() + 1.0 == pytest.approx(logit_of(network, PIXELS), abs=1e-5)


def seen(column_px: int, row_px: int) -> Callable[[NDArray[Any]], Answers]:
    """Returns a made-up model that looks at one square of 4x4 px alone, and likes it bright."""

    def predict(batch: NDArray[Any]) -> Answers:
        assert 1 <= len(batch) <= 5
        bright = batch[:, row_px : row_px + 4, column_px : column_px + 4].mean(axis=(1, 2, 3)) / 255
        return Answers((1 / (1 + np.exp(-4 * bright))).astype(np.float32))

    return predict


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_occlusion_finds_what_a_model_looks_at(dtype: type[np.generic]) -> None:
    """Proves that the one cell that counts is found, by how much it counts, in batches no larger than allowed."""
    pixels = np.zeros((32, 64, 3), dtype)
    pixels[8:12, 40:44] = 255
    before = pixels.copy()
    found = occlusion(pixels, seen(40, 8), 5)
    assert (found.dtype, found.shape) == (np.float32, (8, 8))
    assert np.argwhere(found).tolist() == [[2, 5]]
    neutral = pixels.mean() if dtype is np.float32 else round(float(pixels.mean()))
    cell = np.full((4, 4), neutral)
    assert found[2, 5] == pytest.approx(4 * (1 - float(cell.mean()) / 255), abs=1e-4)
    assert np.array_equal(pixels, before)


def test_occlusion_tells_against_from_for() -> None:
    """Proves the sign: hiding a dark square that a model dislikes raises the logit, so the square spoke against."""
    pixels = np.full((32, 32, 3), 200, np.uint8)
    pixels[:4, :4] = 0
    found = occlusion(pixels, seen(0, 0), 5)
    assert found[0, 0] < -1
    assert np.count_nonzero(found) == 1


@pytest.mark.parametrize("shape", [(3, 5, 3), (9, 1, 3), (500, 500, 3)])
def test_occlusion_of_any_size(shape: tuple[int, int, int]) -> None:
    """Proves that tiny inputs get fewer cells, and that certain answers (0 and 1) stay finite."""
    certain = occlusion(np.zeros(shape, np.uint8), lambda batch: Answers(np.arange(len(batch)) % 2 * 1.0), 4)  # type: ignore[arg-type]
    assert certain.shape == (min(shape[0], 8), min(shape[1], 8))
    assert np.isfinite(certain).all()


def test_occlusion_takes_no_nonsense() -> None:
    """Proves that a model which answers with no number is told of."""
    nonsense = Answers(np.full(4, np.nan, np.float32))
    with pytest.raises(ArithmeticError, match="no probability"):
        occlusion(PIXELS, lambda _batch: nonsense, 4)


@pytest.mark.parametrize("backend", ["tensorflow", "another"])
def test_other_models_are_explained_by_occlusion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    """Proves that a head of another kind gets the grid, by the engine's own passes, whatever the backend."""
    from keras import layers

    monkeypatch.setattr(engine_module, "_import_backend", lambda: backend)
    engine = loaded(small(pool=layers.Flatten()), tmp_path)
    found = engine.explain(PIXELS)
    assert (found.method, found.contributions.shape) == (Method.OCCLUSION, (8, 8))
    whole, hidden = PIXELS, PIXELS.copy()
    hidden[2:4, 3:6] = np.rint(PIXELS.mean(axis=(0, 1)))
    before, after = logit(engine.predict(np.stack([whole, hidden])).probabilities)
    assert found.contributions[1, 1] == pytest.approx(before - after, abs=1e-5)


@pytest.mark.parametrize("head", ["mean", "flatten"])
def test_answers_are_the_same_to_the_bit_beside_explanations(tmp_path: Path, head: str) -> None:
    """Proves that jobs that are explained, and others at the same time, change no answer and no explanation."""
    from keras import layers

    engine = loaded(small() if head == "mean" else small(pool=layers.Flatten()), tmp_path)
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (6, *PIXELS.shape)).astype(np.uint8)
    alone = [engine.predict(image[None]).probabilities for image in images]
    with ThreadPoolExecutor(6) as pool:
        explained = [pool.submit(engine.explain, image) for image in images for _ in range(2)]
        for _ in range(20):
            together = [engine.predict(image[None]).probabilities for image in images]
            assert np.array_equal(together, alone)
        pairs = [future.result().contributions for future in explained]
    for first, second in zip(pairs[::2], pairs[1::2], strict=True):
        assert np.array_equal(first, second)
    assert np.array_equal([engine.predict(image[None]).probabilities for image in images], alone)


def test_nothing_is_built_before_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that the network before the head is made at the first explanation, once."""
    made = []
    find = find_head
    monkeypatch.setattr("nevus_workers.models.explainer.find_head", lambda model: made.append(model) or find(model))
    engine = loaded(small(), tmp_path)
    engine.warm()
    assert not made
    engine.explain(PIXELS)
    engine.explain(PIXELS)
    assert len(made) == 1
