"""Which cells of an image spoke for the positive class, and which against it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Method(StrEnum):
    """How an explanation is computed."""

    CLASS_ACTIVATION = "class activation map"
    OCCLUSION = "occlusion sensitivity"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What each cell of one image did to the logit, ln(p / (1 - p)), of the positive class's probability p.

    Attributes:
        method: What the numbers mean. Class activation map: shares, whose sum and the head's bias are the logit.
            Occlusion: by how much the logit falls when the cell is hidden; these need not sum to anything.
        contributions: float32 (rows, columns), finite, unbounded, above 0 for the positive class: the cells divide the
            whole image evenly, as it is stretched to the network's input, the first at its upper left corner.
    """

    method: Method
    contributions: NDArray[np.float32]
