"""Bring your own: a whole model that Keras saved (`model.save("x.keras")`), made to answer as our own networks do.

The card says what its outputs mean. Whatever does not fit is told at load, with what was expected and what was found.
Code is never loaded: only `.keras` archives are read (Keras's safe mode does not cover whole models in HDF5 files), and
Keras refuses a Lambda layer that holds Python.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any, NoReturn

from nevus_core.errors import ModelError
from nevus_core.records import ModelOutputs
from nevus_workers.models.compiled import MALIGNANT, MASK

if TYPE_CHECKING:
    from pathlib import Path

    from nevus_core.records import ModelCard

SUFFIX = ".keras"
LONGEST_CAUSE = 300
"""Characters of Keras's own words that an error quotes."""


def load_keras_file(card: ModelCard, path: Path) -> Any:
    """Returns the model in a file, its outputs as `compiled` wants them: the probability, or that and the map by name.

    Args:
        card: Says the input's size and what the outputs mean.
        path: A `.keras` file whose digest was checked.

    Raises:
        ModelError: MODEL_NOT_LOADED: no such archive, one that holds code or layers that Keras does not know;
            INVALID_MODEL_CARD: inputs or outputs are not what the card says.
    """
    import keras

    model = _read(card, path)
    _check_input(card, model)
    pixels = keras.Input((card.input_height_px, card.input_width_px, 3), name="pixels")
    # The model becomes one layer of another: what looks into our own networks' layers leaves these alone.
    found = model(_as_taken(model, pixels), training=False)
    outputs = _by_name(model, found)
    meant = card.outputs or ModelOutputs()
    probability = _probability(card, meant, outputs)
    if not meant.mask:
        return keras.Model(pixels, probability, name="brought")
    return keras.Model(pixels, {MALIGNANT: probability, MASK: _mask(card, meant, outputs)}, name="brought")


def _read(card: ModelCard, path: Path) -> Any:
    """Returns the model in a file, which has layers and shapes that are known before the first image."""
    import keras

    if not zipfile.is_zipfile(path):
        _not_loaded(card, f"it is no {SUFFIX} archive. Save the model with model.save('name{SUFFIX}')")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # noqa: BLE001 - whatever Keras meets: OSError, ValueError, TypeError
        if "lambda" in str(error).lower():
            text = "it has a Lambda layer, which holds Python code and is never loaded. Use layers of Keras instead"
            _not_loaded(card, text, error)
        cause = " ".join(str(error).split())[:LONGEST_CAUSE]
        _not_loaded(card, f"Keras can't make it out of its own layers ({cause})", error)
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        _not_loaded(card, "it is no Sequential or functional model with a keras.Input")
    return model


def _check_input(card: ModelCard, model: Any) -> None:
    expected = (None, card.input_height_px, card.input_width_px, 3)
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) != 1:
        _invalid(card, f"one input {expected} was expected, {len(shapes)} were found: {_listed(shapes)}")
    (found,) = shapes
    if len(found) != 4 or any(side not in {None, wanted} for side, wanted in zip(found, expected, strict=True)):
        _invalid(card, f"the card says that the input is {expected}, the model takes {found}")


def _as_taken(model: Any, pixels: Any) -> Any:
    """Returns an input in the structure in which a model takes it: as it is, or in a list or dictionary of its own."""
    import keras

    if isinstance(model, keras.Sequential):
        return pixels
    return keras.tree.map_structure(lambda _: pixels, model.input)


def _by_name(model: Any, found: Any) -> dict[str, Any]:
    """Returns a model's outputs by name: a dictionary's keys, else the names of the layers that give them."""
    if isinstance(found, dict):
        return dict(found)
    tensors = list(found) if isinstance(found, (list, tuple)) else [found]
    names = getattr(model, "output_names", None) or [model.layers[-1].name]  # a Sequential has none of the first
    return dict(zip(names, tensors, strict=True))


def _probability(card: ModelCard, meant: ModelOutputs, outputs: dict[str, Any]) -> Any:
    """Returns the positive class's probability (n, 1)."""
    import keras

    if not meant.probability and len(outputs) > 1:
        text = "the card must say which output is the probability: [outputs] probability = NAME"
        _invalid(card, f"{text}. The model has {_described(outputs)}")
    name = meant.probability or next(iter(outputs))
    tensor = _named(card, outputs, name)
    shape = tuple(tensor.shape)
    if shape == (None, 2):  # negative class, positive class
        both = keras.layers.Activation("softmax", dtype="float32")(tensor) if meant.logits else tensor
        return both[:, 1:]
    if shape != (None, 1):
        text = f"the output {name!r} must be (None, 1), the positive class, or (None, 2), negative and positive class"
        _invalid(card, f"{text}; found {shape}")
    return keras.layers.Activation("sigmoid", dtype="float32")(tensor) if meant.logits else tensor


def _mask(card: ModelCard, meant: ModelOutputs, outputs: dict[str, Any]) -> Any:
    """Returns the lesion's map (n, rows, columns, 1)."""
    import keras

    tensor = _named(card, outputs, meant.mask)
    shape = tuple(tensor.shape)
    if len(shape) != 4 or shape[3] != 1 or None in shape[1:]:
        _invalid(card, f"the output {meant.mask!r} must be (None, rows, columns, 1); found {shape}")
    return keras.layers.Activation("sigmoid", dtype="float32")(tensor) if meant.logits else tensor


def _named(card: ModelCard, outputs: dict[str, Any], name: str) -> Any:
    if name not in outputs:
        _invalid(card, f"the card names the output {name!r}; the model has {_described(outputs)}")
    return outputs[name]


def _described(outputs: dict[str, Any]) -> str:
    return _listed([f"{name} {tuple(tensor.shape)}" for name, tensor in outputs.items()])


def _listed(things: list[Any]) -> str:
    return ", ".join(str(thing) for thing in things)


def _invalid(card: ModelCard, what: str) -> NoReturn:
    message = f"The model {card.key} and its card do not agree: {what}."
    raise ModelError(message, reason="INVALID_MODEL_CARD", metadata={"model": card.key})


def _not_loaded(card: ModelCard, why: str, cause: Exception | None = None) -> NoReturn:
    message = f"The file {card.weights} of {card.key} can't be loaded: {why}."
    raise ModelError(message, reason="MODEL_NOT_LOADED", metadata={"model": card.key}) from cause
