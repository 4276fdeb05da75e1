"""What one pass of a network costs, counted from its layers."""

from __future__ import annotations

from math import prod
from typing import Any

FLOP_PER_MULTIPLY_ADD = 2


def mega_flops(model: Any) -> float:
    """Returns the floating point operations of one image's pass in millions, two for each multiply-add.

    Convolutions and dense layers count; additions, activations, resizing and pooling do not, as is usual.

    Args:
        model: A built Keras model with fixed image sides.
    """
    return FLOP_PER_MULTIPLY_ADD * sum(_multiply_adds(layer) for layer in model.layers) / 1e6


def _multiply_adds(layer: Any) -> int:
    """Returns a layer's multiply-adds for one image."""
    from keras import layers

    if not isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)):
        return 0
    kernel = tuple(layer.kernel.shape)
    places = prod(layer.output.shape[1:-1])
    return int(places * prod(kernel))
