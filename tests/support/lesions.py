"""Drawn dermoscopy-like pictures of any size, seeded."""

from __future__ import annotations

import cv2
import numpy as np


def lesion_bgr(seed: int, width_px: int = 320, height_px: int = 240) -> np.ndarray:
    """Returns uint8 (height_px, width_px, 3), blue-green-red: skin with grain and one to three dark blots."""
    rng = np.random.default_rng(seed)
    image = np.ones((height_px, width_px, 3), np.float32) * (np.float32([150, 175, 215]) + rng.normal(0, 8, 3))
    for _ in range(int(rng.integers(1, 4))):
        centre = (int(width_px * rng.uniform(0.2, 0.8)), int(height_px * rng.uniform(0.2, 0.8)))
        axes = (int(width_px * rng.uniform(0.04, 0.2)), int(height_px * rng.uniform(0.04, 0.2)))
        mask = np.zeros((height_px, width_px), np.float32)
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
        mask = cv2.GaussianBlur(mask, (0, 0), 2)[..., None]
        image = image * (1 - mask) + np.float32([50, 70, 110]) * mask
    image += rng.normal(0, 4, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def lesion_jpeg(seed: int, width_px: int = 320, height_px: int = 240) -> bytes:
    """Returns the same picture as a JPEG file."""
    ok, data = cv2.imencode(".jpg", lesion_bgr(seed, width_px, height_px), [cv2.IMWRITE_JPEG_QUALITY, 92])
    assert ok
    return data.tobytes()
