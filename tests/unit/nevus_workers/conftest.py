"""Drawn lesions and a small model repository for the worker's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import msgspec
import numpy as np
import pytest

from nevus_core.records import Classification, ModelCard
from nevus_workers.models.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture
def lesion() -> Callable[..., NDArray[np.uint8]]:
    """A function (seed, width_px, height_px) -> uint8 BGR image: skin with dark blobs, specks, hairs and noise."""

    def draw(seed: int = 0, width_px: int = 320, height_px: int = 240) -> NDArray[np.uint8]:
        rng = np.random.default_rng(seed)
        image = np.full((height_px, width_px, 3), (150, 165, 215), np.uint8)
        reach = min(width_px, height_px)
        for _ in range(int(rng.integers(1, 5))):
            centre = tuple(int(value) for value in rng.integers(0, (width_px, height_px)))
            axes = tuple(int(value) for value in rng.integers(max(2, reach // 20), max(3, reach // 4), 2))
            cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, (40, 60, 100), cv2.FILLED)
        for _ in range(12):
            start, end = rng.integers(0, (width_px, height_px), (2, 2)).tolist()
            cv2.line(image, start, end, (30, 30, 40), 1)
        noise = rng.normal(0, 9, image.shape)
        return np.clip(image + noise, 0, 255).astype(np.uint8)

    return draw


@pytest.fixture
def malignant() -> Classification:
    """A classification above its threshold."""
    return Classification(
        label="malignant",
        probability=0.83,
        probabilities={"benign": 0.17, "malignant": 0.83},
        threshold=0.41,
        operating_point="balanced",
    )


@pytest.fixture
def card() -> ModelCard:
    """A valid card without weights."""
    return ModelCard(
        name="notebook-cnn",
        version="1",
        title="Title",
        intended_use="Tests",
        limitations="All",
        training_data="None",
        licence="Apache-2.0",
        architecture="notebook-cnn",
        weights="weights.weights.h5",
        input_width_px=500,
        input_height_px=500,
        operating_points={"balanced": 0.5, "screening": 0.1},
        default_operating_point="balanced",
    )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An empty model repository."""
    return Repository(tmp_path / "models")


@pytest.fixture(scope="session")
def untrained() -> Any:
    """One `notebook-cnn` with seeded random weights whose answers differ from image to image."""
    import keras

    from nevus_workers.models import architectures

    keras.utils.set_random_seed(7)
    model = architectures.build("notebook-cnn")
    *others, kernel, bias = model.get_weights()
    model.set_weights([*others, kernel * 0.02, bias])
    return model


@pytest.fixture(scope="session")
def joint() -> Any:
    """One `derm-joint` with seeded weights that sees drawn lesions."""
    from support.joint_network import joint_network

    return joint_network()


@pytest.fixture
def joint_card(card: ModelCard) -> ModelCard:
    """A valid card of `derm-joint` without weights, as training writes it."""
    return msgspec.structs.replace(
        card,
        name="derm-joint",
        architecture="derm-joint",
        input_width_px=224,
        input_height_px=224,
        colour_order="rgb",
        resampling="area",
        segmenter="network",
    )


@pytest.fixture(scope="session")
def legacy_weights(untrained: Any, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The same weights in Keras 2's file layout: a group a layer with `weight_names`, below `layer_names`."""
    import h5py

    path = tmp_path_factory.mktemp("legacy") / "model.h5"
    with h5py.File(path, "w") as file:
        named = [(f"{layer.name}_old", layer.get_weights()) for layer in untrained.layers]
        file.attrs["layer_names"] = [name.encode() for name, _ in named]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.2.4"
        for name, weights in named:
            group = file.create_group(name)
            names = [f"{name}/{part}:0" for part in ("kernel", "bias")[: len(weights)]]
            group.attrs["weight_names"] = [each.encode() for each in names]
            for each, array in zip(names, weights, strict=True):
                group.create_dataset(each, data=array)
    return path.read_bytes()
