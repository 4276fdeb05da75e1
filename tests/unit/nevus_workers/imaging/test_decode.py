"""From bytes to upright pixels, for every format, depth and orientation; and what damage leads to."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from PIL import Image

from nevus_core.errors import InvalidImage
from nevus_core.image_header import inspect_image
from nevus_workers.imaging.decode import decode

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEIGHT, WIDTH = 40, 64


def quarters() -> NDArray[np.uint8]:
    """An RGB image whose four quarters have four colours."""
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    image[:20, :32], image[:20, 32:] = (230, 20, 20), (20, 200, 30)
    image[20:, :32], image[20:, 32:] = (30, 40, 220), (200, 200, 200)
    return image


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The image as a file."""
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def upright(stored: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """What CIPA DC-008 says a viewer shows of pixels stored under an orientation."""
    mirrored = stored[:, ::-1]
    shown = {
        1: stored,
        2: mirrored,
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(stored, 1),
    }
    return shown[orientation]


def assert_shows(decoded: NDArray[np.uint8], expected_rgb: NDArray[np.uint8], tolerance: float = 0) -> None:
    """The decoded BGR pixels are the RGB pixels expected, up to a mean difference."""
    assert decoded.dtype == np.uint8
    assert decoded.shape == expected_rgb.shape
    assert np.abs(decoded[:, :, ::-1].astype(int) - expected_rgb).mean() <= tolerance


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(kind: str, orientation: int) -> None:
    """Proves that all eight orientations come out upright, at the size that the header's check reports."""
    exif = Image.Exif()
    exif[274] = orientation
    options: dict[str, Any] = {"tiffinfo": {274: orientation}} if kind == "TIFF" else {"exif": exif.tobytes()}
    data = encode(Image.fromarray(quarters()), kind, **options)
    decoded = decode(data)
    assert_shows(decoded, upright(quarters(), orientation), tolerance=6)
    info = inspect_image(data, max_bytes=10**6, max_pixels=10**6)
    assert (info.height_px, info.width_px) == decoded.shape[:2]


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_grey_and_palette_become_colour(kind: str, mode: str) -> None:
    """Proves that 1-bit, grey and palette files decode to the colours that they stand for."""
    image = Image.fromarray(quarters()).convert(mode)
    assert_shows(decode(encode(image, kind)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "LA"), ("PNG", "RGBA"), ("TIFF", "LA"), ("TIFF", "RGBA")])
def test_alpha_is_dropped(kind: str, mode: str) -> None:
    """Proves that colours under alpha stay as stored; OpenCV alone darkens those of an RGBA TIFF."""
    image = Image.fromarray(quarters()).convert(mode)
    image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, WIDTH, dtype=np.uint8), (HEIGHT, 1))))
    expected = quarters() if mode == "RGBA" else np.asarray(Image.fromarray(quarters()).convert("L").convert("RGB"))
    assert_shows(decode(encode(image, kind)), expected)


def test_alpha_tiff_is_turned_upright() -> None:
    """Proves that the orientation also counts where Pillow decodes."""
    image = Image.fromarray(quarters()).convert("RGBA")
    assert_shows(decode(encode(image, "TIFF", tiffinfo={274: 6})), upright(quarters(), 6))


@pytest.mark.parametrize("extension", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_keep_the_upper_8(extension: str, channels: int) -> None:
    """Proves that 16-bit grey, RGB and RGBA are reduced, not clipped: within one step of a division by 257."""
    ramp = np.tile(np.linspace(0, 65535, WIDTH).astype(np.uint16)[None, :, None], (HEIGHT, 1, channels))
    _, data = cv2.imencode(extension, ramp)
    decoded = decode(data.tobytes()).astype(int)
    assert np.abs(decoded - (ramp[:, :, :1] / 257)).max() <= 1


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "L"), ("JPEG", "CMYK"), ("TIFF", "CMYK"), ("WEBP", "RGBA")])
def test_other_colour_models(kind: str, mode: str) -> None:
    """Proves that grey and CMYK JPEG, CMYK TIFF and WebP with alpha come out in the right colours."""
    image = Image.fromarray(quarters()).convert(mode)
    assert_shows(decode(encode(image, kind, quality=95)), np.asarray(image.convert("RGB")), tolerance=6)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_what_can_not_be_decoded(kind: str) -> None:
    """Proves CORRUPT_IMAGE for a file of which only the first bytes are right."""
    data = encode(Image.fromarray(quarters()), kind)
    with pytest.raises(InvalidImage) as caught:
        decode(data[:14] + b"\x00" * 40)
    assert caught.value.reason == "CORRUPT_IMAGE"


def test_damaged_png_is_found_out() -> None:
    """Proves that damage in the middle of a PNG is an error: its data carries a checksum."""
    data = bytearray(encode(Image.fromarray(quarters()), "PNG"))
    middle = data.index(b"IDAT") + 20
    data[middle : middle + 8] = b"\x00" * 8
    with pytest.raises(InvalidImage):
        decode(bytes(data))


def test_result_is_the_callers_own() -> None:
    """Proves that the pixels may be written to."""
    image = decode(encode(Image.fromarray(quarters()), "PNG"))
    image[0, 0] = 0
    assert image.flags.writeable
