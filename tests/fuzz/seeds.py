"""Whole, valid files of every format and kind that nevus takes (and some that it refuses), drawn here."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 96, 64


def seeds(real: Path | None = None, real_count: int = 4) -> dict[str, bytes]:
    """Returns files by name.

    Args:
        real: Folder of real JPEG files; its smallest ones are taken as well.
        real_count: How many of them.
    """
    found = {**dict(_jpeg()), **dict(_png()), **dict(_bmp()), **dict(_tiff()), **dict(_webp())}
    found["gif"] = _saved(picture().convert("P"), "GIF")
    if real is not None and real.is_dir():
        smallest = sorted(real.glob("*.jpg"), key=lambda path: (path.stat().st_size, path.name))[:real_count]
        found |= {f"real {path.stem}": path.read_bytes() for path in smallest}
    return found


def picture(mode: str = "RGB", width_px: int = WIDTH, height_px: int = HEIGHT) -> Image.Image:
    """Returns a dark, ragged spot on skin."""
    image = Image.new("RGB", (width_px, height_px), (222, 180, 160))
    draw = ImageDraw.Draw(image)
    box = (width_px // 4, height_px // 5, width_px * 3 // 4, height_px * 4 // 5)
    draw.ellipse(box, fill=(80, 48, 40))
    noise = np.random.default_rng(1).integers(-12, 12, (height_px, width_px, 3))
    noisy = np.clip(np.asarray(image).astype(int) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(noisy).convert(mode)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "a maker"
    return exif


def _written(suffix: str, image: NDArray[Any], *settings: int) -> bytes:
    done, encoded = cv2.imencode(suffix, image, settings)
    assert done
    return encoded.tobytes()


def _jpeg() -> Iterator[tuple[str, bytes]]:
    yield "jpeg", _saved(picture(), "JPEG", quality=80)
    yield "jpeg progressive", _saved(picture(), "JPEG", quality=70, progressive=True)
    yield "jpeg grey", _saved(picture("L"), "JPEG")
    yield "jpeg cmyk", _saved(picture("CMYK"), "JPEG")
    yield "jpeg 420 with restarts", _written(".jpg", np.asarray(picture()), cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
    for orientation in (3, 6):
        yield f"jpeg exif {orientation}", _saved(picture(), "JPEG", exif=_exif(orientation))


def _png() -> Iterator[tuple[str, bytes]]:
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1"):
        yield f"png {mode}", _saved(picture(mode), "PNG")
    yield "png 16 bits", _written(".png", np.asarray(picture()).astype(np.uint16) * 257)
    yield "png exif", _saved(picture(), "PNG", exif=_exif(8))
    yield "png animated", _saved(picture(), "PNG", save_all=True, append_images=[picture().rotate(90)])
    yield "png one frame", _saved(picture(), "PNG", save_all=True, append_images=[], default_image=False)


def _bmp() -> Iterator[tuple[str, bytes]]:
    for mode in ("RGB", "L", "P", "1"):
        yield f"bmp {mode}", _saved(picture(mode), "BMP")
    yield "bmp 32 bits", _written(".bmp", np.asarray(picture("RGBA")))


def _tiff() -> Iterator[tuple[str, bytes]]:
    for compression in ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "jpeg"):
        yield f"tiff {compression}", _saved(picture(), "TIFF", compression=compression)
    for mode in ("RGBA", "L", "P", "1", "CMYK", "YCbCr", "I;16"):
        yield f"tiff {mode}", _saved(picture("L" if mode == "I;16" else mode).convert(mode), "TIFF")
    yield "tiff fax", _saved(picture("1"), "TIFF", compression="group4")
    yield "tiff big", _saved(picture(), "TIFF", big_tiff=True)
    yield "tiff two pages", _saved(picture(), "TIFF", save_all=True, append_images=[picture()])
    yield "tiff exif", _saved(picture(), "TIFF", exif=_exif(6))


def _webp() -> Iterator[tuple[str, bytes]]:
    yield "webp", _saved(picture(), "WEBP", quality=60)
    yield "webp lossless", _saved(picture(), "WEBP", lossless=True)
    yield "webp alpha", _saved(picture("RGBA"), "WEBP", quality=60)
    yield "webp exif", _saved(picture(), "WEBP", exif=_exif(5))
    yield "webp animated", _saved(picture(), "WEBP", save_all=True, append_images=[picture().rotate(90)])
