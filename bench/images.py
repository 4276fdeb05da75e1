"""Seeded, drawn dermoscopy-like JPEGs with the weight of real ones: what decoding costs depends on it.

Skin with slow changes of colour, one dark irregular lesion with a network and blotches, a few moles, hairs, and grain.
Drawn once a run into a folder, one folder a size. The pictures show no person.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.words import say
from nevus.cli._inputs import SUFFIXES
from nevus.cli.bench import MOST_FILES

QUALITY = 90
GRAIN = 4.0
SKIN_BGR = np.array((150, 175, 215), np.float32)
LESION_BGR = np.array((50, 70, 110), np.float32)
MOLE_BGR = np.array((60, 80, 120), np.float32)
HAIR_BGR = (35, 40, 50)

Picture = NDArray[np.float32]
"""(height_px, width_px, 3), blue-green-red, about 0..255."""


def folders(words: argparse.Namespace, folder: Path) -> dict[str, Path]:
    """Returns folders of images by size: copies of the ones of `--data`, or `--images` of each `--size`, drawn now."""
    if words.data:
        return {"data": copy_folder(folder / "real", words.data)}
    found = {}
    for width_px, height_px in words.size:
        name = f"{width_px}x{height_px}"
        say(f"drawing {words.images} images of {name}")
        found[name] = draw_folder(folder / name, (width_px, height_px), words.images)
    return found


def draw_folder(folder: Path, size_px: tuple[int, int], count: int) -> Path:
    """Returns a folder with `count` JPEG files of one size (width, height), drawn now."""
    folder.mkdir(parents=True)
    for seed in range(count):
        (folder / f"{seed:03}.jpg").write_bytes(lesion_jpeg(seed, *size_px))
    return folder


def copy_folder(folder: Path, source: Path) -> Path:
    """Returns a folder with copies of the images that `nevus bench --data` takes from `source`, and nothing else.

    Ceiling and served system then measure the same files.

    Raises:
        RuntimeError: There is none.
    """
    found = (path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    images = sorted(path for path in found if not path.name.startswith("."))[:MOST_FILES]
    if not images:
        raise RuntimeError("There is no image in the folder that --data names.")
    folder.mkdir(parents=True)
    for number, path in enumerate(images):
        shutil.copyfile(path, folder / f"{number:03}{path.suffix.lower()}")
    return folder


def lesion_jpeg(seed: int, width_px: int, height_px: int) -> bytes:
    """Returns a JPEG file, the same for the same arguments: 1022x767 about 150 kB, 3008x2000 about 1 MB."""
    drawn = np.clip(_draw(np.random.default_rng(seed), width_px, height_px), 0, 255).astype(np.uint8)
    encoded, data = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not encoded:
        raise RuntimeError("OpenCV can't write JPEG files.")
    return data.tobytes()


def _draw(rng: np.random.Generator, width_px: int, height_px: int) -> Picture:
    scale = min(width_px, height_px) / 767
    image = np.ones((height_px, width_px, 3), np.float32) * SKIN_BGR
    image += rng.normal(0, 8, 3).astype(np.float32)
    image += 10 * _waves(rng, width_px, height_px, period_px=64 * scale)
    image += 3 * _waves(rng, width_px, height_px, period_px=9 * scale)
    centre = rng.uniform(0.42, 0.58, 2) * (width_px, height_px)
    _blob(rng, image, centre, rng.uniform(120, 230) * scale, LESION_BGR, rough=0.12)
    for _ in range(int(rng.integers(2, 7))):
        where = rng.uniform(0.05, 0.95, 2) * (width_px, height_px)
        _blob(rng, image, where, rng.uniform(8, 22) * scale, MOLE_BGR, rough=0.05)
    for _ in range(int(rng.integers(3, 11))):
        _hair(rng, image, scale)
    image += GRAIN * rng.standard_normal(image.shape, np.float32)
    return image


def _waves(rng: np.random.Generator, width_px: int, height_px: int, period_px: float) -> Picture:
    """Returns smooth noise of standard deviation about 1 that changes over `period_px`."""
    coarse = rng.standard_normal((int(height_px / period_px) + 2, int(width_px / period_px) + 2, 3), np.float32)
    return np.asarray(cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_CUBIC), np.float32)


def _blob(
    rng: np.random.Generator,
    image: Picture,
    centre: NDArray[np.float64],
    radius_px: float,
    colour_bgr: NDArray[np.float32],
    rough: float,
) -> None:
    """Draws a dark spot with a wavy, soft edge and blotches inside into the image."""
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    waves = sum(rng.normal(0, 1 / n) * np.sin(n * angles + rng.uniform(0, 6.28)) for n in (2, 3, 5, 9))
    radii = radius_px * (1 + rough * np.clip(waves, -2.5, 2.5))
    reach = int(radii.max() * 1.2) + 8
    left, top = np.maximum(centre.astype(int) - reach, 0)
    patch = image[top : int(centre[1]) + reach, left : int(centre[0]) + reach]
    x, y = centre - (left, top)
    outline = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1)
    height_px, width_px = patch.shape[:2]
    cover = np.zeros((height_px, width_px), np.float32)
    cv2.fillPoly(cover, [outline.astype(np.int32)], 1.0)
    soft = cv2.GaussianBlur(cover, (0, 0), max(2.0, radius_px / 25))[..., None]
    inside = colour_bgr + 9 * _waves(rng, width_px, height_px, period_px=max(6.0, radius_px / 9))
    patch += (inside - patch) * soft


def _hair(rng: np.random.Generator, image: Picture, scale: float) -> None:
    """Draws a bent dark line across the image."""
    height_px, width_px = image.shape[:2]
    start, bend, end = rng.uniform(0, 1, (3, 2)) * (width_px, height_px)
    along = np.linspace(0, 1, 40)[:, None]
    curve = (1 - along) ** 2 * start + 2 * along * (1 - along) * bend + along**2 * end
    thickness = max(1, round(rng.uniform(1, 3) * scale))
    cv2.polylines(image, [curve.astype(np.int32)], isClosed=False, color=HAIR_BGR, thickness=thickness)
