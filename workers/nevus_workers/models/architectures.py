"""The networks that nevus can build by name. Keras API only, so that any Keras backend runs them.

A card (`model.toml`) names one of these; the engine builds it and loads the card's weights into it. (Or it names none,
and the file holds the whole model: see `keras_file`.) Every network takes float32 images (n, height, width, 3) as
`engine.prepare` makes them. It gives either float32 (n, 1): the probability of the positive class, 0..1; or a
dictionary of that as `malignant` and of `mask` (n, rows, columns, 1): for each cell the probability 0..1 that it
belongs to a lesion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nevus_core.errors import ModelError
from nevus_workers.models.derm_joint import derm_joint

if TYPE_CHECKING:
    from collections.abc import Callable

NOTEBOOK_SIDE_PX = 500
"""Width and height of the image that `notebook-cnn` takes."""


def notebook_cnn() -> Any:
    """Returns the original notebook's network, untrained: 2,391,237 parameters, 1.75 GFLOP an image.

    Input: (n, 500, 500, 3), blue-green-red, 0..255 as decoded, not scaled. The layers are the notebook's, one for one,
    so that its legacy `model.h5` loads with `load_weights`.
    """
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((NOTEBOOK_SIDE_PX, NOTEBOOK_SIDE_PX, 3)),
            layers.Conv2D(32, 4, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 4, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="notebook_cnn",
    )


_BUILDERS: dict[str, Callable[[], Any]] = {"derm-joint": derm_joint, "notebook-cnn": notebook_cnn}


def names() -> tuple[str, ...]:
    """Returns the names that `build` knows, sorted."""
    return tuple(sorted(_BUILDERS))


def build(name: str) -> Any:
    """Returns a new, untrained Keras model.

    Args:
        name: An architecture's name as cards give it, such as "notebook-cnn".

    Raises:
        ModelError: INVALID_MODEL_CARD where no architecture has this name.
    """
    builder = _BUILDERS.get(name)
    if builder is None:
        message = f"No architecture is called {name!r}. Known: {', '.join(names())}."
        raise ModelError(message, reason="INVALID_MODEL_CARD", metadata={"architecture": name})
    return builder()
