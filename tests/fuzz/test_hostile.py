"""Hostile and broken files: each is refused with a typed reason or analysed; nothing crashes, hangs or grows."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

import nevus
from fuzz.decode_path import ANALYSED, MAX_PIXELS, REASONS, analyse
from fuzz.mutations import hostile
from fuzz.seeds import picture, seeds
from fuzz.watched import watched
from support.images import png_chunk
from support.system import System, running

REAL = Path(__file__).parent.parent.parent.parent / "shared" / "data" / "images"
LIMIT_S = 5.0
GROWTH_LIMIT_BYTES = 64 * 2**20
PEAK_LIMIT_BYTES = 1536 * 2**20
"""Of one process that decodes one image of at most 64 megapixels at a time."""
CHUNK_BEHIND_THE_END = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000600000004008020000003f08730b0000000049454e44ae426082ffffffff4944415478"
)
"""A PNG without data; behind its end a chunk that claims 4 GiB, which OpenCV 5.0 allocated."""


def test_whole_files_are_analysed_or_refused_for_their_kind() -> None:
    """The files that the mutations begin from are what they should be."""
    answers = {name: analyse(data) for name, data in seeds().items()}
    refused = {name: answer for name, answer in answers.items() if answer != ANALYSED}
    assert refused == {
        "gif": "UNSUPPORTED_FORMAT",
        "png animated": "ANIMATED_IMAGE",
        "tiff two pages": "ANIMATED_IMAGE",
        "webp animated": "ANIMATED_IMAGE",
    }


@pytest.mark.filterwarnings("ignore::Warning:PIL")
def test_a_few_hundred_hostile_files_in_this_process() -> None:
    """Each gets a typed answer. A small pixel limit keeps it quick; the long run below has the real one."""
    answers = Counter(analyse(data, max_pixels=1_000_000) for _, data in hostile(seeds(), 300, seed=3))
    assert set(answers) <= {ANALYSED, *REASONS}
    assert answers[ANALYSED] > 20
    assert answers["CORRUPT_IMAGE"] > 20


@pytest.mark.parametrize("kind", [1, 3, 4, 8, 9, 11, 13, 16])
def test_a_width_stated_twice_never_passes_the_pixel_limit(kind: int) -> None:
    """Libtiff takes the first of two equal tags, whatever its type; a header check that took the other was fooled."""
    # `analyse` itself asserts that no more pixels come out than were allowed.
    assert analyse(_tiff_of_two_sizes(kind, 12_000, 100)) in {ANALYSED, *REASONS}


def test_bombs_are_answered_in_time() -> None:
    """Small files that once took minutes, gigabytes, or the event loop."""
    with watched() as process:
        for name, data in _bombs().items():
            assert process.analyse(name, data, LIMIT_S) in {ANALYSED, *REASONS}, name


def test_no_file_takes_gigabytes() -> None:
    """Memory is bounded by the pixel limit, not by what a chunk claims."""
    with watched() as process:
        assert process.analyse("a chunk behind the end", CHUNK_BEHIND_THE_END, LIMIT_S) in REASONS
        assert process.peak_bytes() < PEAK_LIMIT_BYTES


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_hostile_files() -> None:
    """The whole decode path in a watched process, with the limits as shipped."""
    answers: Counter[str] = Counter()
    files = seeds(REAL)
    with watched() as process:
        for name, data in hostile(files, 1000, seed=11):
            process.analyse(name, data, LIMIT_S)
        before_bytes = process.rss_bytes()
        for name, data in hostile(files, 10_000, seed=12):
            answers[process.analyse(name, data, LIMIT_S)] += 1
        growth_bytes = process.rss_bytes() - before_bytes
        peak_bytes = process.peak_bytes()
        print(dict(answers), f"slowest {process.slowest_s:.2f} s, RSS {growth_bytes / 2**20:+.1f} MiB")  # noqa: T201
    assert set(answers) <= {ANALYSED, *REASONS}
    assert growth_bytes < GROWTH_LIMIT_BYTES
    assert peak_bytes < PEAK_LIMIT_BYTES


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_thousand_hostile_files_through_a_running_system(tmp_path: Path) -> None:
    """Front end and worker take them all: typed answers, one attempt each, no growth, and a good image afterwards."""
    files = seeds(REAL)
    with running(tmp_path, workers=1) as system, nevus.Client(system.target) as client:
        worker = _worker(system)
        _send(client, files, 600, seed=21)
        before_bytes = worker.memory_info().rss
        answers = _send(client, files, 2000, seed=22)
        growth_bytes = worker.memory_info().rss - before_bytes
        print(dict(answers), f"worker's RSS {growth_bytes / 2**20:+.1f} MiB")  # noqa: T201
        assert worker.is_running()
        assert client.analyze(files["jpeg"]).state is nevus.JobState.SUCCEEDED
    assert set(answers) <= {ANALYSED, *REASONS}
    assert growth_bytes < GROWTH_LIMIT_BYTES


def _send(client: nevus.Client, files: dict[str, bytes], count: int, seed: int) -> Counter[str]:
    """Returns how often each answer came."""
    answers: Counter[str] = Counter()
    for name, update in client.analyze_many(hostile(files, count, seed)):
        if isinstance(update, nevus.NevusError):
            assert isinstance(update, nevus.InvalidRequest), f"{name}: {update.code} {update.reason}"
            answers[update.reason] += 1
        elif update.final:
            job = update.snapshot
            assert job is not None
            assert job.attempt == 1, name
            assert job.error is None or job.error.code == "INVALID_ARGUMENT", f"{name}: {job.error}"
            answers[job.error.reason if job.error else ANALYSED] += 1
    assert answers.total() == count
    return answers


def _worker(system: System) -> psutil.Process:
    """Returns the worker's process."""
    children = psutil.Process(system.process.pid).children(recursive=True)
    (worker,) = (child for child in children if child.cmdline()[-1] == "work")
    return worker


