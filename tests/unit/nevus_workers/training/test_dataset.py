"""Reading labelled images: what is refused, what an epoch draws, what a batch holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from nevus_core.errors import SettingsError
from nevus_workers.imaging.decode import decode
from nevus_workers.training import dataset


def test_splits_and_labels(tiny_data: Path) -> None:
    """Proves that every row lands in its split with its label and source."""
    splits = dataset.read_samples(tiny_data)
    assert {split: len(samples) for split, samples in splits.items()} == {"train": 12, "val": 8, "test": 8}
    assert dataset.labels(splits["train"]).sum() == 4
    assert {sample.source for sample in splits["test"]} == {"source-0", "source-1"}
    assert {sample.diagnosis for sample in splits["val"] if sample.malignant} == {"of malignant"}
    masks = [sample.mask for sample in splits["train"] if sample.mask]
    assert len(masks) == 6
    assert all(mask.is_file() for mask in masks)


def test_what_can_not_be_used(tiny_data: Path, tmp_path: Path) -> None:
    """Proves a clear refusal for a missing table, a missing column, a missing image and a split of one class."""
    with pytest.raises(SettingsError, match=r"labels\.csv"):
        dataset.read_samples(tmp_path)
    folder = tmp_path / "data"
    shutil.copytree(tiny_data, folder)
    table = (tiny_data / "labels.csv").read_text()
    (folder / "labels.csv").write_text(table.replace("split\n", "part\n", 1))
    with pytest.raises(SettingsError, match="split"):
        dataset.read_samples(folder)
    (folder / "labels.csv").write_text(table.replace(",malignant,", ",benign,"))
    with pytest.raises(SettingsError, match="benign and malignant"):
        dataset.read_samples(folder)
    (folder / "labels.csv").write_text(table)
    (folder / "images" / "val-benign-0.jpg").unlink()
    with pytest.raises(SettingsError, match=r"val-benign-0\.jpg"):
        dataset.read_samples(folder)


def test_epoch_is_seeded_and_balanced(tiny_data: Path) -> None:
    """Proves that an epoch takes every malignant image, the ratio of benign ones, the same ones for the same seed."""
    samples = dataset.read_samples(tiny_data)["train"]

    def draw(epoch: int, ratio: float = 1.5) -> tuple[list[int], list[int]]:
        return dataset.draw_epoch(samples, np.random.default_rng([3, epoch]), ratio)

    chosen, symmetries = draw(0)
    assert sum(samples[index].malignant for index in chosen) == 4
    assert len(chosen) == len(set(chosen)) == len(symmetries) == 10
    assert draw(0) == (chosen, symmetries)
    assert draw(1) != (chosen, symmetries)
    assert len(draw(0, ratio=100)[0]) == 12


def test_eight_symmetries() -> None:
    """Proves that the eight numbers give eight different images with the same pixels."""
    image = np.arange(75, dtype=np.uint8).reshape(5, 5, 3)
    turned = [dataset.turn(image, symmetry) for symmetry in range(8)]
    assert len({each.tobytes() for each in turned}) == 8
    assert all(np.array_equal(np.sort(each.reshape(-1)), np.sort(image.reshape(-1))) for each in turned)
    assert np.array_equal(turned[0], image)


@pytest.mark.parametrize("batch_size", [1, 3, 8, 100])
def test_batches_hold_every_sample_once(tiny_data: Path, batch_size: int) -> None:
    """Proves order, sizes and content of batches: the pixels that serving would see."""
    samples = dataset.read_samples(tiny_data)["val"]
    read = list(dataset.batches(samples, [0] * len(samples), 50, batch_size))
    images = np.concatenate([batch for batch, _ in read])
    assert images.dtype == np.float32
    assert [len(batch) for batch, _ in read[:-1]] == [batch_size] * (len(read) - 1)
    assert np.array_equal(np.concatenate([truth for _, truth in read]), dataset.labels(samples))
    for image, sample in zip(images, samples, strict=True):
        assert np.array_equal(image, cv2.resize(decode(sample.path.read_bytes()), (50, 50)))


def test_no_samples_no_batches() -> None:
    """Proves that an empty list is fine."""
    assert list(dataset.batches([], [], 50, 4)) == []
