"""Losses that Keras lacks. Each gives one value an image, so that sample weights can leave images out."""

from __future__ import annotations

from typing import Any


def mask_loss() -> Any:
    """Returns the loss of a mask: cross-entropy plus one minus Dice, both per image and on logits.

    Truth: float (n, h, w, 1), 0..1, soft at edges. Prediction: logits (n, h, w, 1).
    """
    import keras
    from keras import ops

    class MaskLoss(keras.losses.Loss):  # type: ignore[misc,unused-ignore] # Keras has no types
        """Cross-entropy + (1 - Dice), float32 (n,)."""

        def call(self, y_true: Any, y_pred: Any) -> Any:
            logits, truth = ops.cast(y_pred, "float32"), ops.cast(y_true, "float32")
            entropy = ops.mean(ops.binary_crossentropy(truth, logits, from_logits=True), axis=(1, 2, 3))
            found = ops.sigmoid(logits)
            overlap = 2 * ops.sum(truth * found, axis=(1, 2, 3)) + 1.0
            size = ops.sum(truth, axis=(1, 2, 3)) + ops.sum(found, axis=(1, 2, 3)) + 1.0
            return entropy + 1 - overlap / size

    return MaskLoss(name="mask")
