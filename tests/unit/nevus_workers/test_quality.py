"""Which pictures a result warns of: foreign ones, spoiled ones, and none of those that are as they should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bench.images import lesion_jpeg
from nevus import synthetic_lesion
from nevus.v1 import result_pb2
from nevus_core.records import QualityIssue
from nevus_workers.imaging.appearance import TRAITS, look
from nevus_workers.imaging.decode import decode
from nevus_workers.imaging.dermoscopic import familiar, fit
from nevus_workers.imaging.regions import from_contours
from nevus_workers.quality import REVIEWED, needs_review, quality_issues
from nevus_workers.training.dataset import read_samples
from nevus_workers.training.dermoscopic_fit import drawn
from support import foreign, quality_rates
from support.joint_network import drawn_lesion
from support.lesions import lesion_bgr

DATA = Path(__file__).parents[4] / "shared" / "data"
FOREIGN_SEEDS = range(9000, 9004)
"""None of those that any limit was chosen with."""
DRAWN: dict[str, Callable[[int], Any]] = {
    "make run": lambda seed: decode(synthetic_lesion(600, 450, seed)),
    "small": lambda seed: decode(synthetic_lesion(256, 192, seed)),
    "tests": lesion_bgr,
    "network": lambda seed: drawn_lesion(seed)[0],
    "bench": lambda seed: decode(lesion_jpeg(seed, 1022, 767)),
}


def kinds(image: Any) -> set[str]:
    return {issue.kind for issue in quality_rates.issues_of(image)}


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_lesions_are_as_they_should_be(name: str) -> None:
    """Those that `make run`, `nevus doctor`, the bench and the tests send raise no issue."""
    assert [quality_rates.issues_of(DRAWN[name](seed)) for seed in range(5)] == [()] * 5


def test_foreign_pictures_are_flagged() -> None:
    """At least 95 of 100, over all kinds, and most of each but faces: skin in the middle, of which 70 of 100 are."""
    flagged = {
        kind: [needs_review(quality_rates.issues_of(foreign.picture(kind, seed))) for seed in FOREIGN_SEEDS]
        for kind in foreign.KINDS
    }
    assert np.mean(list(flagged.values())) >= 0.95
    assert {kind for kind, each in flagged.items() if np.mean(each) < 0.75} <= {"portrait"}


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda image: quality_rates.blurred(image, 0.015), "BLURRED"),
        (lambda image: quality_rates.lit(image, 0.25), "DARK"),
        (lambda image: quality_rates.lit(image, 2.5), "OVEREXPOSED"),
        (lambda image: quality_rates.reduced(image, 100), "TOO_SMALL"),
    ],
)
def test_a_spoiled_image_has_its_issue(spoil: Callable[[Any], Any], kind: str) -> None:
    """And only then."""
    image = decode(lesion_jpeg(3, 800, 600))
    assert kinds(image) == set()
    assert kind in kinds(spoil(image))


def test_regions_are_judged_too() -> None:
    """None at all, or more than a result carries."""
    image = lesion_bgr(1)
    height_px, width_px = image.shape[:2]
    empty = from_contours([], height_px, width_px)
    crowd = replace(empty, left_out=3)
    for segmentation, kind in ((empty, "NO_REGION_FOUND"), (crowd, "TOO_MANY_REGIONS")):
        (issue,) = quality_issues(look(image), width_px, height_px, segmentation)
        assert issue.kind == kind


def test_the_contract_knows_every_issue() -> None:
    """Every kind that is told has its number, and each of today's calls for a person."""
    known = {name.removeprefix("QUALITY_ISSUE_KIND_") for name in result_pb2.QualityIssueKind.keys()}  # noqa: SIM118
    assert known - {"UNSPECIFIED"} == REVIEWED
    assert not needs_review(())
    assert not needs_review((QualityIssue(kind="FOR_INFORMATION", message="."),))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 2), (40, 30)])
def test_the_smallest_images_have_an_appearance(size: tuple[int, int]) -> None:
    """Every number of it finite, whatever the image, of one colour as well."""
    rng = np.random.default_rng(3)
    for image in (np.zeros((*size, 3), np.uint8), rng.integers(0, 255, (*size, 3), np.uint8)):
        image.setflags(write=False)
        found = look(image)
        assert found.traits.shape == (len(TRAITS),)
        assert np.isfinite([found.dark_share, found.clipped_share, found.sharpness, *found.traits]).all()
        assert np.isfinite(familiar().distance(found.traits))


def test_the_distance_is_that_of_a_gaussian() -> None:
    """In a cloud with independent traits: nought in its middle, about one for each deviation away."""
    cloud = np.random.default_rng(5).normal(3, 2, (20_000, len(TRAITS)))
    found = fit(cloud, limit=9.0)
    middle = cloud.mean(axis=0)
    away = middle + 2 * np.eye(len(TRAITS))[0] * 4
    assert found.distance(middle) == pytest.approx(0, abs=1e-9)
    assert found.distance(away) == pytest.approx(16, rel=0.15)
    assert (found.knows(middle), found.knows(away)) == (True, False)


@pytest.mark.slow
def test_real_images_are_seldom_flagged() -> None:
    """At most 3 % of a sample of the test split."""
    if not (DATA / "labels.csv").is_file():
        pytest.skip("the folder of real images, ../shared/data, is not here")
    samples = drawn(read_samples(DATA)["test"], quality_rates.IMAGES)
    flagged = [needs_review(quality_rates.issues_of(decode(sample.path.read_bytes()))) for sample in samples]
    assert np.mean(flagged) <= 0.03


def test_a_row_of_the_measured_table() -> None:
    """What docs/quality.md shows comes from this function."""
    grey = np.full((200, 200, 3), 128, np.uint8)
    ok, data = cv2.imencode(".png", grey)
    assert ok
    assert quality_rates.row("grey", [grey, decode(data.tobytes())]).startswith("| grey | 2 | 100.0% |")
