"""A network that computes in another type than it was built with: bfloat16 where the maps are, float32 at its ends.

bfloat16 keeps eight bits of a number's fraction. Kernels stay float32 and are rounded for each pass, so a card and its
weights are the same for both types. What it moves, and where it pays, is measured by `bench.precision`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from nevus_core.errors import ModelError
from nevus_core.records import KERAS_FILE

if TYPE_CHECKING:
    from nevus_core.records import ModelCard

FLOAT32, BFLOAT16 = "float32", "bfloat16"


def with_dtype(model: Any, card: ModelCard, dtype: str) -> Any:
    """Returns a model that computes in a type: the model itself in float32, else a copy with the same weights.

    What follows the last map (flattening or mean, dense layers, sigmoids) stays in float32: an answer of eight bits
    would come in steps of 0.004, and this part costs next to nothing. Inputs and outputs are float32 either way.

    Args:
        model: As `architectures.build` makes it, its weights loaded.
        card: Says what the model is.
        dtype: "float32" or "bfloat16".

    Raises:
        ModelError: MODEL_NOT_LOADED; bfloat16 is asked of a whole Keras file, whose layers are its author's.
    """
    if dtype == FLOAT32:
        return model
    if card.architecture == KERAS_FILE:
        _refuse(card, dtype)
    import keras

    layers = keras.layers
    exact = (layers.InputLayer, layers.Flatten, layers.GlobalAveragePooling2D, layers.Dense, layers.Activation)

    def copied(layer: Any) -> Any:
        config = layer.get_config()
        if not isinstance(layer, exact):
            config["dtype"] = f"mixed_{dtype}"
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=copied)
    copy.set_weights(model.get_weights())
    return copy


def _refuse(card: ModelCard, dtype: str) -> NoReturn:
    text = (
        f"NEVUS_ENGINE_DTYPE is {dtype}, which nevus does not do to {card.key}, a whole Keras file: save the model in "
        f"that type (Keras's policy mixed_{dtype}), and set float32 here, which leaves its layers as they are."
    )
    raise ModelError(text, reason="MODEL_NOT_LOADED", metadata={"model": card.key})
