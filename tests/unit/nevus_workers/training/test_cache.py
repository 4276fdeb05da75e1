"""Decoded training images on disk."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from nevus_core.errors import SettingsError
from nevus_workers.imaging.decode import decode
from nevus_workers.models.preparation import prepare
from nevus_workers.training import cache, dataset
from nevus_workers.training.cache import cached_images, cached_masks


def test_pixels_are_those_that_serving_sees(tiny_data: Path, tmp_path: Path) -> None:
    """Proves that a cached image is what `prepare` makes of its file."""
    samples = dataset.read_samples(tiny_data)["val"]
    images = cached_images(samples, 48, tmp_path / "cache")
    for image, sample in zip(images, samples, strict=True):
        upright = decode(sample.path.read_bytes())
        expected = prepare(upright, width_px=48, height_px=48, colour_order="rgb", resampling="area")
        assert np.array_equal(image, expected)


def test_masks_and_images_without_one(tiny_data: Path, tmp_path: Path) -> None:
    """Proves that masks come along shrunk, black where there is none, and that a missing file is named."""
    samples = dataset.read_samples(tiny_data)["val"]
    masks = cached_masks(samples, 32, tmp_path)
    for mask, sample in zip(masks, samples, strict=True):
        assert (mask.max() == 255) == (sample.mask is not None)
        if sample.mask is not None:
            whole = cv2.imread(str(sample.mask), cv2.IMREAD_GRAYSCALE)
            assert (mask > 127).mean() == pytest.approx((whole > 127).mean(), abs=0.02)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(SettingsError, match=r"broken\.png"):
        cached_masks([replace(samples[0], mask=tmp_path / "broken.png")], 32, tmp_path)


def test_made_once_and_anew_where_a_file_changed(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that a second run decodes nothing, and that another file behind the same name is not overlooked."""
    shutil.copytree(tiny_data, tmp_path / "data")
    samples = dataset.read_samples(tmp_path / "data")["val"]
    first = np.array(cached_images(samples, 32, tmp_path / "cache"))
    decoded = []
    monkeypatch.setattr(cache, "decode", lambda data: decoded.append(1) or decode(data))
    assert np.array_equal(cached_images(samples, 32, tmp_path / "cache"), first)
    assert not decoded
    shutil.copyfile(samples[1].path, samples[0].path)
    again = cached_images(samples, 32, tmp_path / "cache")
    assert np.array_equal(again[0], first[1])
    assert len(decoded) == len(samples)
    assert not list((tmp_path / "cache").glob("*.part"))
