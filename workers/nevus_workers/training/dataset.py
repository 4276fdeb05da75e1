"""The labelled images that training reads: `labels.csv` beside a folder `images`.

Images are decoded and resized by the same two functions that serve (`decode`, `prepare`), so that the network never
meets in training what it would not meet in a request. Nothing is cached: a decode costs 2 ms, a training step 50 ms.
"""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nevus_core.errors import SettingsError
from nevus_workers.imaging.decode import decode
from nevus_workers.models.preparation import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

POSITIVE_LABEL = "malignant"
COLUMNS = ("id", "label", "source", "split")
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image.

    Attributes:
        path: Its file.
        malignant: Its label.
        source: The collection it came from.
        diagnosis: As the table gives it; empty where it has no such column.
        mask: A picture of the lesion, white on black, of the image's size; None where there is none.
    """

    path: Path
    malignant: bool
    source: str
    diagnosis: str = ""
    mask: Path | None = None


def read_samples(data: Path) -> dict[str, list[Sample]]:
    """Returns the samples of each split, in the order of `labels.csv`.

    Args:
        data: Folder with `labels.csv` (columns id, label, source, split; if wanted diagnosis and has_mask, 1 where
            there is a mask), `images/<id>.jpg` and `masks/<id>.png`.

    Raises:
        SettingsError: the folder, the table, a column or an image is missing, or a split has only one class.
    """
    table = data / "labels.csv"
    if not table.is_file():
        message = "The data folder has no labels.csv."
        raise SettingsError(message)
    with table.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            message = f"labels.csv lacks the columns {', '.join(missing)}."
            raise SettingsError(message)
        splits: dict[str, list[Sample]] = {split: [] for split in SPLITS}
        for row in reader:
            splits.setdefault(row["split"], []).append(_sample(data, row))
    for split in SPLITS:
        _check_split(split, splits[split])
    return splits


def _sample(data: Path, row: dict[str, str]) -> Sample:
    """Returns what one row of the table says."""
    return Sample(
        path=data / "images" / f"{row['id']}.jpg",
        malignant=row["label"] == POSITIVE_LABEL,
        source=row["source"],
        diagnosis=row.get("diagnosis") or "",
        mask=data / "masks" / f"{row['id']}.png" if row.get("has_mask") == "1" else None,
    )


def _check_split(split: str, samples: list[Sample]) -> None:
    """Raises SettingsError where a split can't be used."""
    if len({sample.malignant for sample in samples}) != len((False, True)):
        message = f"Split {split!r} needs benign and malignant images."
        raise SettingsError(message)
    absent = [sample.path.name for sample in samples if not sample.path.is_file()]
    if absent:
        message = f"Split {split!r}: {len(absent)} images are missing, the first is images/{absent[0]}."
        raise SettingsError(message)


def labels(samples: Sequence[Sample]) -> NDArray[np.float32]:
    """Returns float32 (n,): 1 where malignant, 0 where benign."""
    return np.array([sample.malignant for sample in samples], np.float32)


def class_weights(truth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns float32 (2,): the weights of benign and malignant under which both classes count the same."""
    share = float(truth.mean())
    return np.array([0.5 / (1 - share), 0.5 / share], np.float32)


def draw_epoch(
    samples: Sequence[Sample], rng: np.random.Generator, benign_per_malignant: float
) -> tuple[list[int], list[int]]:
    """Returns the samples of one epoch, shuffled, and a symmetry for each.

    Every malignant image is drawn once an epoch; of the benign ones as many as the ratio asks, new ones every epoch.

    Args:
        samples: The training split.
        rng: Derived from seed and epoch, so that a resumed run draws what an uninterrupted one would.
        benign_per_malignant: More than 0; at most all benign images are drawn.

    Returns:
        Indexes into samples, and for each a number 0..7: one of the eight flips and quarter turns.
    """
    positive = [index for index, sample in enumerate(samples) if sample.malignant]
    negative = [index for index, sample in enumerate(samples) if not sample.malignant]
    count = min(len(negative), max(1, round(benign_per_malignant * len(positive))))
    chosen = np.concatenate([positive, rng.choice(negative, count, replace=False)])
    order = rng.permutation(chosen)
    return [int(index) for index in order], [int(turn) for turn in rng.integers(0, 8, len(order))]


def turn(image: NDArray[np.uint8], symmetry: int) -> NDArray[np.uint8]:
    """Returns the square image under one of its eight symmetries: quarter turns (symmetry % 4), mirrored from 4 on."""
    turned = np.rot90(image, symmetry % 4)
    return turned[:, ::-1] if symmetry >= 4 else turned


def batches(
    samples: Sequence[Sample], symmetries: Sequence[int], side_px: int, batch_size: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yields images float32 (n, side_px, side_px, 3) BGR 0..255 and labels float32 (n,); one batch is read ahead.

    Args:
        samples: In the order in which they are wanted.
        symmetries: For each sample a number 0..7 as `turn` takes it.
        side_px: Width and height of the network's input.
        batch_size: Images a batch; the last one may have fewer.
    """

    def load(start: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        part = samples[start : start + batch_size]
        images = np.empty((len(part), side_px, side_px, 3), np.float32)
        for image, sample, symmetry in zip(images, part, symmetries[start : start + batch_size], strict=True):
            upright = decode(sample.path.read_bytes())
            image[...] = turn(prepare(upright, width_px=side_px, height_px=side_px), symmetry)
        return images, labels(part)

    starts = range(0, len(samples), batch_size)
    with ThreadPoolExecutor(1, "training-data") as reader:
        ahead = reader.submit(load, 0) if samples else None
        for start in starts:
            assert ahead is not None  # noqa: S101 - a range is empty where there are no samples
            ready = ahead.result()
            if start + batch_size < len(samples):
                ahead = reader.submit(load, start + batch_size)
            yield ready
