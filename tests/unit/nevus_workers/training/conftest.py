"""A tiny labelled data set: malignant lesions are dark blue, benign ones light brown."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

COLOURS = {"malignant": (110, 40, 40), "benign": (90, 130, 180)}
COUNTS = {"train": (4, 8), "val": (3, 5), "test": (3, 5)}


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `nevus train --data` takes it: 28 images of 64x64, every other one with a mask."""
    folder = tmp_path_factory.mktemp("data")
    for part in ("images", "masks"):
        (folder / part).mkdir()
    rng = np.random.default_rng(0)
    rows = ["id,label,diagnosis,source,has_mask,split"]
    for split, counts in COUNTS.items():
        for label, count in zip(COLOURS, counts, strict=True):
            for index in range(count):
                name = f"{split}-{label}-{index}"
                image = np.full((64, 64, 3), (170, 180, 220), np.uint8)
                centre = tuple(int(value) for value in rng.integers(24, 40, 2))
                cv2.circle(image, centre, 16, COLOURS[label], cv2.FILLED)
                noisy = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
                cv2.imwrite(str(folder / "images" / f"{name}.jpg"), noisy)
                masked = (index + 1) % 2
                if masked:
                    mask = np.zeros((64, 64), np.uint8)
                    cv2.circle(mask, centre, 16, 255, cv2.FILLED)
                    cv2.imwrite(str(folder / "masks" / f"{name}.png"), mask)
                rows.append(f"{name},{label},of {label},source-{index % 2},{masked},{split}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder
