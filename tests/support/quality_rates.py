"""How often each quality issue is told, of real and of foreign pictures: the figures of docs/quality.md.

    PYTHONPATH=tests python -m support.quality_rates --data ../shared/data --split val

At most IMAGES pictures a row. Regions come from `otsu`, which needs no network.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from nevus_core.records import QualityIssue
from nevus_workers.imaging.appearance import look
from nevus_workers.imaging.decode import decode
from nevus_workers.imaging.otsu import OtsuSegmenter
from nevus_workers.quality import needs_review, quality_issues
from nevus_workers.training.dataset import Sample, read_samples
from nevus_workers.training.dermoscopic_fit import drawn
from support import foreign

IMAGES = 400
SPOILED = 100
"""Real images that are blurred, darkened and so on."""
FOREIGN_SEEDS = {"val": range(1000, 1025), "test": range(5000, 5025)}
"""Of each kind: the first were looked at while the traits were chosen, the others once at the end."""

Image = NDArray[np.uint8]


def issues_of(image_bgr: Image) -> tuple[QualityIssue, ...]:
    """Returns the issues of an image whose regions `otsu` finds."""
    height_px, width_px = image_bgr.shape[:2]
    return quality_issues(look(image_bgr), width_px, height_px, OtsuSegmenter().segment(image_bgr))


def blurred(image: Image, share: float) -> Image:
    """Returns the image blurred by a share of its long side (standard deviation)."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), share * max(image.shape)), np.uint8)


def lit(image: Image, gain: float) -> Image:
    """Returns the image with more or less light."""
    return np.asarray(np.clip(image * gain, 0, 255), np.uint8)


def reduced(image: Image, side_px: int) -> Image:
    """Returns the image with a short side of so many pixels."""
    scale = side_px / min(image.shape[:2])
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


SPOILS: dict[str, Callable[[Image], Image]] = {
    "blurred by 0.5 % of the long side": lambda image: blurred(image, 0.005),
    "blurred by 1 %": lambda image: blurred(image, 0.01),
    "a third of the light": lambda image: lit(image, 0.33),
    "a quarter of the light": lambda image: lit(image, 0.25),
    "1.6 times the light": lambda image: lit(image, 1.6),
    "2.5 times the light": lambda image: lit(image, 2.5),
    "short side 100 px": lambda image: reduced(image, 100),
}


def row(name: str, images: Iterable[Image]) -> str:
    """Returns a row of the table: how many images, what share needs a review, and how often each issue was told."""
    counts, reviews, total = Counter[str](), 0, 0
    for image in images:
        found = issues_of(image)
        total += 1
        reviews += needs_review(found)
        counts.update(issue.kind for issue in found)
    told = ", ".join(f"{kind} {count}" for kind, count in counts.most_common())
    return f"| {name} | {total} | {reviews / total:.1%} | {told or '-'} |"


def table(split: Sequence[Sample], name: str) -> Iterator[str]:
    """Yields the table's lines.

    Args:
        split: The samples of which to draw.
        name: Of the split.
    """
    samples = drawn(split, IMAGES)
    yield "| pictures | number | needs review | issues |"
    yield "|---|---|---|---|"
    yield row(f"real, {name}", map(read, samples))
    for source in sorted({sample.source for sample in samples}):
        yield row(f"of these {source}", (read(sample) for sample in samples if sample.source == source))
    for spoiled, spoil in SPOILS.items():
        yield row(spoiled, (spoil(read(sample)) for sample in samples[:SPOILED]))
    seeds = FOREIGN_SEEDS[name]
    yield row("foreign, all kinds", (foreign.picture(kind, seed) for kind in foreign.KINDS for seed in seeds))
    for kind in foreign.KINDS:
        yield row(kind, (foreign.picture(kind, seed) for seed in seeds))


def read(sample: Sample) -> Image:
    """Returns a sample's pixels."""
    return decode(sample.path.read_bytes())


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=FOREIGN_SEEDS, default="val")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    for line in table(read_samples(asked.data)[asked.split], asked.split):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
