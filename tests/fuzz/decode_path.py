"""What happens to a stranger's bytes before the network sees them; in this process, or in one that is watched.

As a program it reads files from stdin, each behind its length (4 bytes, little-endian), and answers each with one line:
`analysed`, or the reason for which it was refused.
"""

from __future__ import annotations

import struct
import sys
from typing import BinaryIO

import cv2

from nevus_core.errors import InvalidImage
from nevus_core.image_header import inspect_image
from nevus_workers.imaging.decode import decode, silence_decoders
from nevus_workers.imaging.otsu import OtsuSegmenter
from nevus_workers.models.preparation import prepare

MAX_BYTES = 16 * 2**20
MAX_PIXELS = 64_000_000
REASONS = frozenset(
    {
        "EMPTY_IMAGE",
        "UNSUPPORTED_FORMAT",
        "TRUNCATED_IMAGE",
        "CORRUPT_IMAGE",
        "ANIMATED_IMAGE",
        "IMAGE_TOO_LARGE",
        "TOO_MANY_PIXELS",
    }
)
ANALYSED = "analysed"


def analyse(data: bytes, max_pixels: int = MAX_PIXELS) -> str:
    """Returns ANALYSED, or the reason for which the file was refused. Anything else that it raises is a finding."""
    try:
        header = inspect_image(data, max_bytes=MAX_BYTES, max_pixels=max_pixels)
        image_bgr = decode(data)
    except InvalidImage as refusal:
        return refusal.reason if refusal.code == "INVALID_ARGUMENT" else refusal.code
    # The pixels that came out are bounded by what the header was checked for, whatever the decoder read there.
    assert image_bgr.shape[0] * image_bgr.shape[1] <= max_pixels, image_bgr.shape
    if image_bgr.shape[:2] != (header.height_px, header.width_px):
        return "CORRUPT_IMAGE"  # as the pipeline says
    OtsuSegmenter().segment(image_bgr)
    prepare(image_bgr, width_px=500, height_px=500)
    return ANALYSED


def serve(source: BinaryIO) -> None:
    """Answers file after file until the source ends."""
    silence_decoders()
    cv2.setNumThreads(1)  # as the worker does
    while len(head := source.read(4)) == 4:
        (length,) = struct.unpack("<I", head)
        print(analyse(source.read(length)), flush=True)  # noqa: T201


if __name__ == "__main__":
    serve(sys.stdin.buffer)
