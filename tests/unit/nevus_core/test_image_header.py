"""The first look at an upload: what it accepts, what it refuses and why, and that nothing else ever comes out of it."""

from __future__ import annotations

import hashlib
import io
import struct
import time
import tracemalloc
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from nevus_core.errors import InvalidImage
from nevus_core.image_header import inspect_image

if TYPE_CHECKING:
    from nevus_core.records import ImageInfo

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
SIZE = (60, 40)


@lru_cache
def picture(mode: str = "RGB") -> Image.Image:
    """A drawn image of SIZE whose corners differ."""
    image = Image.new("RGB", SIZE, (220, 170, 150))
    draw = ImageDraw.Draw(image)
    draw.ellipse((15, 8, 45, 32), fill=(90, 50, 40))
    draw.rectangle((0, 0, 8, 8), fill=(10, 200, 30))
    return image.convert(mode)


def encode(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """The picture as a file."""
    target = io.BytesIO()
    picture(mode).save(target, kind, **options)
    return target.getvalue()


def inspect(data: bytes, max_bytes: int = 10**6, max_pixels: int = 10**6) -> ImageInfo:
    """`inspect_image` under limits that a small file keeps."""
    return inspect_image(data, max_bytes=max_bytes, max_pixels=max_pixels)


def refused(data: bytes, **limits: int) -> InvalidImage:
    """The refusal of these bytes."""
    with pytest.raises(InvalidImage) as caught:
        inspect(data, **limits)
    return caught.value


def png_header(width_px: int, height_px: int) -> bytes:
    """A PNG that ends after its header."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def with_orientation(kind: str, orientation: int) -> bytes:
    """The picture with an EXIF (or TIFF) orientation."""
    if kind == "TIFF":
        return encode(kind, tiffinfo={274: orientation})
    exif = Image.Exif()
    exif[274] = orientation
    return encode(kind, exif=exif.tobytes())


@pytest.mark.parametrize("kind", FORMATS)
def test_reports_what_the_header_says(kind: str) -> None:
    """Proves that format, size, length and digest are right for every accepted format."""
    data = encode(kind)
    info = inspect(data)
    assert (info.format, info.width_px, info.height_px, info.orientation) == (kind.lower(), *SIZE, 1)
    assert (info.size_bytes, info.sha256) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "RGB", {"progressive": True}),
        ("PNG", "1", {}),
        ("PNG", "P", {}),
        ("PNG", "LA", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "I;16", {}),
        ("BMP", "1", {}),
        ("BMP", "P", {}),
        ("BMP", "RGBA", {}),
        ("TIFF", "I;16", {}),
        ("TIFF", "CMYK", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "RGB", {"big_tiff": True}),
        ("WEBP", "RGBA", {}),
        ("WEBP", "RGB", {"lossless": True}),
    ],
)
def test_accepts_the_kinds_of_a_format(kind: str, mode: str, options: dict[str, Any]) -> None:
    """Proves that depth, palette, alpha, compression and BigTIFF do not lead to a refusal or another size."""
    info = inspect(encode(kind, "L" if mode == "I;16" else mode, **options))
    assert (info.width_px, info.height_px) == SIZE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_that_of_the_upright_image(kind: str, orientation: int) -> None:
    """Proves that orientations 5 to 8 exchange width and height, and that all eight are reported."""
    info = inspect(with_orientation(kind, orientation))
    expected = SIZE if orientation < 5 else SIZE[::-1]
    assert (info.width_px, info.height_px, info.orientation) == (*expected, orientation)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_senseless_orientation_counts_as_none(orientation: int) -> None:
    """Proves that a tag outside 1..8 leaves the image as it is."""
    assert inspect(with_orientation("JPEG", orientation)).orientation == 1


def test_png_orientation_behind_the_pixels_counts() -> None:
    """Proves that an eXIf chunk after IDAT, which the standard allows, is found."""
    exif = Image.Exif()
    exif[274] = 6
    body = b"eXIf" + exif.tobytes()[6:]
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    plain = encode("PNG")
    assert inspect(plain[:-12] + chunk + plain[-12:]).orientation == 6


def test_no_bytes() -> None:
    """Proves EMPTY_IMAGE."""
    assert refused(b"").reason == "EMPTY_IMAGE"


def test_too_many_bytes() -> None:
    """Proves IMAGE_TOO_LARGE with both figures in the metadata."""
    data = encode("PNG")
    error = refused(data, max_bytes=100)
    assert error.reason == "IMAGE_TOO_LARGE"
    assert error.metadata == {"size_bytes": str(len(data)), "max_bytes": "100"}


def test_huge_header_is_refused_without_allocating() -> None:
    """Proves that a header of 40,000 x 40,000 costs no memory."""
    data = png_header(40_000, 40_000)
    tracemalloc.start()
    error = refused(data)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.reason == "TOO_MANY_PIXELS"
    assert error.metadata == {"width_px": "40000", "height_px": "40000", "max_pixels": "1000000"}
    assert peak_bytes < 100_000


def test_pixel_limit_is_inclusive() -> None:
    """Proves that exactly as many pixels as allowed pass, and one less limit does not."""
    data = encode("PNG")
    assert inspect(data, max_pixels=2400).width_px == 60
    assert refused(data, max_pixels=2399).reason == "TOO_MANY_PIXELS"


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"hello, this is text and no image", "JPEG, PNG, BMP, TIFF, WebP"),
        (encode("GIF", "P"), "GIF"),
        (encode("GIF", "P", save_all=True, append_images=[picture("P").rotate(90)]), "GIF"),
        (b"\x00" * 128 + b"DICM" + b"\x00" * 100, "DICOM"),
        (b"\x00\x00\x00\x18ftypheic" + b"\x00" * 40, "HEIC"),
        (encode("TIFF", "F"), "16 bits"),
    ],
)
def test_unsupported_formats_are_named(data: bytes, named: str) -> None:
    """Proves UNSUPPORTED_FORMAT, with a message that names what came or what would be accepted."""
    error = refused(data)
    assert error.reason == "UNSUPPORTED_FORMAT"
    assert named in error.message


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_several_frames(kind: str) -> None:
    """Proves ANIMATED_IMAGE for animated PNG and WebP and for a TIFF of several pages."""
    data = encode(kind, save_all=True, append_images=[picture().rotate(180)])
    assert refused(data).reason == "ANIMATED_IMAGE"


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_cut_off(kind: str, share: float) -> None:
    """Proves TRUNCATED_IMAGE wherever a file is cut."""
    data = encode(kind)
    assert refused(data[: int(len(data) * share)]).reason == "TRUNCATED_IMAGE"


@pytest.mark.parametrize("kind", FORMATS)
def test_cut_off_at_every_byte(kind: str) -> None:
    """Proves a typed refusal for every length, in the middle of whatever segment, chunk or directory it is."""
    data = encode(kind)
    reasons = {refused(data[:length]).reason for length in range(min(len(data) - 1, 2000))}
    assert reasons <= {"EMPTY_IMAGE", "UNSUPPORTED_FORMAT", "TRUNCATED_IMAGE"}


def test_end_of_a_thumbnail_is_not_the_end_of_the_image() -> None:
    """Proves that a cut JPEG is found out although the thumbnail inside its EXIF block has an end mark."""
    thumbnail = encode("JPEG")
    exif = b"Exif\x00\x00" + b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00" + thumbnail
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    main = encode("JPEG")
    data = main[:2] + segment + main[2:]
    assert inspect(data).width_px == 60
    assert refused(data[:-2]).reason == "TRUNCATED_IMAGE"


@pytest.mark.parametrize(
    "data",
    [
        b"BM and then some text that is no bitmap at all, only words",
        png_header(0, 10) + encode("PNG")[33:],
        b"\xff\xd8\xff\xe0\x00\x01" + b"\x00" * 50,
        b"\xff\xd8\xff\xd9\x00\x10" + b"\x00" * 50,
        b"RIFF\x40\x00\x00\x00WEBPVP8 \x20\x00\x00\x00" + b"\x00" * 60,
        b"II*\x00\x08\x00\x00\x00" + b"\x00" * 20,
    ],
)
def test_contradictory_headers(data: bytes) -> None:
    """Proves CORRUPT_IMAGE where the magic number is right and the rest is not."""
    assert refused(data).reason == "CORRUPT_IMAGE"


def test_endless_chunks_do_not_take_endless_time() -> None:
    """Proves that a megabyte of empty chunks is given up on."""
    data = png_header(10, 10) + (struct.pack(">I4s", 0, b"tEXt") + b"\x00" * 4) * 80_000
    assert refused(data, max_bytes=10**7).reason == "CORRUPT_IMAGE"


def tame(data: bytes) -> None:
    """Inspects; anything but an answer or InvalidImage fails the test."""
    try:
        info = inspect(data)
    except InvalidImage as error:
        assert error.message  # noqa: PT017 - either outcome is right
    else:
        assert info.width_px * info.height_px <= 10**6


MAGICS = (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\x00", b"MM\x00+", b"RIFF\x10\x00\x00\x00WEBPVP8X")


@given(st.sampled_from(MAGICS), st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes(magic: bytes, rest: bytes) -> None:
    """Proves that whatever follows a magic number, no other exception comes out."""
    tame(magic + rest)


@given(st.sampled_from(FORMATS), st.data())
@settings(deadline=None, max_examples=300)
def test_damaged_files(kind: str, draw: st.DataObject) -> None:
    """Proves the same for real files, cut somewhere and with bytes overwritten."""
    data = bytearray(with_orientation(kind, 6) if kind != "BMP" else encode(kind))
    for _ in range(draw.draw(st.integers(0, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    tame(bytes(data[: draw.draw(st.integers(0, len(data)))]))


def tiff_directory(entries: int, values: int) -> bytes:
    """Returns a TIFF whose directory repeats one tag, each time with many values."""
    entry = struct.pack("<HHII", 274, 3, values, 8)
    return b"II*\x00" + struct.pack("<I", 8) + struct.pack("<H", entries) + entry * entries + bytes(4 + 2 * values)


def test_a_directory_of_thousands_of_entries_costs_no_time() -> None:
    """A quarter of a megabyte must not keep the front end busy for seconds: TIFF, and EXIF in PNG."""
    bomb = tiff_directory(20_000, 20_000)
    began = time.process_time()
    refused(bomb, max_bytes=2**20)
    chunk = struct.pack(">I", len(bomb)) + b"eXIf" + bomb + bytes(4)
    png = encode("PNG")
    assert inspect(png[:33] + 3 * chunk + png[33:], max_bytes=2**20).orientation == 1
    assert time.process_time() - began < 0.5


def test_a_jpeg_of_many_scans_is_refused() -> None:
    """Each scan costs the decoder a pass over all pixels, however short it is."""
    jpeg = encode("JPEG", progressive=True)
    last_scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    assert inspect(jpeg).format == "jpeg"
    assert refused(jpeg[:-2] + 100 * last_scan + jpeg[-2:]).reason == "UNSUPPORTED_FORMAT"
