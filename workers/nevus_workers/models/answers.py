"""What one pass of a network says of its images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Answers:
    """One pass's answers, in the order of its images.

    Attributes:
        probabilities: float32 (n,), 0..1: of the positive class.
        maps: float32 (n, rows, columns), 0..1: for each cell of the whole image, stretched to the network's input, the
            probability that it belongs to a lesion; None of a network that gives no map.
    """

    probabilities: NDArray[np.float32]
    maps: NDArray[np.float32] | None = None

    def suit(self, count: int) -> bool:
        """Returns whether there is exactly one answer for each of so many images, and every number of it is finite."""
        if self.probabilities.shape != (count,) or not np.isfinite(self.probabilities).all():
            return False
        return self.maps is None or (
            self.maps.ndim == 3 and len(self.maps) == count and bool(np.isfinite(self.maps).all())
        )
