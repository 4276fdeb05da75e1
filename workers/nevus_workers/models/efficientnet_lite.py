"""EfficientNet-Lite0 in Keras layers: the encoder of `derm-joint`, and the whole ImageNet classifier for comparison.

EfficientNet-Lite (Tan, Le and Google's mobile team, 2020) is EfficientNet without squeeze-and-excitation and with ReLU6
in place of swish; stem and head keep their widths. Everything is channels last, padding is TensorFlow's "same" (for a
stride of 2 one pixel more at the right and at the bottom), and batch norm has an epsilon of 1e-3, as in the original.

Layers are named `stem`, `block0` .. `block15` with `_expand`, `_depthwise`, `_project`, and `head`; their batch norms
end in `_norm`. With `folded` there are no batch norms: their factors are in the kernels, their offsets are biases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NORM_EPSILON = 1e-3
STEM_WIDTH = 32
HEAD_WIDTH = 1280
IMAGENET_CLASSES = 1000
PIXEL_MEAN = 127.0
PIXEL_DEVIATION = 128.0
"""The original takes (pixel - 127) / 128, red-green-blue."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One row of the network's table: `repeats` inverted residual blocks, of which the first has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    width: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


@dataclass(frozen=True, slots=True)
class LayerStyle:
    """How convolutions are built.

    Attributes:
        folded: No batch norms, but biases: the form that serves.
        norm_momentum: Of the batch norms' running figures.
        drop_path: Share of images for which the last block's residual branch is left out in training; grows linearly
            from 0 at the first block (stochastic depth, Huang et al. 2016).
    """

    folded: bool = False
    norm_momentum: float = 0.99
    drop_path: float = 0.0


def convolution(
    inputs: Any, width: int, kernel: int, name: str, style: LayerStyle, *, stride: int = 1, active: bool = True
) -> Any:
    """Returns convolution, batch norm (unless folded) and ReLU6 (if active) of a Keras tensor (n, h, w, channels)."""
    from keras import layers

    convolved = layers.Conv2D(
        width,
        kernel,
        strides=stride,
        padding="same",
        use_bias=style.folded,
        kernel_initializer="he_normal",
        name=name,
    )(inputs)
    return _finished(convolved, name, style, active=active)


def depthwise(inputs: Any, kernel: int, name: str, style: LayerStyle, *, stride: int = 1) -> Any:
    """Returns depthwise convolution, batch norm (unless folded) and ReLU6 of a Keras tensor (n, h, w, channels)."""
    from keras import layers

    convolved = layers.DepthwiseConv2D(
        kernel,
        strides=stride,
        padding="same",
        use_bias=style.folded,
        depthwise_initializer="he_normal",
        name=name,
    )(inputs)
    return _finished(convolved, name, style, active=True)


def features(pixels: Any, style: LayerStyle) -> dict[int, Any]:
    """Returns the encoder's feature maps by their stride in pixels.

    Args:
        pixels: Keras tensor (n, height, width, 3), red-green-blue, 0..255, sides divisible by 32.
        style: Of every layer.

    Returns:
        Stride 2: 16 channels, 4: 24, 8: 40, 16: 112, 32: 1280 (after the head's convolution).
    """
    from keras import layers

    scaled = layers.Rescaling(1 / PIXEL_DEVIATION, -PIXEL_MEAN / PIXEL_DEVIATION, name="scaled")(pixels)
    current = convolution(scaled, STEM_WIDTH, 3, "stem", style, stride=2)
    found: dict[int, Any] = {}
    stride, index = 2, 0
    blocks = sum(stage.repeats for stage in STAGES)
    for stage in STAGES:
        for repeat in range(stage.repeats):
            step = stage.stride if repeat == 0 else 1
            stride *= step
            drop = style.drop_path * index / blocks
            current = _block(current, stage, step, f"block{index}", style, drop)
            index += 1
        found[stride] = current
    found[stride] = convolution(current, HEAD_WIDTH, 1, "head", style)
    return found


def classifier(side_px: int = 224) -> Any:
    """Returns the whole ImageNet classifier, untrained: (n, side_px, side_px, 3), RGB 0..255, to logits (n, 1000)."""
    import keras
    from keras import layers

    pixels = keras.Input((side_px, side_px, 3), name="pixels")
    pooled = layers.GlobalAveragePooling2D(name="pooled")(features(pixels, LayerStyle())[32])
    return keras.Model(pixels, layers.Dense(IMAGENET_CLASSES, name="imagenet")(pooled), name="efficientnet_lite0")


def _block(inputs: Any, stage: Stage, stride: int, name: str, style: LayerStyle, drop: float) -> Any:
    """Returns an inverted residual block: widen, filter each channel, narrow; added to its input where shapes agree."""
    from keras import layers

    width = inputs.shape[-1]
    inner = inputs
    if stage.expansion > 1:
        inner = convolution(inputs, width * stage.expansion, 1, f"{name}_expand", style)
    inner = depthwise(inner, stage.kernel, f"{name}_depthwise", style, stride=stride)
    outer = convolution(inner, stage.width, 1, f"{name}_project", style, active=False)
    if stride > 1 or width != stage.width:
        return outer
    if drop > 0:
        outer = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(outer)
    return layers.Add(name=f"{name}_sum")([inputs, outer])


def _finished(convolved: Any, name: str, style: LayerStyle, *, active: bool) -> Any:
    """Returns a convolution's output after batch norm (unless folded) and ReLU6 (if active)."""
    from keras import layers

    current = convolved
    if not style.folded:
        current = layers.BatchNormalization(epsilon=NORM_EPSILON, momentum=style.norm_momentum, name=f"{name}_norm")(
            current
        )
    return layers.ReLU(6.0, name=f"{name}_relu")(current) if active else current
