"""Occlusion sensitivity: how much the logit falls when a part of the image is hidden. Asks the network alone.

    M. D. Zeiler, R. Fergus: Visualizing and Understanding Convolutional Networks, ECCV 2014, section 4.2.

Every cell of a grid is painted over in its turn with the image's mean colour, so it takes one pass of the network for
each cell and one for the whole image: 65 images' worth.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from nevus_workers.models.strips import row_cuts

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from nevus_workers.models.answers import Answers

GRID = 8
"""Cells along each side: an eighth of a side is about half of a lesion's diameter in a picture that it fills well."""
LEAST_PROBABILITY = 1e-7
"""Probabilities are kept so far from 0 and 1: float32 knows none nearer to 1, and the logit must stay finite."""


def occlusion(
    prepared: NDArray[Any], predict: Callable[[NDArray[Any]], Answers], max_batch: int
) -> NDArray[np.float32]:
    """Returns by how much the logit falls when a cell is hidden: float32 (8, 8), fewer on sides shorter than 8 px.

    Args:
        prepared: uint8 or float32 (height_px, width_px, 3), as the engine's `prepare` makes it; not modified.
        predict: The engine's.
        max_batch: Most images that one `predict` takes.

    Raises:
        ArithmeticError: The network answered with something that is no probability.
    """
    rows, columns = (row_cuts(side, GRID) for side in prepared.shape[:2])
    mean = prepared.mean(axis=(0, 1), dtype=np.float64)
    neutral = (np.rint(mean) if np.issubdtype(prepared.dtype, np.integer) else mean).astype(prepared.dtype)
    wanted = [None, *product(rows, columns)]
    found: list[NDArray[np.float64]] = []
    for first in range(0, len(wanted), max_batch):
        cells = wanted[first : first + max_batch]
        batch = np.repeat(prepared[None], len(cells), axis=0)
        for image, cell in zip(batch, cells, strict=True):
            if cell is not None:
                (top, bottom), (left, right) = cell
                image[top:bottom, left:right] = neutral
        answers = predict(batch)
        if not answers.suit(len(cells)):
            raise ArithmeticError("The model answered with something that is no probability.")
        found.append(logit(answers.probabilities))
    whole, *hidden = np.concatenate(found)
    return np.asarray((whole - np.array(hidden)).reshape(len(rows), len(columns)), np.float32)


def logit(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns ln(p / (1 - p)), float64 of the same shape, within -16.1..16.1."""
    kept = np.clip(probabilities.astype(np.float64), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.asarray(np.log(kept) - np.log1p(-kept), np.float64)
