"""The numbers of `look` beside the same ones worked out plainly, step by step as they are described."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from bench.images import lesion_jpeg
from nevus_workers.imaging.appearance import CLIPPED, COARSE, DARK, SIDE_PX, THUMB, TRAITS, look
from nevus_workers.imaging.decode import decode
from support import foreign
from support.lesions import lesion_bgr

PICTURES = {
    "bench": lambda: decode(lesion_jpeg(1, 1022, 767)),
    "upright": lambda: decode(lesion_jpeg(2, 455, 700)),
    "small": lambda: lesion_bgr(3)[:97, :113],
    "text": lambda: foreign.picture("text_page", 2),
    "noise": lambda: np.random.default_rng(4).integers(0, 256, (200, 300, 3), np.uint8),
    "flat": lambda: np.full((300, 400, 3), (70, 90, 180), np.uint8),
}


def reduced(image: Any) -> Any:
    """The copy with a long side of SIDE_PX."""
    height, width = image.shape[:2]
    scale = min(1.0, SIDE_PX / max(height, width))
    return cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_LINEAR)


def halved(grey: Any) -> Any:
    """Means of 2x2 pixels, rounded up at a half."""
    rows, columns = grey.shape[0] // 2, grey.shape[1] // 2
    blocks = grey[: 2 * rows, : 2 * columns].astype(int).reshape(rows, 2, columns, 2)
    return (blocks.sum(axis=(1, 3)) + 2) // 4


def slow_colours(image: Any) -> dict[str, float]:
    """The traits of colour and of the dark part, one by one."""
    lab = cv2.cvtColor(cv2.resize(image, COARSE, interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2LAB)
    level, _ = cv2.threshold(np.ascontiguousarray(lab[..., 0]), 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    light, red, yellow = np.moveaxis(lab.astype(float), 2, 0)
    dark = light <= level
    rows, columns = light.shape
    border = np.ones(light.shape, bool)
    border[1:-1, 1:-1] = False
    middle = np.zeros(light.shape, bool)
    middle[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4] = True
    edge = (dark[1:] != dark[:-1]).sum() + (dark[:, 1:] != dark[:, :-1]).sum()
    spread, yellow_spread = (np.sqrt(each.var() + 0.7**2) for each in (light, yellow))
    thumb = cv2.resize((light - light.mean()).astype(np.float32), THUMB, interpolation=cv2.INTER_AREA)
    return {
        "light": light.mean(),
        "red_green": red.mean(),
        "yellow_blue": np.log(yellow_spread),
        "middle_a": red[middle].mean() - red[border].mean(),
        "middle_b": yellow[middle].mean() - yellow[border].mean(),
        "dark_b": yellow[dark].mean() - yellow[~dark].mean() if 0 < dark.sum() < dark.size else 0.0,
        "light_b": ((light - light.mean()) * (yellow - yellow.mean())).mean() / (spread * yellow_spread),
        "dark_border": dark[border].mean(),
        "dark_shape": np.log((edge + 1) / np.sqrt(dark.sum() + 1)),
        "slow": np.log((thumb.astype(float).var() + 0.5) / spread**2),
    }


def slow_texture(half: Any) -> dict[str, float]:
    """The traits of the edges, one by one."""
    grey = half.astype(np.uint8)
    across, down = cv2.Sobel(grey, cv2.CV_64F, 1, 0) / 8, cv2.Sobel(grey, cv2.CV_64F, 0, 1) / 8
    squares = across**2 + down**2
    difference = across**2 - down**2
    strength = squares.mean()
    direction = np.hypot(difference.mean(), 2 * (across * down).mean())
    return {
        "peaked": np.log((squares.max() + 1) / (strength + 1)),
        "edges": np.log(strength + 0.1),
        "one_way": direction / (strength + 0.1),
        "upright": np.abs(difference).mean() / (strength + 1e-5),
    }


def slow_sharpness(grey: Any) -> float:
    """The share of the neighbours' differences that a blur of 5x5 takes away."""

    def variation(each: Any) -> float:
        signed = each.astype(int)
        return float(np.abs(np.diff(signed, axis=0)).sum() + np.abs(np.diff(signed, axis=1)).sum())

    before = variation(grey)
    return 1 - variation(cv2.blur(grey, (5, 5))) / before if before else 0.0


@pytest.mark.parametrize("name", PICTURES)
def test_the_numbers_are_those_of_the_plain_way(name: str) -> None:
    """To a thousandth."""
    image = PICTURES[name]()
    found = look(image)
    small = reduced(image)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    half = halved(grey)
    assert found.dark_share == pytest.approx((half < DARK).mean(), abs=1e-6)
    assert found.clipped_share == pytest.approx((half >= CLIPPED).mean(), abs=1e-6)
    assert found.sharpness == pytest.approx(slow_sharpness(grey), abs=1e-6)
    expected = {**slow_colours(small), **slow_texture(half)}
    assert tuple(expected) == TRAITS
    assert dict(zip(TRAITS, found.traits, strict=True)) == pytest.approx(expected, abs=1e-3)
