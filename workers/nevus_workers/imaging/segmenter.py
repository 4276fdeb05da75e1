"""What every segmenter does, what it gives back, and the list of those that there are.

A segmenter looks at the upright image at full size and says where lesions are. It is pure: no state between images, no
I/O, the same answer for the same pixels; several threads may call one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nevus_core.errors import InvalidRequest, Violation
from nevus_workers.imaging.otsu import OtsuSegmenter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nevus_workers.imaging.regions import Segmentation


class Segmenter(Protocol):
    """Finds the regions of an image that may be lesions."""

    @property
    def name(self) -> str:
        """What requests, cards and results call it: lower case, digits and dashes."""

    def segment(self, image_bgr: NDArray[np.uint8]) -> Segmentation:
        """Returns the regions, none included, and their mask.

        Args:
            image_bgr: uint8 (height_px, width_px, 3), blue-green-red, 0..255, upright, not modified.
        """


@dataclass(frozen=True, slots=True)
class Segmenters:
    """The segmenters that a worker offers, by name."""

    by_name: dict[str, Segmenter]

    @property
    def names(self) -> tuple[str, ...]:
        """Sorted."""
        return tuple(sorted(self.by_name))

    def get(self, name: str) -> Segmenter:
        """Returns the segmenter of this name.

        Raises:
            InvalidRequest: UNKNOWN_SEGMENTER.
        """
        try:
            return self.by_name[name]
        except KeyError:
            text = f"No segmenter has this name. Known: {', '.join(self.names)}."
            raise InvalidRequest([Violation("segmenter", "UNKNOWN_SEGMENTER", text)], {"segmenter": name}) from None


def built_in_segmenters() -> Segmenters:
    """Returns the segmenters that come with nevus."""
    return Segmenters({segmenter.name: segmenter for segmenter in (OtsuSegmenter(),)})
