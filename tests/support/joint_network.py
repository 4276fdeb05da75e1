"""A `derm-joint` that sees drawn lesions, without training: seeded random weights but for its two last layers."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from nevus_workers.models import derm_joint
from nevus_workers.models.preparation import prepare

DRAWN = 6
INSIDE_LOGIT = 4.0
"""Aimed at inside a lesion; its negative outside."""
CLASS_LOGIT = 2.0
"""Of every other drawn lesion; its negative of the rest."""
COARSE_SHARE = 0.1
"""How much of the decoder's coarse map goes into the last one; all of it, being random, would drown the skip."""


def drawn_lesion(seed: int, width_px: int = 400, height_px: int = 300) -> tuple[Any, Any]:
    """Returns an image of one dark lesion, uint8 BGR (h, w, 3), and its mask, uint8 (h, w), 0 or 255."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height_px, width_px), np.uint8)
    centre = int(rng.uniform(0.25, 0.75) * width_px), int(rng.uniform(0.35, 0.65) * height_px)
    axes = tuple(int(share * height_px) for share in rng.uniform(0.1, 0.25, 2))
    cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, cv2.FILLED)
    colour = rng.uniform((40, 50, 80), (90, 100, 140))
    image = np.where(mask[..., None] > 0, colour, (150, 165, 215)) + rng.normal(0, 6, (height_px, width_px, 3))
    return np.clip(image, 0, 255).astype(np.uint8), mask


def joint_network() -> Any:
    """Returns the network as it serves: its map shows drawn lesions, its probabilities differ from image to image."""
    import keras

    keras.utils.set_random_seed(11)
    network = derm_joint.derm_joint()
    for layer in network.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):  # he_normal makes them too small by the root of the width
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * np.sqrt(kernel.shape[2]), bias])
    coarse = network.get_layer("down2")
    coarse.set_weights([weights * COARSE_SHARE for weights in coarse.get_weights()])
    _fit_heads(network)
    return network


def _fit_heads(network: Any) -> None:
    """Sets both last layers by least squares on drawn lesions; of the class with the smallest kernel that does it."""
    import keras

    side = derm_joint.SIDE_PX
    drawn = [drawn_lesion(seed) for seed in range(DRAWN)]
    pixels = [prepare(i, width_px=side, height_px=side, colour_order="rgb", resampling="area") for i, _ in drawn]
    heads = {name: network.get_layer(name) for name in ("mask_logit", "malignant_logit")}
    body = keras.Model(network.input, {name: head.input for name, head in heads.items()})
    features = body.predict_on_batch(np.stack(pixels).astype(np.float32))

    cells = features["mask_logit"].reshape(-1, features["mask_logit"].shape[-1])
    masks = np.stack([cv2.resize(mask, (side // 2, side // 2), interpolation=cv2.INTER_AREA) for _, mask in drawn])
    inside = masks.reshape(-1) > 127
    aim = np.where(inside, INSIDE_LOGIT, -INSIDE_LOGIT)
    weights = np.where(inside, 1 / inside.mean(), 1.0) ** 0.5  # skin and lesion count alike
    known = np.column_stack([cells, np.ones(len(cells))])
    fitted = np.linalg.lstsq(known * weights[:, None], aim * weights, rcond=None)[0]
    heads["mask_logit"].set_weights([fitted[:-1].reshape(1, 1, -1, 1), fitted[-1:]])

    pooled = features["malignant_logit"]
    middle = pooled.mean(axis=0)
    kernel = np.linalg.pinv(pooled - middle) @ np.resize([CLASS_LOGIT, -CLASS_LOGIT], (DRAWN, 1))
    heads["malignant_logit"].set_weights([kernel, -middle @ kernel])
