"""A Keras model of two layers in a repository: loads in no time, and says what its author tells it to."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

from nevus_core.records import ModelCard
from nevus_workers.models.repository import Repository

SIDE_PX = 16


def tiny_card(version: str = "1", name: str = "tiny", **changes: Any) -> ModelCard:
    """Returns its card, without digest."""
    facts: dict[str, Any] = {
        "name": name,
        "version": version,
        "title": "Says one thing",
        "weights": "tiny.keras",
        "input_width_px": SIDE_PX,
        "input_height_px": SIDE_PX,
        "operating_points": {"balanced": 0.5},
        "default_operating_point": "balanced",
    }
    return ModelCard(**{**facts, **changes})


def tiny_network(probability: float) -> Any:
    """Returns a network that says about this probability of every image."""
    import keras

    network = keras.Sequential(
        [
            keras.Input((SIDE_PX, SIDE_PX, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1, activation="sigmoid", kernel_initializer="zeros"),
        ]
    )
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel, bias + math.log(probability / (1 - probability))])
    return network


def put_tiny(root: Path, version: str = "1", probability: float = 0.25, **changes: Any) -> ModelCard:
    """Puts a version into a repository, weights first, and returns its complete card."""
    repository, card = Repository(root), tiny_card(version, **changes)
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".tiny-") as scratch:
        path = Path(scratch) / card.weights
        tiny_network(probability).save(path)
        return repository.publish(card, path)
