"""How far answers move when large JPEGs are decoded smaller: `PYTHONPATH=tests python -m support.reduction_rates`.

Real images of original size are enlarged to what a camera of 6 megapixels gives, with grain, and go through the
pipeline twice: decoded smaller, and whole. Beside it what the same network does when every pixel moves by at most one
grey level.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from nevus_core.image_header import inspect_image
from nevus_core.records import Artifact, JobOptions, ModelCard
from nevus_workers.evaluation.overlap import decode_mask, jaccard
from nevus_workers.imaging.decode import decode
from nevus_workers.imaging.segmenter import NETWORK, built_in_segmenters
from nevus_workers.models.batcher import Batcher
from nevus_workers.models.engine import KerasEngine, configure_threads
from nevus_workers.models.repository import Repository
from nevus_workers.models.serving import ServingModel
from nevus_workers.pipeline import Outcome, Pipeline
from nevus_workers.room import Room

SOURCE = "isic_uda1"
"""The collection of images of original size."""
WIDTH_PX = 3008
GRAIN = 4.0
QUALITY = 90

Analyse = Callable[[bytes], Outcome]


@dataclass(frozen=True, slots=True)
class Difference:
    """Two outcomes of one image.

    Attributes:
        probability: Absolute difference.
        agreement: Jaccard of both masks.
        diameter: Relative difference; None where one has no lesion.
        same_issues, same_colours: Whether these are equal.
    """

    probability: float
    agreement: float
    diameter: float | None
    same_issues: bool
    same_colours: bool


def options_of(card: ModelCard, segmenter: str = NETWORK, artifacts: tuple[Artifact, ...] = ()) -> JobOptions:
    """Returns options as the front end fills them in."""
    return JobOptions(
        model=card.name,
        version=card.version,
        segmenter=segmenter,
        operating_point=card.default_operating_point,
        artifacts=artifacts,
        queue_ttl_ms=1000,
        execution_timeout_ms=1000,
    )


@contextmanager
def both_ways(engine: KerasEngine) -> Iterator[tuple[Pipeline, Pipeline]]:
    """Yields two pipelines around one engine: one that decodes smaller where it may, one that never does."""
    with ExitStack() as undo:
        made = []
        for reduces in (True, False):
            batcher = Batcher(engine.predict, 8, 0.0)
            undo.callback(batcher.close)
            model = ServingModel(engine, batcher, reduces=reduces)
            made.append(Pipeline({engine.card.key: model}, built_in_segmenters(), Room(1), "worker-1"))
        yield made[0], made[1]


def analysis(pipeline: Pipeline, options: JobOptions) -> Analyse:
    """Returns a function from an upload to its outcome."""

    def analyse(data: bytes) -> Outcome:
        image = inspect_image(data, max_bytes=10**9, max_pixels=10**9)
        return pipeline.run(data, image, options, lambda stage, regions: None)

    return analyse


def difference(one: Outcome, other: Outcome) -> Difference:
    """Returns how two outcomes with masks differ."""
    first, second = one.result, other.result
    masks = [decode_mask(outcome.pictures[Artifact.MASK]) > 0 for outcome in (one, other)]
    lengths = [result.measures.diameter_px for result in (first, second) if result.measures]
    colours = [result.measures.colours if result.measures else () for result in (first, second)]
    issues = [[issue.kind for issue in result.quality_issues] for result in (first, second)]
    return Difference(
        probability=abs(first.classification.probability - second.classification.probability),
        agreement=jaccard(*masks),
        diameter=abs(lengths[0] - lengths[1]) / lengths[1] if len(lengths) == 2 else None,
        same_issues=issues[0] == issues[1],
        same_colours=colours[0] == colours[1],
    )


def encoded(picture: NDArray[np.uint8]) -> bytes:
    """Returns the picture as a JPEG file."""
    return cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1].tobytes()


def enlarged(data: Path, split: str) -> Iterator[bytes]:
    """Yields the images of SOURCE and a split as JPEG files, WIDTH_PX wide, with grain."""
    grain = np.random.default_rng(1)
    with (data / "labels.csv").open(encoding="utf-8") as table:
        rows = [row for row in csv.DictReader(table) if (row["split"], row["source"]) == (split, SOURCE)]
    for row in rows:
        image = decode((data / "images" / f"{row['id']}.jpg").read_bytes())
        size = WIDTH_PX, round(WIDTH_PX * image.shape[0] / image.shape[1])
        large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        noisy = large + GRAIN * grain.standard_normal(large.shape, np.float32)
        yield encoded(np.clip(noisy, 0, 255).astype(np.uint8))


def one_level(data: bytes, seed: int) -> bytes:
    """Returns the image as a PNG file, every value moved by -1, 0 or 1."""
    image = decode(data)
    moved = image + np.random.default_rng(seed).integers(-1, 2, image.shape, np.int16)
    return cv2.imencode(".png", np.clip(moved, 0, 255).astype(np.uint8), (cv2.IMWRITE_PNG_COMPRESSION, 1))[1].tobytes()


def figures(found: Sequence[Difference]) -> dict[str, Any]:
    """Returns what the differences come to."""
    moved = np.array([one.probability for one in found])
    agreements = np.array([one.agreement for one in found])
    diameters = np.array([one.diameter for one in found if one.diameter is not None])
    return {
        "images": len(found),
        "probability_largest": round(float(moved.max()), 4),
        "probability_mean": round(float(moved.mean()), 4),
        "jaccard_least": round(float(agreements.min()), 4),
        "jaccard_mean": round(float(agreements.mean()), 4),
        "diameter_median": round(float(np.median(diameters)), 4),
        "diameter_largest": round(float(diameters.max()), 4),
        "other_issues": sum(not one.same_issues for one in found),
        "other_colours": sum(not one.same_colours for one in found),
    }


def main() -> None:
    """Prints the figures of both, one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--models", type=Path, default=Path("models"), metavar="DIR")
    parser.add_argument("--model", default="derm-joint", metavar="NAME")
    parser.add_argument("--split", default="val", metavar="NAME")
    parser.add_argument("--images", type=int, default=None, metavar="N", help="the first ones only; default: all")
    words = parser.parse_args()
    configure_threads(1, 1)
    repository = Repository(words.models)
    card = repository.resolve(words.model)
    options = options_of(card, artifacts=(Artifact.MASK,))
    smaller, grey, spent_ms = [], [], []
    with both_ways(KerasEngine(card, repository.weights_path(card))) as (reducing, never):
        reduced, whole = analysis(reducing, options), analysis(never, options)
        for seed, data in enumerate(itertools.islice(enlarged(words.data, words.split), words.images)):
            began_s = time.process_time()
            found = reduced(data)
            middle_s = time.process_time()
            reference = whole(data)
            spent_ms.append((1e3 * (middle_s - began_s), 1e3 * (time.process_time() - middle_s)))
            smaller.append(difference(found, reference))
            grey.append(difference(whole(one_level(data, seed)), reference))
    for name, differences in (("decoded smaller", smaller), ("one grey level", grey)):
        sys.stdout.write(json.dumps({name: figures(differences)}) + "\n")
    costs = np.median(spent_ms, axis=0).round(1).tolist()
    sys.stdout.write(
        json.dumps({"cpu_ms_an_image": dict(zip(("decoded smaller", "whole"), costs, strict=True))}) + "\n"
    )


if __name__ == "__main__":
    main()
