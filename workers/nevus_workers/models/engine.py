"""A loaded classifier. `KerasEngine` is the one that serves; whatever has the same members can take its place.

Importing this module is light: the backend (TensorFlow by default) is imported when an engine is made, so that a
command that only reads cards does not pay two seconds and 500 MiB for it.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from nevus_core.errors import ModelError
from nevus_core.records import KERAS_FILE
from nevus_workers.models import architectures
from nevus_workers.models.compiled import compile_model, gives_map
from nevus_workers.models.explainer import Explainer
from nevus_workers.models.keras_file import load_keras_file
from nevus_workers.models.precision import FLOAT32, with_dtype
from nevus_workers.models.preparation import prepare_for
from nevus_workers.models.repository import verify_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from nevus_core.records import ModelCard
    from nevus_workers.models.answers import Answers
    from nevus_workers.models.explanation import Explanation


class Engine(Protocol):
    """A model that answers batches.

    `prepare` and `explain` may be called by many threads, `predict` and `warm` by one at a time.
    """

    @property
    def card(self) -> ModelCard:
        """What is loaded."""

    @property
    def max_batch(self) -> int:
        """Most images that one `predict` takes."""

    @property
    def gives_map(self) -> bool:
        """Whether the answers have the lesion's map; known before the first pass, and the same for every pass."""

    def prepare(self, image_bgr: NDArray[np.uint8]) -> NDArray[Any]:
        """Returns the network's input (height_px, width_px, 3) for an image uint8 (h, w, 3), blue-green-red, 0..255."""

    def predict(self, batch: NDArray[Any]) -> Answers:
        """Returns the answers for 1..max_batch prepared images (n, height_px, width_px, 3), in their order."""

    def explain(self, prepared: NDArray[Any]) -> Explanation:
        """Returns what each cell of one prepared image (height_px, width_px, 3) did to the logit of its answer.

        Beside a `predict` of another thread, whose answers it leaves as they are, to the bit. May take as long as 65
        images, or wait for others who ask for the same.
        """

    def warm(self) -> None:
        """Runs every batch size once, so that no request pays for a first time."""


class KerasEngine:
    """A Keras model, compiled once, for any batch size.

    Args:
        card: Which architecture, and how images are prepared for it.
        weights_path: Compared with the card's digest before anything of it is read.
        max_batch: At least 1.
        strips: Into how many strips a single image is cut where the network allows it (TensorFlow only), one a core.
        dtype: What the network computes in: "float32" or "bfloat16".

    Raises:
        ModelError: WEIGHTS_MISSING, WEIGHTS_SIZE_MISMATCH, WEIGHTS_DIGEST_MISMATCH; INVALID_MODEL_CARD where the
            architecture is unknown or inputs and outputs differ from the card's; MODEL_NOT_LOADED where the weights do
            not fit the architecture, or the file is no model that may be loaded, or not in this type.
    """

    def __init__(
        self, card: ModelCard, weights_path: Path, max_batch: int = 8, strips: int = 1, dtype: str = FLOAT32
    ) -> None:
        verify_weights(card, weights_path)
        self._card = card
        self._max_batch = max_batch
        self._strips = strips
        self._model = with_dtype(load_model(card, weights_path), card, dtype)
        self._compiled: dict[np.dtype[Any], Callable[[NDArray[Any]], Answers]] = {}
        self._passes = threading.Lock()
        self._explainer = Explainer(self._model, max_batch, self._passes)

    @property
    def card(self) -> ModelCard:
        """What is loaded."""
        return self._card

    @property
    def max_batch(self) -> int:
        """Most images that one `predict` takes."""
        return self._max_batch

    @property
    def gives_map(self) -> bool:
        """Whether the network has a lesion's map among its outputs."""
        return gives_map(self._model)

    def prepare(self, image_bgr: NDArray[np.uint8]) -> NDArray[Any]:
        """Returns the network's input for one image; see `nevus_workers.models.preparation.prepare`."""
        return prepare_for(self._card, image_bgr)

    def predict(self, batch: NDArray[Any]) -> Answers:
        """Returns the positive class's probability of each image, and its lesion's map where the network gives one.

        Args:
            batch: uint8 or float32 (n, height_px, width_px, 3), n from 1 to max_batch, as `prepare` made them.
        """
        compiled = self._compiled.get(batch.dtype)
        if compiled is None:
            compiled = compile_model(
                self._model, self._card, batch.dtype, backend=_import_backend(), strips=self._strips
            )
            self._compiled[batch.dtype] = compiled
        with self._passes:
            return compiled(batch)

    def explain(self, prepared: NDArray[Any]) -> Explanation:
        """Returns what each cell of one image did to the logit of the positive class; see `Explanation`.

        Where the network ends in a mean over a map and one dense logit, its class activation map: one pass, and the
        first time a second or two to build it. Else occlusion sensitivity: the passes of 65 images, in batches of
        max_batch. Either way one pass at a time, those of `predict` included.

        Args:
            prepared: uint8 or float32 (height_px, width_px, 3), as `prepare` made it; not modified.

        Raises:
            ArithmeticError: The network answered with something that is no number, or no probability.
        """
        return self._explainer.explain(prepared, self.predict, _import_backend())

    def warm(self) -> None:
        """Runs every batch size from 1 to max_batch once on black images."""
        image = self.prepare(np.zeros((self._card.input_height_px, self._card.input_width_px, 3), np.uint8))
        for size in range(1, self._max_batch + 1):
            self.predict(np.stack([image] * size))


