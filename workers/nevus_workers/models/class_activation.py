"""Class activation maps: what each cell of a network's last map adds to the logit.

    B. Zhou, A. Khosla, A. Lapedriza, A. Oliva, A. Torralba: Learning Deep Features for Discriminative Localization,
    CVPR 2016, section 2.

Where a network ends in "mean over the map, then one dense logit", the logit is a sum over the map's cells, plus a bias:

    logit = bias + sum over cells of (features of the cell . weights) / number of cells

so the shares are exact. The head is found by its structure, in whatever models it may be nested, not by a name. What is
read of Keras beside its public face: a tensor's `_keras_history` and an operation's `_inbound_nodes` (run with Keras
3.15); a Keras without them counts as having another head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nevus_workers.models.compiled import MALIGNANT

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Head:
    """A mean over a map and a dense logit, and the network before them.

    Attributes:
        features: Keras model from pixels (n, height_px, width_px, 3) to the map (n, rows, columns, channels); shares
            the layers, and so the weights, of the model that it was found in.
        kernel: float64 (channels,).
        bias: Of the logit.
    """

    features: Any
    kernel: NDArray[np.float64]
    bias: float

    def shares(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns what each cell adds to the logit: float32 (rows, columns); their sum and the bias are the logit.

        Args:
            maps: float32 (rows, columns, channels): what `features` gives for one image.
        """
        cells = maps.shape[0] * maps.shape[1]
        return np.asarray(maps.astype(np.float64) @ self.kernel / cells, np.float32)


@dataclass(frozen=True, slots=True)
class _Spot:
    """A symbolic tensor, and the calls of the models that it lies in, the outermost first; none in the model itself."""

    tensor: Any
    calls: tuple[Any, ...] = ()


def find_head(model: Any) -> Head | None:
    """Returns the head that gives a model's probability; None where it is of another kind.

    Args:
        model: Functional or Sequential, with one input, and one output or a dictionary with `malignant` among them.
    """
    import keras

    outputs = getattr(model, "output", None)  # a Sequential that was never called says AttributeError
    spot = _Spot(outputs[MALIGNANT] if isinstance(outputs, Mapping) else model.outputs[0])
    operation, spot = _made_by(spot)
    sigmoid = isinstance(operation, keras.layers.Activation) and operation.activation is keras.activations.sigmoid
    if sigmoid:
        operation, spot = _made_by(spot)
    if not isinstance(operation, keras.layers.Dense) or operation.units != 1:
        return None
    if operation.activation is not (keras.activations.linear if sigmoid else keras.activations.sigmoid):
        return None
    dense = operation
    operation, spot = _made_by(spot)
    if not isinstance(operation, keras.layers.GlobalAveragePooling2D):
        return None
    if operation.keepdims or operation.data_format != "channels_last":
        return None
    features = _model_to(model, spot)
    if features is None:
        return None
    kernel = keras.ops.convert_to_numpy(dense.kernel)[:, 0].astype(np.float64)
    bias = float(keras.ops.convert_to_numpy(dense.bias)[0]) if dense.use_bias else 0.0
    return Head(features, kernel, bias)


def _made_by(spot: _Spot) -> tuple[Any, _Spot]:
    """Returns the operation that makes a tensor and where its first input is; what changes nothing is passed over.

    Models are looked into and out of. None in place of an operation where the way back can't be followed.
    """
    import keras

    while (history := getattr(spot.tensor, "_keras_history", None)) is not None:
        operation, node_index, tensor_index = history
        nodes = getattr(operation, "_inbound_nodes", None)
        if nodes is None:
            break
        node = nodes[node_index]
        if isinstance(operation, keras.Model):
            if not getattr(operation, "outputs", None):
                break
            spot = _Spot(operation.outputs[tensor_index], (*spot.calls, node))
        elif isinstance(operation, keras.layers.InputLayer):
            if not spot.calls:
                break
            *outer, call = spot.calls
            at = [tensor is spot.tensor for tensor in call.operation.inputs].index(True)
            spot = _Spot(call.input_tensors[at], tuple(outer))
        elif len(node.input_tensors) != 1:
            break
        else:
            spot = _Spot(node.input_tensors[0], spot.calls)
            if not _changes_nothing(operation):
                return operation, spot
    return None, spot


def _changes_nothing(operation: Any) -> bool:
    """Returns whether a layer gives what it gets, outside of training."""
    import keras

    if isinstance(operation, keras.layers.Activation):
        return operation.activation is keras.activations.linear
    return isinstance(operation, (keras.layers.Dropout, keras.layers.Identity))


def _model_to(model: Any, spot: _Spot) -> Any:
    """Returns a model from the input of `model` to a spot in it; None where a model between them has other inputs."""
    import keras

    tensor = spot.tensor
    for call in reversed(spot.calls):
        inner = call.operation
        if len(call.input_tensors) != len(inner.inputs):
            return None
        # The part of the inner model that is needed, called on what the whole was called on.
        tensor = keras.Model(_alone(inner.inputs), tensor)(_alone(call.input_tensors))
    return keras.Model(_alone(model.inputs), tensor)


def _alone(tensors: Sequence[Any]) -> Any:
    """Returns a single tensor by itself, others as a list: Keras tells [x] from x."""
    return list(tensors) if len(tensors) > 1 else tensors[0]
