"""Hostile files: valid ones changed as damage, malice or a bad program would change them. Seeded, so repeatable."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator

INTERESTING = (
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    9,
    16,
    127,
    128,
    255,
    256,
    32767,
    32768,
    65535,
    65536,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
SIDES = (
    0,
    1,
    2,
    31,
    97,
    4096,
    7999,
    8001,
    16383,
    20000,
    32768,
    40000,
    65500,
    65535,
    2**20,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
"""Widths and heights: small, around the pixel limit, around what formats can say."""

Part = tuple[int, int]
"""Begin and end of a chunk, segment or entry."""


def hostile(files: dict[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yields `count` files, each with a name that tells how it came about.

    Args:
        files: Valid files by name.
        count: How many to make.
        seed: Another number, other files.
    """
    draw = random.Random(seed)
    names = sorted(files)
    for number in range(count):
        name = draw.choice(names)
        data, steps = files[name], []
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            change = draw.choice(CHANGES)
            data = change(data, draw) if change is not splice else splice(data, draw, files[draw.choice(names)])
            steps.append(change.__name__)
        if data.startswith(b"\x89PNG") and draw.random() < 0.7:
            data, steps = repair_checksums(data), [*steps, "repaired"]
        yield f"{number}: {name}: {', '.join(steps)}", data


def truncate(data: bytes, draw: random.Random) -> bytes:
    """Cuts the file off, more often near its beginning or its end."""
    end = draw.choice(
        (draw.randint(0, len(data)), draw.randint(0, min(len(data), 80)), max(0, len(data) - draw.randint(1, 12)))
    )
    return data[:end]


