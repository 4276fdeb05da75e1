"""Decoding a large JPEG at a half or a quarter of its size, where the network sees less than that anyway.

JPEG keeps blocks of 8x8 pixels as frequencies, so a decoder can leave the finest out and never make the pixels that
would be averaged away at once. Whatever looks at the pixels themselves (`otsu`, pictures) gets them all; regions stay
in pixels of the upload. What it changes is stated in docs/performance.md.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from nevus_core.errors import InvalidImage
from nevus_workers.imaging.appearance import SIDE_PX
from nevus_workers.imaging.decode import decode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nevus_core.records import ImageInfo

SHRINKS = (4, 2)
"""The largest first. There is 8 too, at which the colours of a JPEG with 4:2:2 sampling come out shifted (a mean of 6
grey levels on a picture of many colours, 1 at a quarter; OpenCV 5.0)."""
LEAST_SIDES = 4
"""Both sides keep at least so many times the network's own: then a probability moves hardly more than it does when
every pixel moves by one grey level. With 2 it would be about twice as much (docs/performance.md)."""
LEAST_LOOK = 2
"""The long side keeps at least so many times that of the copy which tells a blurred image."""


def shrink_for(image: ImageInfo, width_px: int, height_px: int) -> int:
    """Returns by how much an image's sides may be divided when it is decoded: 1, 2 or 4; 1 for all but JPEG.

    Args:
        image: What its header says.
        width_px: Of the network's input.
        height_px: Of the network's input.
    """
    if image.format != "jpeg":
        return 1
    for shrink in SHRINKS:
        height, width = reduced_shape(image, shrink)
        close_to_look = max(height, width) < LEAST_LOOK * SIDE_PX
        if width >= LEAST_SIDES * width_px and height >= LEAST_SIDES * height_px and not close_to_look:
            return shrink
    return 1


def reduced_shape(image: ImageInfo, shrink: int) -> tuple[int, int]:
    """Returns height and width, in px, of an image that is decoded at 1 / shrink; libjpeg rounds up."""
    return -(-image.height_px // shrink), -(-image.width_px // shrink)


def decode_at(data: bytes, image: ImageInfo, shrink: int) -> tuple[NDArray[np.uint8], int]:
    """Returns an upright image's pixels, and by how much its sides are divided: `shrink`, or 1 where that fails.

    Args:
        data: The upload.
        image: What its header says.
        shrink: 1, or what `shrink_for` allows.

    Returns:
        uint8 array of `reduced_shape`, or of any other where the file is damaged, (height, width, 3), blue-green-red,
        0..255, the caller's own; and 1, 2 or 4.

    Raises:
        InvalidImage: CORRUPT_IMAGE, whatever the shrink: what can't be decoded smaller is decoded whole.
    """
    if shrink > 1:
        with suppress(InvalidImage):
            reduced = decode(data, shrink)
            if reduced.shape[:2] == reduced_shape(image, shrink):
                return reduced, shrink
    return decode(data), 1
