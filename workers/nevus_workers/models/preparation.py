"""From the upright image to what a network takes. The same code when serving and when training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from nevus_workers.imaging.area import resize_area

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nevus_core.records import ModelCard


def prepare_for(card: ModelCard, image_bgr: NDArray[np.uint8]) -> NDArray[Any]:
    """Returns the image as a card's network takes it; see `prepare`.

    Args:
        card: Says size, colour order, scale and resampling.
        image_bgr: uint8 (height_px, width_px, 3) of any size, blue-green-red, 0..255, not modified.
    """
    return prepare(
        image_bgr,
        width_px=card.input_width_px,
        height_px=card.input_height_px,
        colour_order=card.colour_order,
        scale=card.scale,
        resampling=card.resampling,
    )


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
    if resampling == "area" and shrinks:
        resized = resize_area(image_bgr, width_px, height_px)
    else:
        resized = np.asarray(cv2.resize(image_bgr, (width_px, height_px), interpolation=cv2.INTER_LINEAR), np.uint8)
    if colour_order == "rgb":
        resized = np.asarray(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB), np.uint8)
    if scale != 1.0:
        return np.multiply(resized, scale, dtype=np.float32)
    return resized
