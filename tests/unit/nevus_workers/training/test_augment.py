"""Varied training images: seeded, and the mask goes where the lesion goes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from nevus_workers.training import augment
from nevus_workers.training.augment import augment as vary


@pytest.fixture
def lesion_and_mask() -> tuple[np.ndarray, np.ndarray]:
    """A dark ellipse off the centre of light skin, 128x128, and its mask."""
    mask = np.zeros((128, 128), np.uint8)
    cv2.ellipse(mask, (56, 70), (30, 18), 25, 0, 360, 255, cv2.FILLED)
    image = np.where(mask[..., None] > 0, (70, 40, 30), (215, 180, 160)).astype(np.uint8)
    return image, mask


def test_seed_decides(lesion_and_mask: tuple[np.ndarray, np.ndarray]) -> None:
    """Proves that the same seed gives the same view, another one another, and that nothing is changed in place."""
    image, mask = lesion_and_mask
    before = image.copy(), mask.copy()
    first, second, other = (vary(image, mask, 96, 48, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])
    assert (first[0].shape, first[1].shape) == ((96, 96, 3), (48, 48))
    assert np.array_equal(image, before[0])
    assert np.array_equal(mask, before[1])


def test_mask_follows_the_lesion(
    lesion_and_mask: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves for 50 views that what is dark in the image is what is white in the mask."""
    for share in ("HAIR_SHARE", "RULER_SHARE", "VIGNETTE_SHARE", "NOISE_SHARE", "BLUR_SHARE", "COARSE_SHARE"):
        monkeypatch.setattr(augment, share, 0.0)
    overlaps = []
    for seed in range(50):
        image, mask = vary(*lesion_and_mask, 128, 128, np.random.default_rng(seed))
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        _, dark = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
        overlaps.append(np.count_nonzero((dark > 0) & (mask > 127)) / np.count_nonzero((dark > 0) | (mask > 127)))
    assert min(overlaps) > 0.9
    assert np.mean(overlaps) > 0.97


def test_every_kind_of_variation_happens(
    lesion_and_mask: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that each kind changes the image when its turn comes, and no kind does when none has."""
    image, _ = lesion_and_mask
    kinds = {
        "HAIR_SHARE": augment.add_foreign_matter,
        "RULER_SHARE": augment.add_foreign_matter,
        "VIGNETTE_SHARE": augment.add_foreign_matter,
        "BLUR_SHARE": augment.degrade,
        "COARSE_SHARE": augment.degrade,
        "NOISE_SHARE": augment.degrade,
        "JPEG_SHARE": augment.degrade,
    }
    for kind in kinds:
        monkeypatch.setattr(augment, kind, 0.0)
    rng = np.random.default_rng(0)
    assert np.array_equal(augment.degrade(augment.add_foreign_matter(image, rng), rng), image)
    for kind, function in kinds.items():
        monkeypatch.setattr(augment, kind, 1.0)
        assert not np.array_equal(function(image, rng), image), kind
        monkeypatch.setattr(augment, kind, 0.0)
