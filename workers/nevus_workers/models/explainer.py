"""Explains one model's answers: by its class activation map where its head has one, else by occlusion.

Nothing of it is built before the first explanation is asked for. One image is explained at a time; the passes of the
network take the same lock as those of `KerasEngine.predict`, pass by pass, so that the answers to other jobs come in
between, and a network is never asked by two threads at once.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from nevus_workers.models.class_activation import Head, find_head
from nevus_workers.models.explanation import Explanation, Method
from nevus_workers.models.occlusion import occlusion

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from nevus_workers.models.answers import Answers


class Explainer:
    """Explains the answers of a Keras model, for any thread.

    Args:
        model: As the engine holds it.
        max_batch: Most images that one `predict` takes.
        passes: Held during each pass of the network.
    """

    def __init__(self, model: Any, max_batch: int, passes: threading.Lock) -> None:
        self._model = model
        self._max_batch = max_batch
        self._passes = passes
        self._one_at_a_time = threading.Lock()
        self._looked = False
        self._head: Head | None = None
        self._maps: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None

    def explain(self, prepared: NDArray[Any], predict: Callable[[NDArray[Any]], Answers], backend: str) -> Explanation:
        """Returns the explanation of one image's answer.

        Args:
            prepared: uint8 or float32 (height_px, width_px, 3), as the engine's `prepare` makes it; not modified.
            predict: The engine's, which takes `passes` itself. Not kept: a cycle of references would keep the weights.
            backend: Keras's.

        Raises:
            ArithmeticError: The network answered with something that is no number, or no probability.
        """
        with self._one_at_a_time:
            if not self._looked:
                self._head = find_head(self._model)
                self._maps = _compiled(self._head.features, prepared.shape, backend) if self._head else None
                self._looked = True
            if self._head is None or self._maps is None:
                return Explanation(Method.OCCLUSION, occlusion(prepared, predict, self._max_batch))
            pixels = prepared[None].astype(np.float32)
            with self._passes:
                maps = self._maps(pixels)[0]
            shares = self._head.shares(maps)
        if not np.isfinite(shares).all():
            raise ArithmeticError("The model's last map holds something that is no number.")
        return Explanation(Method.CLASS_ACTIVATION, shares)


def _compiled(
    features: Any, shape: tuple[int, ...], backend: str
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Returns a function from pixels float32 (1, *shape) to the map float32 (1, rows, columns, channels)."""
    if backend != "tensorflow":
        import keras

        def maps(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
            found = keras.ops.cast(features(keras.ops.convert_to_tensor(pixels), training=False), "float32")
            return np.asarray(keras.ops.convert_to_numpy(found), np.float32)

        return maps
    import tensorflow as tf

    signature = tf.TensorSpec((1, *shape), tf.float32)
    graph = tf.function(lambda pixels: tf.cast(features(pixels, training=False), tf.float32))
    # Traced here, which takes a second or more, and not in the pass, for which others wait.
    traced = graph.get_concrete_function(signature)
    return lambda pixels: np.asarray(traced(tf.constant(pixels)).numpy(), np.float32)