def _tiff_of_two_sizes(kind: int, first: int, second: int) -> bytes:
    """Returns a grey TIFF that states its width and height twice, first as numbers of type `kind`."""
    form = {1: "<I", 3: "<HH", 4: "<I", 8: "<hH", 9: "<i", 11: "<f", 13: "<I", 16: "<I"}[kind]
    value = struct.pack(form, first, *([0] if len(form) > 2 else []))
    rows = 2
    strips = first // rows
    pixels = zlib.compress(bytes(first * rows), 9)
    doubled = [struct.pack("<HHI", tag, kind, 1) + value for tag in (256, 257)]
    honest = [struct.pack("<HHII", tag, 4, 1, second) for tag in (256, 257)]
    start = 8 + 2 + 12 * 11 + 4
    rest = (
        (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (273, 4, strips, start), (277, 3, 1, 1), (278, 4, 1, rows),
        (279, 4, strips, start + 4 * strips),
    )  # fmt: skip
    directory = [doubled[0], honest[0], doubled[1], honest[1], *(struct.pack("<HHII", *entry) for entry in rest)]
    tables = struct.pack("<I", start + 8 * strips) * strips + struct.pack("<I", len(pixels)) * strips
    return b"II*\0" + struct.pack("<IH", 8, len(directory)) + b"".join(directory) + bytes(4) + tables + pixels


def _bombs() -> dict[str, bytes]:
    """Returns small files that ask for much."""
    side = int(MAX_PIXELS**0.5) - 100
    flat = _encoded(".jpg", np.full((side, side, 3), 180, np.uint8), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    scan = flat[flat.rindex(b"\xff\xda") : -2]
    entries = struct.pack("<HHII", 273, 4, 20_000, 0) * 20_000
    directory = b"II*\0" + struct.pack("<IH", 8, 20_000) + entries + bytes(4)
    png = _encoded(".png", np.asarray(picture()))
    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    one_bit = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)) + png_chunk(b"IDAT", rows)
    dot = np.full((14, 14), 220, np.uint8)
    dot[1:13, 1:13] = 20
    return {
        "a directory that reads the same values 20,000 times": directory,
        "the same as EXIF, three times": png[:33] + png_chunk(b"eXIf", directory) * 3 + png[33:],
        "a thousand scans of a large JPEG": flat[:-2] + scan * 1000 + b"\xff\xd9",
        "many pixels in few bytes": png[:8] + one_bit + png_chunk(b"IEND", b""),
        "thousands of dots": _encoded(".png", np.tile(dot, (280, 280))),
        "text that unpacks to 100 MB": png[:33]
        + png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8), 9))
        + png[33:],
        "a profile that unpacks to 100 MB": png[:33]
        + png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**8), 9))
        + png[33:],
        "a run of empty chunks": png[:33] + png_chunk(b"tEXt", b"a\0") * 19_000 + png[33:],
    }


def _encoded(suffix: str, image: np.ndarray, *settings: int) -> bytes:
    done, encoded = cv2.imencode(suffix, image, settings)
    assert done
    return encoded.tobytes()
