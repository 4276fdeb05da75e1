"""Multiplying batch norms into the convolutions before them, so that the network that serves has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fold_norms(trained: Any, serving: Any) -> None:
    """Puts into `serving` the weights that make it the same function as `trained` is outside training.

    Args:
        trained: A Keras model in which the batch norm after a convolution NAME without bias is called NAME_norm.
        serving: The same layers by name, but convolutions with biases and no batch norms. What it lacks is left out.
    """
    names = {layer.name for layer in trained.layers}
    for layer in serving.layers:
        if not layer.weights:
            continue
        weights = trained.get_layer(layer.name).get_weights()
        if f"{layer.name}_norm" in names:
            norm = trained.get_layer(f"{layer.name}_norm")
            weights = _folded(weights[0], norm.get_weights(), norm.epsilon)
        layer.set_weights(weights)


def _folded(kernel: NDArray[np.float32], norm: list[NDArray[np.float32]], epsilon: float) -> list[NDArray[np.float32]]:
    """Returns kernel and bias.

    Args:
        kernel: (height, width, in, out), or (height, width, channels, 1) of a depthwise convolution.
        norm: Gamma, beta, moving mean, moving variance, each (channels,).
        epsilon: The batch norm's.
    """
    gamma, beta, mean, variance = (array.astype(np.float64) for array in norm)
    factor = gamma / np.sqrt(variance + epsilon)
    shaped = factor[:, None] if kernel.shape[2:] == (len(factor), 1) else factor
    return [(kernel * shaped).astype(np.float32), (beta - mean * factor).astype(np.float32)]
