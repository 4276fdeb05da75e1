"""The mask as a picture file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def encode_mask(mask: NDArray[np.uint8]) -> bytes:
    """Returns a 1-bit PNG of the mask's own size: white inside a region, black outside.

    Args:
        mask: uint8 (height_px, width_px), 0 or 255, in pixels of the upright image.
    """
    _, encoded = cv2.imencode(".png", mask, (cv2.IMWRITE_PNG_BILEVEL, 1))
    return encoded.tobytes()
