"""A Keras model made ready to answer: one function from a batch to `Answers`, whatever the backend.

A model gives either one output (n, 1), the probability of the positive class, or a dictionary of that as `malignant`
and of the lesion's map as `mask` (n, rows, columns, 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nevus_workers.models.answers import Answers
from nevus_workers.models.strips import image_by_image, in_strips

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nevus_core.records import ModelCard

MALIGNANT, MASK = "malignant", "mask"
"""Names of the outputs of a model that has several."""

Forward = Callable[[Any], Any]
"""From a batch to the model's output or outputs, all of them the backend's tensors."""

Cut = Callable[[Sequence[Any], int], Forward | None]
"""From the layers before Flatten and the rows of their map to what computes that map in pieces, where it can."""


def gives_map(model: Any) -> bool:
    """Returns whether a Keras model has a lesion's map among its outputs."""
    return MASK in _named_outputs(model)


def compile_model(
    model: Any, card: ModelCard, dtype: np.dtype[Any], *, backend: str, strips: int = 1
) -> Callable[[NDArray[Any]], Answers]:
    """Returns a function from a batch (n, height_px, width_px, 3) of one dtype to its answers.

    On TensorFlow there is one graph for every n, on a CPU image by image where the network allows it, and one more for
    a single image where that is cut into strips.

    Args:
        model: As `architectures.build` makes it.
        card: Says the input's size.
        dtype: uint8 or float32.
        backend: Keras's.
        strips: Into how many strips a single image is cut where the network allows it (TensorFlow only).
    """
    if backend != "tensorflow":
        import keras

        forward = _batch_invariant(model, _whole)
        return lambda batch: _answers(forward(batch), keras.ops.convert_to_numpy)
    import tensorflow as tf

    def graph(count: int | None, forward: Forward) -> Forward:
        shape = (count, card.input_height_px, card.input_width_px, 3)
        signature = [tf.TensorSpec(shape, tf.as_dtype(dtype))]
        compiled: Forward = tf.function(forward, signature)
        return compiled

    # A card computes a whole batch at once, and has no caches to keep it in.
    in_pieces = _whole if tf.config.list_physical_devices("GPU") else image_by_image
    many = graph(None, _batch_invariant(model, in_pieces))
    cut = strips > 1 and _flatten_at(model) is not None
    one = graph(1, _batch_invariant(model, partial(in_strips, strips=strips))) if cut else many
    return lambda batch: _answers((one if len(batch) == 1 else many)(tf.constant(batch)), lambda tensor: tensor.numpy())


def _answers(outputs: Any, to_numpy: Callable[[Any], NDArray[Any]]) -> Answers:
    """Returns the answers in a model's output or outputs, whose tensors `to_numpy` turns into arrays."""
    if not isinstance(outputs, Mapping):
        return Answers(np.asarray(to_numpy(outputs), np.float32).reshape(-1))
    probabilities = np.asarray(to_numpy(outputs[MALIGNANT]), np.float32).reshape(-1)
    maps = np.asarray(to_numpy(outputs[MASK]), np.float32)[..., 0] if MASK in outputs else None
    return Answers(probabilities, maps)


def _named_outputs(model: Any) -> Mapping[str, Any]:
    """Returns a model's outputs (symbolic tensors) by name; empty where it has but one, without a name."""
    outputs = getattr(model, "output", None)  # a Sequential that was never called says AttributeError
    return outputs if isinstance(outputs, Mapping) else {}


def _flatten_at(model: Any) -> int | None:
    """Returns where in a chain of layers Flatten stands; None where there is none, or the model is no chain."""
    import keras

    if not isinstance(model, keras.Sequential):
        return None
    return next((at for at, layer in enumerate(model.layers) if isinstance(layer, keras.layers.Flatten)), None)


def _whole(layers: Sequence[Any], rows: int) -> None:
    """Cuts nothing."""


def _batch_invariant(model: Any, cut: Cut) -> Forward:
    """Returns the model's forward pass, so made that an image's answer does not depend on who shares its batch.

    A matrix product of one row is summed in another order than one of several rows, and less exactly: for the 242,064
    terms behind notebook-cnn's Flatten that moved a probability by up to 1.5e-5, while products of 2 to 8 rows agree to
    the bit and lie within 1e-6 of the same sum in float64 (450 images, 2026-11-23). So there are always two rows.

    For the 1,280 terms behind derm-joint's mean it was up to 1.3e-6, and is 1.2e-7 (2026-11-23): TensorFlow on one
    thread sums the convolutions of a single image in another order too, which moves the map by up to 1.4e-6.
    """
    import keras

    flatten = _flatten_at(model)
    if flatten is not None:
        return _chain(model, flatten, cut)
    forward = _joint(model) or (lambda batch: model(batch, training=False))
    return lambda batch: forward(keras.ops.cast(batch, "float32"))


def _chain(model: Any, flatten: int, cut: Cut) -> Forward:
    """Returns the forward pass of layers one after the other, of which the one at `flatten` is Flatten."""
    import keras

    body = keras.Model(model.inputs, model.layers[flatten].input)
    features_of = cut(model.layers[:flatten], int(body.output_shape[1])) or (
        lambda batch: body(keras.ops.cast(batch, "float32"), training=False)
    )
    head = model.layers[flatten + 1 :]

    def dense(rows: Any) -> Any:
        for layer in head:
            rows = layer(rows)
        return rows

    return lambda batch: _with_two_rows(dense, model.layers[flatten](features_of(batch)))


def _joint(model: Any) -> Forward | None:
    """Returns the forward pass of a model whose `malignant` comes from a mean over the map; None for other models."""
    import keras

    outputs = _named_outputs(model)
    mean = next((layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)), None)
    if mean is None or MALIGNANT not in outputs:
        return None
    body = keras.Model(model.inputs, {**outputs, MALIGNANT: mean.output})
    head = keras.Model(mean.output, outputs[MALIGNANT])

    def forward(batch: Any) -> Any:
        found = body(batch, training=False)
        return {**found, MALIGNANT: _with_two_rows(head, found[MALIGNANT])}

    return forward


def _with_two_rows(head: Forward, features: Any) -> Any:
    """Returns what a head says of features (n, width); it gets one row more, which is thrown away."""
    import keras

    return head(keras.ops.concatenate([features, features[:1]]))[:-1]
