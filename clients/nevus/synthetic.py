"""A dermoscopy-like picture, drawn from nothing: for a first try, for `nevus doctor`, for tests.

Skin with a light gradient and noise, a few thin hairs, and one dark, irregular, blotchy lesion. Pure standard library,
so that the client needs no imaging package. The picture shows no person, and a network's verdict on it means nothing.
"""

from __future__ import annotations

import math
import random
import struct
import zlib
from dataclasses import dataclass

_SKIN_RGB = (226, 178, 154)
_LESION_RGB = (112, 66, 50)
_HAIR_RGB = (150, 108, 88)
_ANGLES = 1024


def synthetic_lesion(width_px: int = 600, height_px: int = 450, seed: int = 0) -> bytes:
    """Returns a PNG file (8-bit RGB) with one lesion near its middle; the same pixels for the same arguments.

    Args:
        width_px: At least 32.
        height_px: At least 32.
        seed: Another one gives another lesion.

    Raises:
        ValueError: A side is below 32 px.
    """
    if min(width_px, height_px) < 32:
        raise ValueError(f"a lesion needs at least 32 x 32 px, not {width_px} x {height_px}")
    chance = random.Random(seed)  # noqa: S311 -- a picture, no secret
    rows = _skin(width_px, height_px, chance)
    _draw_hairs(rows, width_px, height_px, chance)
    _draw_lesion(rows, _Lesion.draw_up(width_px, height_px, chance), chance)
    return _png(width_px, height_px, rows)


@dataclass(frozen=True, slots=True)
class _Lesion:
    """A closed curve in polar form: `radii_px[i]` is the distance of the edge at angle 2 pi i / len(radii_px)."""

    centre_x: float
    centre_y: float
    radii_px: tuple[float, ...]

    @classmethod
    def draw_up(cls, width_px: int, height_px: int, chance: random.Random) -> _Lesion:
        """Returns a lesion whose edge is a circle with five random waves on it."""
        radius_px = 0.24 * min(width_px, height_px)
        waves = [(n, chance.uniform(0.02, 0.28 / n), chance.uniform(0, math.tau)) for n in (2, 3, 4, 7, 11)]
        radii = (
            radius_px * (1 + sum(size * math.sin(n * math.tau * i / _ANGLES + shift) for n, size, shift in waves))
            for i in range(_ANGLES)
        )
        return cls(width_px * chance.uniform(0.46, 0.54), height_px * chance.uniform(0.46, 0.54), tuple(radii))


def _skin(width_px: int, height_px: int, chance: random.Random) -> list[bytearray]:
    """Returns rows of RGB bytes: skin, a little darker towards the corners, with fine noise."""
    rows = []
    for y in range(height_px):
        dy = (y / height_px - 0.5) ** 2
        # One shade for 8 pixels: below what the eye sees, and an eighth of the work.
        shades = [1 - 0.22 * ((x / width_px - 0.5) ** 2 + dy) for x in range(0, width_px, 8)]
        base = bytearray()
        for shade in shades:
            base += bytes(int(level * shade) for level in _SKIN_RGB) * 8
        del base[3 * width_px :]
        noise = chance.randbytes(len(base))
        rows.append(bytearray(level + (bits & 7) - 3 for level, bits in zip(base, noise, strict=True)))
    return rows


def _draw_hairs(rows: list[bytearray], width_px: int, height_px: int, chance: random.Random) -> None:
    """Draws a few thin arcs across the picture, lighter than the lesion."""
    for _ in range(4):
        x, y = chance.uniform(0, width_px), 0.0
        heading, bend = chance.uniform(0.9, 2.2), chance.uniform(-0.002, 0.002)
        while 0 <= y < height_px and 0 <= x < width_px - 1:
            start = 3 * int(x)
            rows[int(y)][start : start + 6] = bytes(_HAIR_RGB) * 2
            x, y, heading = x + math.cos(heading), y + math.sin(heading), heading + bend


def _draw_lesion(rows: list[bytearray], lesion: _Lesion, chance: random.Random) -> None:
    """Blends the lesion into the rows: soft at its edge, blotchy inside."""
    height_px, width_px = len(rows), len(rows[0]) // 3
    reach = max(lesion.radii_px) * 1.06
    blotch_x, blotch_y, warp = (chance.uniform(0.03, 0.09) for _ in range(3))
    turn = _ANGLES / math.tau
    for y in range(max(0, int(lesion.centre_y - reach)), min(height_px, int(lesion.centre_y + reach) + 1)):
        row, dy = rows[y], y - lesion.centre_y
        half = math.sqrt(max(0.0, reach**2 - dy**2))
        for x in range(max(0, int(lesion.centre_x - half)), min(width_px, int(lesion.centre_x + half) + 1)):
            dx = x - lesion.centre_x
            depth = 1 - math.hypot(dx, dy) / lesion.radii_px[int(math.atan2(dy, dx) * turn) % _ANGLES]
            if depth > -0.05:
                blotch = 12 * math.sin(x * blotch_x + 2.2 * math.sin(y * warp)) - 26 * max(0.0, depth)
                blotch += 10 * math.sin(y * blotch_y + 1.8 * math.sin(x * warp))
                cover, at = min(1.0, (depth + 0.05) * 8), 3 * x
                for channel, level in enumerate(_LESION_RGB):
                    skin = row[at + channel]
                    row[at + channel] = int(skin + (level + blotch + (skin & 3) * 3 - skin) * cover)


def _png(width_px: int, height_px: int, rows: list[bytearray]) -> bytes:
    """Returns the rows as a PNG file (W3C PNG specification, section 5), each row unfiltered."""
    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), level=6)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
