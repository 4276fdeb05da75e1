"""Decoding at reduced scale: when it is allowed, what size and pixels it gives, and that damage is told as ever."""

from __future__ import annotations

import io
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from nevus_core.errors import InvalidImage
from nevus_core.image_header import inspect_image
from nevus_core.records import ImageInfo
from nevus_workers.imaging.decode import decode
from nevus_workers.imaging.measures import COLOURS_BGR, measure
from nevus_workers.imaging.reduction import decode_at, reduced_shape, shrink_for
from nevus_workers.imaging.regions import from_contours
from support.joint_network import drawn_lesion

WIDTH, HEIGHT = 331, 203
"""Of which no shrink divides either side."""
SHRINKS = (2, 4)


def info(data: bytes) -> ImageInfo:
    """What the front end says of an upload."""
    return inspect_image(data, max_bytes=10**8, max_pixels=10**8)


def jpeg(picture_bgr: NDArray[np.uint8], mode: str = "RGB", **options: Any) -> bytes:
    """The picture as a JPEG file."""
    target = io.BytesIO()
    Image.fromarray(picture_bgr[:, :, ::-1]).convert(mode).save(target, "JPEG", **options)
    return target.getvalue()


def soft(width_px: int = WIDTH, height_px: int = HEIGHT) -> NDArray[np.uint8]:
    """A picture without symmetries in which nothing is finer than eight pixels."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(30, 225, (height_px // 32 + 1, width_px // 32 + 1, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.mark.parametrize(
    ("size", "shrink"),
    [
        ((3008, 2000), 2),
        ((4000, 3000), 2),
        ((6000, 4000), 4),
        ((1792, 1792), 2),
        ((1791, 1791), 2),
        ((1790, 1790), 1),
        ((3008, 1790), 1),
        ((1022, 767), 1),
        ((600, 450), 1),
    ],
)
def test_when_it_is_allowed(size: tuple[int, int], shrink: int) -> None:
    """Proves that both sides keep four times the network's, rounded up as the decoder rounds."""
    image = ImageInfo(format="jpeg", width_px=size[0], height_px=size[1], size_bytes=1, sha256="")
    assert shrink_for(image, 224, 224) == shrink
    for other in ("png", "bmp", "tiff", "webp"):
        assert shrink_for(msgspec.structs.replace(image, format=other), 224, 224) == 1


def test_a_small_network_leaves_enough_to_look_at() -> None:
    """Proves that the quality checks' copy is made from an image of twice its size at least."""
    image = ImageInfo(format="jpeg", width_px=1022, height_px=1022, size_bytes=1, sha256="")
    assert shrink_for(image, 32, 32) == 1
    assert shrink_for(msgspec.structs.replace(image, width_px=1023), 32, 32) == 2


@pytest.mark.parametrize("shrink", SHRINKS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation(orientation: int, shrink: int) -> None:
    """Proves that a reduced image is turned as a whole one is, also where its last row stands for half a row."""
    exif = Image.Exif()
    exif[274] = orientation
    data = jpeg(soft(), exif=exif.tobytes())
    reduced, used = decode_at(data, info(data), shrink)
    assert (used, reduced.shape) == (shrink, (*reduced_shape(info(data), shrink), 3))
    stored = Image.fromarray(decode(jpeg(soft()), shrink))
    stored.getexif()[274] = orientation
    assert np.array_equal(reduced, np.asarray(ImageOps.exif_transpose(stored)))


@pytest.mark.parametrize("shrink", SHRINKS)
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("L", {}),
        ("CMYK", {}),
        ("RGB", {"progressive": True}),
        ("RGB", {"subsampling": 0}),
        ("RGB", {"subsampling": 1}),
        ("RGB", {"restart_marker_blocks": 3}),
    ],
)
def test_every_kind_of_jpeg(mode: str, options: dict[str, Any], shrink: int) -> None:
    """Proves that grey, CMYK, progressive and finely sampled files come out at the size that is expected."""
    data = jpeg(soft(336, 208), mode, quality=95, **options)
    reduced, used = decode_at(data, info(data), shrink)
    assert (used, reduced.shape) == (shrink, (*reduced_shape(info(data), shrink), 3))
    averaged = cv2.resize(decode(data), reduced.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(averaged.astype(int) - reduced).mean() < 2.5


def test_what_comes_out_at_another_size_is_decoded_whole() -> None:
    """Proves that a file whose header was read otherwise is judged by its whole pixels, as without a shrink."""
    data = jpeg(soft())
    said = msgspec.structs.replace(info(data), width_px=3 * WIDTH)
    image, used = decode_at(data, said, 4)
    assert (used, image.shape) == (1, (HEIGHT, WIDTH, 3))


def outcome(data: bytes, shrink: int) -> str:
    """ "decoded", or the reason why it is not."""
    try:
        decode_at(data, info(data), shrink)
    except InvalidImage as error:
        return error.reason
    return "decoded"


@pytest.mark.parametrize("progressive", [False, True])
def test_damage_is_told_as_ever(progressive: bool) -> None:
    """Proves that bytes cut off or overwritten anywhere lead to the same outcome at every scale."""
    data = jpeg(soft(), progressive=progressive)
    rng = np.random.default_rng(6)
    seen = set()
    for number in range(150):
        at = int(rng.integers(2, len(data)))
        if number % 3:
            broken = data[:at] + rng.integers(0, 256, int(rng.integers(1, 9)), np.uint8).tobytes() + data[at + 3 :]
        else:
            broken = data[:at]
        outcomes = {outcome(broken, shrink) for shrink in (1, *SHRINKS)}
        assert len(outcomes) == 1, (number, at, outcomes)
        seen |= outcomes
    assert {"decoded", "TRUNCATED_IMAGE"} <= seen


@pytest.mark.parametrize("shrink", SHRINKS)
@pytest.mark.parametrize("seed", range(4))
def test_measures_of_a_reduced_image(seed: int, shrink: int) -> None:
    """Proves that shape and lengths are those of the upload to the digit, and that clear colours are told as well."""
    picture, mask = drawn_lesion(seed, 1507, 1003)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    regions = from_contours(contours, *mask.shape).regions
    box = regions[0].box
    picture[mask > 0] = COLOURS_BGR["dark_brown"]
    picture[: box.y + box.height // 3][mask[: box.y + box.height // 3] > 0] = COLOURS_BGR["blue_grey"]
    data = jpeg(picture, quality=90)
    reduced, _ = decode_at(data, info(data), shrink)
    found = measure(reduced, regions, shrink)
    assert found == measure(decode(data), regions)
    assert found is not None
    assert found.colours == ("dark_brown", "blue_grey")
