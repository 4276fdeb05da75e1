"""Small images of every kind, drawn here."""

from __future__ import annotations

import struct
import zlib


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Returns one chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def drawn_png(width_px: int, height_px: int, shade: int = 200) -> bytes:
    """Returns a grey PNG with a dark square in the middle."""
    rows = []
    for y in range(height_px):
        row = bytearray([shade]) * width_px
        if height_px // 4 < y < height_px * 3 // 4:
            row[width_px // 4 : width_px * 3 // 4] = bytes([30]) * (width_px * 3 // 4 - width_px // 4)
        rows.append(b"\0" + bytes(row))
    body = png_chunk(b"IDAT", zlib.compress(b"".join(rows)))
    return png_header(width_px, height_px) + body + png_chunk(b"IEND", b"")


def png_header(width_px: int, height_px: int) -> bytes:
    """Returns the beginning of a grey PNG of any size: signature and header, nothing to decode."""
    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)


def huge_png(side_px: int) -> bytes:
    """Returns a whole file of a few bytes whose header claims side_px x side_px pixels."""
    return png_header(side_px, side_px) + png_chunk(b"IDAT", zlib.compress(b"")) + png_chunk(b"IEND", b"")


ANIMATED_GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
    + 2 * (b"!\xf9\x04\x00\x0a\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00")
    + b";"
)
"""Two frames of one pixel."""
