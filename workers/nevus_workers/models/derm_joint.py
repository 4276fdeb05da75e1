"""`derm-joint`: one pass of one network gives a lesion's mask and the probability that it is malignant.

    pixels ─ EfficientNet-Lite0 ─┬─ mean ─ dense ─────────────────────────────── malignant
                                 └─ decoder: 1/32 ▸ 1/16 ▸ 1/8 ▸ 1/4 ▸ 1/2 ───── mask

The decoder starts from the encoder's last map, is doubled four times, and at each size adds what the encoder knew there
(U-Net's skips, by addition). Two forms of the same function: `trainable` with batch norms, logits and an auxiliary head
for the diagnosis; `derm_joint`, which serves, with the batch norms folded into the kernels (see `training.fold`).
"""

from __future__ import annotations

from typing import Any

from nevus_workers.models.efficientnet_lite import LayerStyle, convolution, depthwise, features

SIDE_PX = 224
"""Width and height of the image that serves; at 256 the encoder alone would cost 1.0 GFLOP."""
MASK_STRIDE = 2
"""Pixels of the input for each value of the mask, along each side."""
DECODER_WIDTHS = {16: 64, 8: 48, 4: 32, 2: 16}
"""Channels of the decoder's map at each stride."""
NORM_MOMENTUM = 0.97
"""Of the batch norms' running figures: quick, for training averages the weights and these figures once more."""
NARROW_STRIDES = (2,)
"""Where the maps are large, a depthwise and a 1x1 convolution stand in for the full 3x3 one."""


def derm_joint() -> Any:
    """Returns the network that serves, untrained.

    Input: (n, 224, 224, 3), red-green-blue, 0..255, not scaled. Outputs, by name: `mask` (n, 112, 112, 1), the
    probability 0..1 that the pixel belongs to a lesion; `malignant` (n, 1), the probability 0..1 of the positive class.
    """
    import keras
    from keras import layers

    pixels = keras.Input((SIDE_PX, SIDE_PX, 3), name="pixels")
    mask, pooled = _trunk(pixels, LayerStyle(folded=True))
    logit = layers.Dense(1, name="malignant_logit")(pooled)
    outputs = {
        "mask": layers.Activation("sigmoid", name="mask")(mask),
        "malignant": layers.Activation("sigmoid", name="malignant")(logit),
    }
    return keras.Model(pixels, outputs, name="derm_joint")


def trainable(diagnoses: int, *, dropout: float = 0.3, drop_path: float = 0.1) -> Any:
    """Returns the network to train, for images of any sides divisible by 32; it gives logits.

    Args:
        diagnoses: Classes of the auxiliary head, at least 1.
        dropout: Share of the pooled features left out in training.
        drop_path: See `LayerStyle`.

    Returns:
        A Keras model with the outputs `mask` (n, height / 2, width / 2, 1), `malignant` (n, 1) and
        `diagnosis` (n, diagnoses), float32 logits.
    """
    import keras
    from keras import layers

    pixels = keras.Input((None, None, 3), name="pixels")
    mask, pooled = _trunk(pixels, LayerStyle(norm_momentum=NORM_MOMENTUM, drop_path=drop_path))
    kept = layers.Dropout(dropout, name="dropout")(pooled)
    outputs = {
        "mask": layers.Activation("linear", name="mask")(mask),
        "malignant": layers.Activation("linear", name="malignant")(layers.Dense(1, name="malignant_logit")(kept)),
        "diagnosis": layers.Dense(diagnoses, name="diagnosis")(kept),
    }
    return keras.Model(pixels, outputs, name="derm_joint_training")


def _trunk(pixels: Any, style: LayerStyle) -> tuple[Any, Any]:
    """Returns the mask's logits (n, height / 2, width / 2, 1) and the pooled features (n, 1280)."""
    from keras import layers

    maps = features(pixels, style)
    pooled = layers.GlobalAveragePooling2D(name="pooled")(maps[32])
    current = maps[32]
    for stride, width in DECODER_WIDTHS.items():
        narrowed = convolution(current, width, 1, f"down{stride}", style, active=False)
        doubled = layers.UpSampling2D(2, interpolation="bilinear", name=f"double{stride}")(narrowed)
        skip = convolution(maps[stride], width, 1, f"skip{stride}", style, active=False)
        current = layers.ReLU(6.0, name=f"join{stride}_relu")(layers.Add(name=f"join{stride}")([doubled, skip]))
        if stride in NARROW_STRIDES:
            current = depthwise(current, 3, f"refine{stride}_depthwise", style)
            current = convolution(current, width, 1, f"refine{stride}", style)
        else:
            current = convolution(current, width, 3, f"refine{stride}", style)
    return layers.Conv2D(1, 1, name="mask_logit")(current), pooled
