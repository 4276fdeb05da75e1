"""Whole models that Keras saved: what their outputs become, and what is told of those that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nevus_core.errors import ModelError
from nevus_core.records import ModelCard, ModelOutputs
from nevus_workers.models.engine import KerasEngine, load_model
from nevus_workers.models.repository import Repository
from support.tiny_models import tiny_card

WIDTH_PX, HEIGHT_PX = 24, 16
BATCH = np.random.default_rng(3).integers(0, 256, (3, HEIGHT_PX, WIDTH_PX, 3)).astype(np.uint8)
NAMED = ModelOutputs(probability="verdict", mask="where", logits=True)


def card_of(**changes: Any) -> ModelCard:
    """Returns a card of a whole model."""
    return tiny_card(**{"input_width_px": WIDTH_PX, "input_height_px": HEIGHT_PX, **changes})


def logits(columns: int = 1, *, named: bool = False, mapped: bool = True) -> Any:
    """Returns a functional network with a squeeze-and-excite branch, a verdict and a map, both as logits."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(5)
    image = keras.Input((None, None, 3), name="image")
    features = layers.Conv2D(4, 3, padding="same")(layers.Rescaling(1 / 255)(image))
    gate = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(features))
    features = layers.Multiply()([features, gate])
    verdict = layers.Dense(columns, name="verdict")(layers.GlobalAveragePooling2D()(features))
    fixed = layers.Resizing(4, 6)(layers.Conv2D(1, 1)(features))
    where = layers.Activation("linear", name="where")(fixed)
    if not mapped:
        return keras.Model(image, verdict)
    return keras.Model(image, {"verdict": verdict, "where": where} if named else [where, verdict])


def loaded(network: Any, folder: Path, card: ModelCard) -> KerasEngine:
    """Returns an engine with a network that was saved and published."""
    source = folder / "source.keras"
    network.save(source)
    repository = Repository(folder / "models")
    written = repository.publish(card, source)
    return KerasEngine(written, repository.weights_path(written), max_batch=4, strips=2)


def sigmoid(values: Any) -> Any:
    """Returns 1 / (1 + e^-x)."""
    return 1 / (1 + np.exp(-np.asarray(values)))


@pytest.mark.parametrize("named", [True, False], ids=["a dictionary", "a list"])
def test_two_outputs_by_name(tmp_path: Path, named: bool) -> None:
    """Proves that both outputs are found by key or by layer, and that logits become probabilities."""
    network = logits(named=named)
    engine = loaded(network, tmp_path, card_of(outputs=NAMED))
    found = network(BATCH.astype(np.float32))
    where, verdict = (found["where"], found["verdict"]) if named else found
    answers = engine.predict(BATCH)
    assert engine.gives_map
    assert answers.suit(3)
    assert np.allclose(answers.probabilities, sigmoid(verdict)[:, 0], atol=1e-6)
    assert answers.maps is not None
    assert np.allclose(answers.maps, sigmoid(where)[..., 0], atol=1e-6)
    assert np.ptp(answers.probabilities) > 0


def test_two_columns(tmp_path: Path) -> None:
    """Proves that the last column of two is the positive class, after a softmax."""
    network = logits(2, mapped=False)
    engine = loaded(network, tmp_path, card_of(outputs=ModelOutputs(logits=True)))
    found = np.exp(np.asarray(network(BATCH.astype(np.float32))))
    assert not engine.gives_map
    assert np.allclose(engine.predict(BATCH).probabilities, found[:, 1] / found.sum(axis=1), atol=1e-6)


def test_a_probability_needs_no_table(tmp_path: Path) -> None:
    """Proves that a Sequential with one output serves as it is, warmed for every batch size."""
    import keras

    network = keras.Sequential(
        [
            keras.Input((HEIGHT_PX, WIDTH_PX, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(1, "sigmoid", kernel_initializer=keras.initializers.RandomNormal(stddev=1e-4, seed=1)),
        ]
    )
    engine = loaded(network, tmp_path, card_of())
    engine.warm()
    answers = engine.predict(BATCH).probabilities
    assert np.allclose(answers, np.asarray(network(BATCH.astype(np.float32)))[:, 0], atol=1e-6)
    assert np.ptp(answers) > 0


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        (None, r"which output is the probability.* where \(None, 4, 6, 1\), verdict \(None, 1\)"),
        (ModelOutputs(probability="p"), r"names the output 'p'; the model has where .*, verdict"),
        (ModelOutputs(probability="where"), r"must be \(None, 1\).*; found \(None, 4, 6, 1\)"),
        (ModelOutputs(probability="verdict", mask="verdict"), r"\(None, rows, columns, 1\); found \(None, 1\)"),
    ],
)
def test_outputs_that_do_not_fit(tmp_path: Path, outputs: ModelOutputs | None, told: str) -> None:
    """Proves that the error says what was expected and what was found."""
    with pytest.raises(ModelError, match=told) as caught:
        loaded(logits(), tmp_path, card_of(outputs=outputs))
    assert caught.value.reason == "INVALID_MODEL_CARD"


def test_an_input_that_does_not_fit(tmp_path: Path) -> None:
    """Proves that both sizes are named."""
    import keras

    network = keras.Sequential([keras.Input((32, 24, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    with pytest.raises(ModelError, match=r"\(None, 16, 24, 3\), the model takes \(None, 32, 24, 1\)"):
        loaded(network, tmp_path, card_of())


def test_two_inputs(tmp_path: Path) -> None:
    """Proves that a model that wants more than the image is refused."""
    import keras

    image, age = keras.Input((HEIGHT_PX, WIDTH_PX, 3)), keras.Input((1,))
    joined = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(image), age])
    network = keras.Model([image, age], keras.layers.Dense(1)(joined))
    with pytest.raises(ModelError, match=r"one input .* was expected, 2 were found"):
        loaded(network, tmp_path, card_of())


def test_code_is_not_loaded(tmp_path: Path) -> None:
    """Proves that a model with Python in it is refused, and that the error says why."""
    import keras

    network = keras.Sequential(
        [keras.Input((HEIGHT_PX, WIDTH_PX, 3)), keras.layers.Lambda(lambda x: x), keras.layers.Flatten()]
    )
    with pytest.raises(ModelError, match="Lambda layer, which holds Python code") as caught:
        loaded(network, tmp_path, card_of())
    assert caught.value.reason == "MODEL_NOT_LOADED"


def test_a_whole_model_in_hdf5_is_not_read(tmp_path: Path) -> None:
    """Proves that a file is judged by what it is: Keras's safe mode would not cover this one."""
    (tmp_path / "tiny.keras").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(ModelError, match=r"no \.keras archive") as caught:
        load_model(card_of(), tmp_path / "tiny.keras")
    assert caught.value.reason == "MODEL_NOT_LOADED"
