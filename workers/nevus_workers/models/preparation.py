"""From the upright image to what a network takes. One function, used when serving and when training alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def prepare(
    image_bgr: NDArray[np.uint8],
    *,
    width_px: int,
    height_px: int,
    colour_order: str = "bgr",
    scale: float = 1.0,
    resampling: str = "linear",
) -> NDArray[Any]:
    """Returns the image at the network's size, in its colour order and range.

    The whole image is stretched to the target: the aspect ratio is not kept.

    Args:
        image_bgr: uint8 (height_px, width_px, 3) of any size, blue-green-red, 0..255, not modified.
        width_px: Of the network's input.
        height_px: Of the network's input.
        colour_order: "bgr" or "rgb": the order that the network takes.
        scale: Multiplied with the pixel values.
        resampling: "linear": bilinear, as the notebook does; looks at four pixels, however many it leaves out. "area":
            the mean of all pixels that fall together, where both sides shrink; bilinear elsewhere.

    Returns:
        (height_px, width_px, 3): uint8 0..255 where scale is 1 (the engine casts on the device, a quarter of the
        bytes to copy), otherwise float32 0..255 * scale.
    """
    shrinks = image_bgr.shape[0] > height_px and image_bgr.shape[1] > width_px
    interpolation = cv2.INTER_AREA if resampling == "area" and shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image_bgr, (width_px, height_px), interpolation=interpolation)
    if colour_order == "rgb":
        resized = cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)
    if scale != 1.0:
        return np.multiply(resized, scale, dtype=np.float32)
    return np.asarray(resized, np.uint8)
