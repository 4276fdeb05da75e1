"""Decoded training images on disk, so that an epoch reads pixels and decodes nothing.

Decoding and shrinking a photograph can cost more than its share of a training step; so every image is stretched to a
small square once, and all of them lie in one file that is mapped into memory. The file's name tells what is in it:
another list of images, or other files behind the same names, make another cache.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from nevus_core.errors import SettingsError
from nevus_workers.imaging.decode import decode
from nevus_workers.models.preparation import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from nevus_workers.training.dataset import Sample


def cached_images(samples: Sequence[Sample], side_px: int, folder: Path) -> NDArray[np.uint8]:
    """Returns the images, uint8 (n, side_px, side_px, 3), red-green-blue, as `prepare` with area averaging gives them.

    Args:
        samples: In the order wanted.
        side_px: The square to which every image is stretched.
        folder: Where the cache lies; made where it is not there.
    """

    def load(sample: Sample) -> NDArray[np.uint8]:
        return prepare(
            decode(sample.path.read_bytes()),
            width_px=side_px,
            height_px=side_px,
            colour_order="rgb",
            resampling="area",
        )

    return _cached("images", samples, (side_px, side_px, 3), folder, load)


def cached_masks(samples: Sequence[Sample], side_px: int, folder: Path) -> NDArray[np.uint8]:
    """Returns the masks, uint8 (n, side_px, side_px), 0..255 (between them at edges); black where a sample has none.

    Raises:
        SettingsError: a mask can't be read.
    """

    def load(sample: Sample) -> NDArray[np.uint8]:
        if sample.mask is None:
            return np.zeros((side_px, side_px), np.uint8)
        return np.asarray(cv2.resize(read_mask(sample.mask), (side_px, side_px), interpolation=cv2.INTER_AREA))

    return _cached("masks", samples, (side_px, side_px), folder, load)


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Returns a mask file's pixels: uint8 (height_px, width_px), 0 or 255.

    Raises:
        SettingsError: the file can't be read.
    """
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        message = f"The mask {path.name} can't be read."
        raise SettingsError(message)
    return np.asarray(mask, np.uint8)


def _cached(
    kind: str,
    samples: Sequence[Sample],
    shape: tuple[int, ...],
    folder: Path,
    load: Callable[[Sample], NDArray[np.uint8]],
) -> NDArray[np.uint8]:
    """Returns the mapped file with one entry a sample, made with `load` where it is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}-{shape[0]}-{_key(kind, samples)}.npy"
    if not path.is_file():
        # A process of its own name: two runs that fill one cache write the same bytes, and the last one's file stays.
        part = path.with_suffix(f".{os.getpid()}.part")
        mapped = np.lib.format.open_memmap(part, "w+", np.uint8, (len(samples), *shape))
        for index, sample in enumerate(samples):
            mapped[index] = load(sample)
        mapped.flush()
        del mapped
        part.replace(path)
    found: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return found


def _key(kind: str, samples: Sequence[Sample]) -> str:
    """Returns what names a list of files: their names, sizes and times."""
    digest = hashlib.sha256(kind.encode())
    for sample in samples:
        path: Any = sample.path if kind == "images" else sample.mask
        entry = (path.name, path.stat().st_size, path.stat().st_mtime_ns) if path else (sample.path.name,)
        digest.update(repr(entry).encode())
    return digest.hexdigest()[:16]