def load_model(card: ModelCard, weights_path: Path) -> Any:
    """Returns the card's architecture with the weights in it; Keras 3 files and legacy `.h5` files alike.

    A whole model that Keras saved is returned as `load_keras_file` says.

    Raises:
        ModelError: INVALID_MODEL_CARD, MODEL_NOT_LOADED.
    """
    _import_backend()
    if card.architecture == KERAS_FILE:
        return load_keras_file(card, weights_path)
    model = architectures.build(card.architecture)
    if tuple(model.input_shape[1:]) != (card.input_height_px, card.input_width_px, 3):
        text = f"{card.architecture} takes {model.input_shape[1:]}, which is not what the card says."
        raise ModelError(text, reason="INVALID_MODEL_CARD", metadata={"model": card.key})
    try:
        # Never by_name: measured with Keras 3.15, it raises nothing and leaves wrong numbers in the layers.
        model.load_weights(weights_path)
    except Exception as error:  # Keras and h5py raise whatever they meet: OSError, ValueError, KeyError, TypeError
        text = f"The weights of {card.key} do not fit the architecture {card.architecture}."
        raise ModelError(text, reason="MODEL_NOT_LOADED", metadata={"model": card.key}) from error
    return model


def configure_threads(intra_op: int, inter_op: int) -> bool:
    """Sets how many threads the backend uses, and one for OpenCV; call it before the first model is made.

    Args:
        intra_op: Threads inside one operation; 1 where one process runs per core.
        inter_op: Operations at once.

    Returns:
        Whether the numbers are in force: False where TensorFlow had already started with others.
    """
    cv2.setNumThreads(1)
    if _import_backend() != "tensorflow":
        return True
    import tensorflow as tf

    threading = tf.config.threading
    try:
        threading.set_intra_op_parallelism_threads(intra_op)
        threading.set_inter_op_parallelism_threads(inter_op)
    except RuntimeError:  # "cannot be modified after initialization"
        in_force = threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads()
        return in_force == (intra_op, inter_op)
    return True


def _import_backend() -> str:
    """Imports Keras and its backend without their start-up lines on stderr; returns the backend's name.

    TensorFlow 2.21 announces oneDNN from static initialisers, before any log level counts, so file descriptor 2 points
    elsewhere during the first import. What fails there raises, and is seen all the same.
    """
    if "keras" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        sys.stderr.flush()
        kept = os.dup(2)
        try:
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no path of ours
                os.dup2(nowhere.fileno(), 2)
            importlib.import_module("keras")
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    import keras

    return str(keras.backend.backend())
