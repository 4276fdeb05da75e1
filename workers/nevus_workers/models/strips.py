"""The layers before Flatten strip by strip: one image on several cores, or a batch piece by piece on one.

A convolution without padding, or a pooling, needs for some rows of its output only some rows of its input. So the rows
of the last map are shared out, each share is computed from the strip of the image that it needs, and the shares are put
together again: the same numbers, for the few rows more that overlap. The strips are branches of one graph, which
TensorFlow runs beside one another with `inter_op` threads, while a batch keeps to one thread (`intra_op` 1).

Measured on two cores on 2026-11-23, two processes, alternating with one thread an image: a single image's median time
(decoding, segmenting, classifying) 0.70 of it, and 0.99 of the throughput in batches of 8. Two `intra_op` threads gave
0.85, and cost 1 to 2 ms of CPU an image under full load.

A batch as a whole drives its own maps out of the caches: behind notebook-cnn's first convolution they are 32 MB an
image, 253 MB for eight, and reading them again made the pooling a fifth of the pass. So a batch goes image by image,
each in `PIECES`, one after the other: 14.6 instead of 15.9 ms an image in batches of 8, 15.1 in one piece, 14.7 in
four (CPU, one thread, medians of 15 passes in one run, 2026-11-23), and the same bits. A process that had warmed
batches of 1 to 8 came to 638 MiB instead of 1,073.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Any

PIECES = 2
"""Of an image in a batch."""


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


def in_strips(layers: Sequence[Any], rows: int, strips: int, *, in_turn: bool = False) -> Callable[[Any], Any] | None:
    """Returns a function from images (n, h, w, 3) to the map behind the layers; None where they can't be cut.

    The images may be uint8; each strip becomes float32 by itself.

    Args:
        layers: Before Flatten, the first one first.
        rows: Of the last layer's output.
        strips: At most so many.
        in_turn: Whether one strip waits for the other (TensorFlow's graphs only).
    """
    import keras

    strips_of_input = [rows_needed(layers, first, behind) for first, behind in row_cuts(rows, strips)]
    if strips < 2 or not layers or None in strips_of_input:
        return None
    whole = _as_one(layers)

    def forward(images: Any) -> Any:
        parts: list[Any] = []
        for first, behind in filter(None, strips_of_input):
            with _after(parts[-1:] if in_turn else []):
                parts.append(whole(images[:, first:behind]))
        return keras.ops.concatenate(parts, axis=1)

    return forward


def _as_one(layers: Sequence[Any]) -> Callable[[Any], Any]:
    """Returns a function from images (n, h, w, 3), also uint8, to the map behind the layers."""
    import keras

    def forward(images: Any) -> Any:
        rows = keras.ops.cast(images, "float32")
        for layer in layers:
            rows = layer(rows)
        return rows

    return forward


def image_by_image(layers: Sequence[Any], rows: int) -> Callable[[Any], Any] | None:
    """Returns `in_strips` for batches, one image and one piece of it after the other; None where they can't be cut.

    For TensorFlow's graphs only.
    """
    import tensorflow as tf

    pieces = in_strips(layers, rows, PIECES, in_turn=True)
    if pieces is None:
        return None
    dtype = tf.as_dtype(layers[-1].compute_dtype)

    def forward(images: Any) -> Any:
        return tf.map_fn(lambda image: pieces(image[None])[0], images, parallel_iterations=1, fn_output_signature=dtype)

    return forward


def _after(parts: Sequence[Any]) -> AbstractContextManager[Any]:
    """Returns what makes TensorFlow compute something only after other parts of its graph; nothing for no parts."""
    if not parts:
        return nullcontext()
    import tensorflow as tf

    context: AbstractContextManager[Any] = tf.control_dependencies(parts)
    return context
