"""The notebook's network in a form that can be trained, and the way back.

`notebook-cnn` takes raw 0..255 pixels into Conv2D and 238,144 flattened values into Dense(10, relu). Trained as it
stands it often collapses to a constant: all ten units die in the first steps. So the same function is trained with
better-behaved parameters:

    pixels ─ standardise ─ conv ─ maxpool ─ relu ─ conv ─ maxpool ─ batch norm ─ relu ─ mean over a 6x6 grid ─
    batch norm ─ dense 10 relu ─ dense 1

Every step added is linear, and maxpool and relu commute; so `fold` multiplies them into the plain network's kernels
exactly, and what is saved is the notebook's architecture, weight for weight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nevus_workers.models.architectures import NOTEBOOK_SIDE_PX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MEAN_BGR = (147.0, 142.0, 172.0)
"""Roughly the mean pixel of dermoscopy images; where exactly does not matter, since it is folded away."""
DEVIATION = 50.0
GRID_CELL = 20
"""Side of one cell of the mean, in values of the last feature map (122 a side: six cells, two values left over)."""
FEATURE_SIDE = 122


def trainable_network() -> Any:
    """Returns the Keras model to train: raw BGR 0..255 in, probability out; compiled by the caller."""
    import keras
    from keras import layers

    def normalised(name: str) -> Any:
        # No scale: a positive factor per channel commutes with the max-pooling before it, a negative one would not.
        return layers.BatchNormalization(scale=False, momentum=0.95, name=name)

    return keras.Sequential(
        [
            keras.Input((NOTEBOOK_SIDE_PX, NOTEBOOK_SIDE_PX, 3)),
            layers.Rescaling(1 / DEVIATION, [-mean / DEVIATION for mean in MEAN_BGR]),
            layers.Conv2D(32, 4, name="conv1", kernel_initializer="he_normal"),
            layers.MaxPooling2D(2),
            layers.ReLU(),
            layers.Conv2D(16, 4, name="conv2", kernel_initializer="he_normal"),
            layers.MaxPooling2D(2),
            normalised("norm2"),
            layers.ReLU(),
            layers.AveragePooling2D(GRID_CELL),
            normalised("norm3"),
            layers.Flatten(),
            layers.Dense(10, activation="relu", name="hidden", kernel_initializer="he_normal"),
            layers.Dense(1, activation="sigmoid", name="output"),
        ],
        name="notebook_cnn_training",
    )


def fold(weights: Mapping[str, list[NDArray[np.float32]]]) -> list[NDArray[np.float32]]:
    """Returns the weights of `notebook-cnn` that compute the same function, in the order of `Model.set_weights`.

    Args:
        weights: Layer name to weights of `trainable_network`, as `named_weights` gives them.
    """
    kernel1, bias1 = (array.astype(np.float64) for array in weights["conv1"])
    mean = np.array(MEAN_BGR) / DEVIATION
    plain1 = kernel1 / DEVIATION
    plain_bias1 = bias1 - np.einsum("hwio,i->o", kernel1, mean)
    kernel2, bias2 = (array.astype(np.float64) for array in weights["conv2"])
    factor2, offset2 = _normalisation(weights["norm2"])
    plain2, plain_bias2 = kernel2 * factor2, bias2 * factor2 + offset2
    hidden, hidden_bias = (array.astype(np.float64) for array in weights["hidden"])
    factor3, offset3 = _normalisation(weights["norm3"])
    cells = FEATURE_SIDE // GRID_CELL
    grid = hidden.reshape(cells, cells, len(factor3), -1)
    plain_hidden_bias = hidden_bias + np.einsum("yxcu,c->u", grid, offset3)
    wide = np.zeros((FEATURE_SIDE, FEATURE_SIDE, *grid.shape[2:]))
    spread = np.ones((GRID_CELL, GRID_CELL, 1, 1)) / GRID_CELL**2
    wide[: cells * GRID_CELL, : cells * GRID_CELL] = np.kron(grid * factor3[:, None], spread)
    plain_hidden = wide.reshape(-1, hidden.shape[1])
    folded = [plain1, plain_bias1, plain2, plain_bias2, plain_hidden, plain_hidden_bias, *weights["output"]]
    return [array.astype(np.float32) for array in folded]


def named_weights(model: Any) -> dict[str, list[NDArray[np.float32]]]:
    """Returns layer name to weights of a Keras model; layers without weights are left out."""
    return {layer.name: layer.get_weights() for layer in model.layers if layer.get_weights()}


def _normalisation(weights: list[NDArray[np.float32]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns factor and offset (channels,) of a batch norm without scale: weights are beta, mean, variance."""
    beta, mean, variance = (array.astype(np.float64) for array in weights)
    epsilon = 1e-3  # the Keras default
    factor = 1 / np.sqrt(variance + epsilon)
    return factor, beta - mean * factor
