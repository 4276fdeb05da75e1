"""What every segmenter does, what it gives back, and the list of those that there are.

A segmenter looks at the upright image at full size and says where lesions are. It is pure: no state between images, no
I/O, the same answer for the same pixels; several threads may call one at a time.

`network` is none of them but has a name like one: the regions of the map that the classifying network gives in the same
pass (see `lesion_map`). A model that gives no map does not have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nevus_core.errors import InvalidRequest, Violation
from nevus_workers.imaging.otsu import OtsuSegmenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from nevus_workers.imaging.regions import Segmentation


NETWORK = "network"
"""What requests, cards and results call the network's own map as the source of regions."""


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
    """The segmenters that a worker offers for every model, by name."""

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
        if name not in self.by_name:
            raise _unknown(name, self.names)
        return self.by_name[name]

    def choose(self, name: str, *, gives_map: bool) -> Segmenter | None:
        """Returns the segmenter of this name for a model; None where the regions are to come from the model's own map.

        Args:
            name: Of a segmenter, or NETWORK.
            gives_map: Whether the model has a map of its own.

        Raises:
            InvalidRequest: UNKNOWN_SEGMENTER; NETWORK is unknown where the model gives no map.
        """
        own = (NETWORK,) if gives_map else ()
        if name in own:
            return None
        if name not in self.by_name:
            raise _unknown(name, (*own, *self.names))
        return self.by_name[name]


def built_in_segmenters() -> Segmenters:
    """Returns the segmenters that come with nevus."""
    return Segmenters({segmenter.name: segmenter for segmenter in (OtsuSegmenter(),)})


def _unknown(name: str, known: Sequence[str]) -> InvalidRequest:
    text = f"No segmenter of this model has this name. Known: {', '.join(known)}."
    return InvalidRequest([Violation("segmenter", "UNKNOWN_SEGMENTER", text)], {"segmenter": name})
