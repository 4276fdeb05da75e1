"""From the bytes of an upload to its upright pixels: the pipeline's first step.

The front end has looked at the header already (`nevus_core.image_header`); here the pixels are decoded. What the
decoder can't notice: JPEG and WebP carry no checksum, so damage in the middle of their compressed data gives wrong
pixels from there on instead of an error. PNG data is checked by its CRC; a missing end is caught by the header's check.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from nevus_core.errors import InvalidImage
from nevus_core.image_header import has_separate_alpha

if TYPE_CHECKING:
    from numpy.typing import NDArray


_FLAGS = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}


def decode(data: bytes, shrink: int = 1) -> NDArray[np.uint8]:
    """Returns the upright image: what a person sees who opens the file.

    The EXIF orientation of JPEG, PNG, WebP and TIFF is applied. 16-bit samples keep their upper 8 bits; grey, palette,
    1-bit and CMYK images become colour; alpha is dropped, and the colours under it stay as they are stored.

    Args:
        data: A whole JPEG, PNG, BMP, TIFF or WebP file that passed `inspect_image`.
        shrink: 1, 2 or 4, by which both sides are divided, rounded up: cheap for JPEG, not meant for others.

    Returns:
        uint8 array (height_px, width_px, 3), blue-green-red, 0..255; the caller's own.

    Raises:
        InvalidImage: CORRUPT_IMAGE where the data can't be decoded.
    """
    try:
        if has_separate_alpha(data):
            return _decode_tiff_with_alpha(data)
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS[shrink])
    except (cv2.error, OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError) as error:
        raise _corrupt() from error
    if decoded is None:
        raise _corrupt()
    return np.asarray(decoded, np.uint8)


def silence_decoders() -> None:
    """Keeps warnings about strangers' files out of stderr. Process-wide; the worker calls it once.

    libjpeg and libpng still write some lines of their own that no setting reaches.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def _decode_tiff_with_alpha(data: bytes) -> NDArray[np.uint8]:
    """Returns the pixels of an 8-bit TIFF with separate alpha.

    OpenCV 5.0 reads these through libtiff's RGBA interface, which multiplies the colours with alpha (measured: red 255
    under alpha 8 comes out as 8), so this one kind is left to Pillow.
    """
    with TiffImageFile(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return np.ascontiguousarray(np.asarray(upright, np.uint8)[:, :, ::-1])


def _corrupt() -> InvalidImage:
    return InvalidImage("CORRUPT_IMAGE", "The image's pixels can't be decoded; the file is damaged.")