def flip_bits(data: bytes, draw: random.Random) -> bytes:
    """Turns some bits round."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 2, 8, 64)) if changed else 0):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def overwrite(data: bytes, draw: random.Random) -> bytes:
    """Puts an extreme number or noise over some bytes, mostly of the first 200."""
    at = draw.randrange(max(1, min(len(data), draw.choice((40, 200, len(data) or 1)))))
    form = draw.choice(("<B", "<H", ">H", "<I", ">I"))
    number = draw.choice(INTERESTING) & (2 ** (8 * struct.calcsize(form)) - 1)
    new = draw.choice((struct.pack(form, number), draw.randbytes(draw.randint(1, 24))))
    return data[:at] + new + data[at + len(new) :]


def cut_out(data: bytes, draw: random.Random) -> bytes:
    """Leaves a stretch out."""
    begin, end = _stretch(data, draw)
    return data[:begin] + data[end:]


def repeat(data: bytes, draw: random.Random) -> bytes:
    """Repeats a stretch, up to 200 times where it is short."""
    begin, end = _stretch(data, draw)
    times = draw.choice((2, 3, 200 if end - begin < 400 else 2))
    return data[:begin] + data[begin:end] * times + data[end:]


def swap_parts(data: bytes, draw: random.Random) -> bytes:
    """Exchanges two chunks or segments."""
    found = parts(data)
    if len(found) < 2:
        return flip_bits(data, draw)
    (a, b), (c, d) = sorted(draw.sample(found, 2))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def repeat_part(data: bytes, draw: random.Random) -> bytes:
    """Repeats a chunk or segment, here or elsewhere."""
    found = parts(data)
    if not found:
        return repeat(data, draw)
    begin, end = draw.choice(found)
    at = draw.choice(found)[0]
    times = draw.choice((1, 2, 50)) if end - begin < 2000 else 1
    return data[:at] + data[begin:end] * times + data[at:]


def drop_part(data: bytes, draw: random.Random) -> bytes:
    """Leaves a chunk or segment out."""
    found = parts(data)
    if not found:
        return cut_out(data, draw)
    begin, end = draw.choice(found)
    return data[:begin] + data[end:]


def lie_about_length(data: bytes, draw: random.Random) -> bytes:
    """Makes a length, count or offset say something else."""
    places = lengths(data)
    if not places:
        return overwrite(data, draw)
    at, form = draw.choice(places)
    (old,) = struct.unpack_from(form, data, at)
    most = 2 ** (8 * struct.calcsize(form)) - 1
    new = draw.choice((draw.choice(INTERESTING), old + draw.choice((-4, -1, 1, 4)), old * 2, len(data))) & most
    return data[:at] + struct.pack(form, new) + data[at + struct.calcsize(form) :]


def resize(data: bytes, draw: random.Random) -> bytes:
    """Claims another width or height, huge ones among them."""
    places = sides(data)
    if not places:
        return overwrite(data, draw)
    for at, form in places if draw.random() < 0.5 else [draw.choice(places)]:
        most = 2 ** (8 * struct.calcsize(form)) - 1
        data = data[:at] + struct.pack(form, draw.choice(SIDES) & most) + data[at + struct.calcsize(form) :]
    return data


def splice(data: bytes, draw: random.Random, other: bytes = b"") -> bytes:
    """Goes on with another file in the middle."""
    return data[: draw.randint(0, len(data))] + other[draw.randint(0, len(other)) :]


CHANGES: tuple[Callable[..., bytes], ...] = (
    truncate, flip_bits, flip_bits, overwrite, overwrite, cut_out, repeat, swap_parts, repeat_part, drop_part,
    lie_about_length, lie_about_length, resize, resize, splice,
)  # fmt: skip


def parts(data: bytes) -> list[Part]:
    """Returns the chunks, segments or directory entries of a file, as far as it can be read; none of other files."""
    return [(at, min(end, len(data))) for at, end, _ in _walk(data) if at < len(data)]


def lengths(data: bytes) -> list[tuple[int, str]]:
    """Returns where lengths, counts and offsets stand, with their struct form."""
    found = [place for _, _, places in _walk(data) for place in places]
    if data[:4] == b"RIFF":
        found.append((4, "<I"))
    if data[:2] == b"BM":
        found += [(2, "<I"), (10, "<I"), (14, "<I"), (28, "<H"), (30, "<I"), (34, "<I"), (46, "<I")]
    if data[:2] in {b"II", b"MM"}:
        found.append((4, ">I" if data[:1] == b"M" else "<I"))
    return [(at, form) for at, form in found if at + struct.calcsize(form) <= len(data)]


def sides(data: bytes) -> list[tuple[int, str]]:
    """Returns where width and height stand, with their struct form."""
    found: list[tuple[int, str]] = []
    if data[:4] == b"\x89PNG":
        found = [(16, ">I"), (20, ">I")]
    elif data[:2] == b"BM":
        found = [(18, "<I"), (22, "<I")]
    elif data[:2] == b"\xff\xd8":
        for at, _, _ in _walk(data):
            if data[at + 1 : at + 2] in {b"\xc0", b"\xc1", b"\xc2"}:
                found += [(at + 5, ">H"), (at + 7, ">H")]
    elif data[:2] in {b"II", b"MM"}:
        order = ">" if data[:1] == b"M" else "<"
        for at, _, _ in _walk(data):
            if at + 12 <= len(data) and struct.unpack_from(order + "H", data, at)[0] in {256, 257, 277, 278, 322, 323}:
                found.append((at + 8, order + "I"))
    elif data[8:12] == b"WEBP":
        found = {b"VP8 ": [(26, "<H"), (28, "<H")], b"VP8L": [(21, "<I")], b"VP8X": [(24, "<I"), (26, "<I")]}.get(
            data[12:16], []
        )
    return [(at, form) for at, form in found if at + struct.calcsize(form) <= len(data)]


def repair_checksums(data: bytes) -> bytes:
    """Returns a PNG whose chunks have the right CRC, so that what is inside them gets looked at."""
    repaired = bytearray(data)
    for begin, end in parts(data):
        if end - begin >= 12:
            repaired[end - 4 : end] = struct.pack(">I", zlib.crc32(repaired[begin + 4 : end - 4]))
    return bytes(repaired)


def _stretch(data: bytes, draw: random.Random) -> Part:
    begin = draw.randint(0, len(data))
    return begin, min(len(data), begin + draw.choice((1, 4, 30, 300, 3000)))


def _walk(data: bytes) -> Iterator[tuple[int, int, list[tuple[int, str]]]]:
    """Yields begin, end and length fields of every part."""
    try:
        if data[:4] == b"\x89PNG":
            yield from _chunks(data, 8, ">I", 0, 12)
        elif data[8:12] == b"WEBP":
            yield from _chunks(data, 12, "<I", 4, 8)
        elif data[:2] == b"\xff\xd8":
            yield from _segments(data)
        elif data[:2] in {b"II", b"MM"}:
            yield from _entries(data)
    except (struct.error, OverflowError):  # an offset that no file has
        return


def _chunks(
    data: bytes, at: int, form: str, length_at: int, frame: int
) -> Iterator[tuple[int, int, list[tuple[int, str]]]]:
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(form, data, at + length_at)
        end = at + frame + length + (length % 2 if frame == 8 else 0)
        yield at, end, [(at + length_at, form)]
        at = end


def _segments(data: bytes) -> Iterator[tuple[int, int, list[tuple[int, str]]]]:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        if data[at + 1] == 0xDA:  # the scan's data go on to the next marker
            while end + 1 < len(data) and (data[end] != 0xFF or data[end + 1] in {0, *range(0xD0, 0xD8)}):
                end += 1
        yield at, end, [(at + 2, ">H")]
        at = end


def _entries(data: bytes) -> Iterator[tuple[int, int, list[tuple[int, str]]]]:
    order = ">" if data[:1] == b"M" else "<"
    big = data[2:4] in {b"+\x00", b"\x00+"}
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
    at, size = start + (8 if big else 2), 20 if big else 12
    for _ in range(min(count, 100)):
        if at + size > len(data):
            return
        yield at, at + size, [(at + 2, order + "H"), (at + 4, order + "I"), (at + (12 if big else 8), order + "I")]
        at += size
