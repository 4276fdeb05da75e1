"""What bfloat16 does to a network: how far its answers move, and what its passes cost. `python -m bench.precision`.

Two engines with the same weights, one in float32 and one in bfloat16, both as a worker loads them, get the same images,
prepared once as a worker prepares them. Passes are timed in turn (processor time, one thread), so that a machine that
gets slower meanwhile wrongs neither. Prints one JSON object a line. TF_ENABLE_ONEDNN_OPTS=0 in the environment shows
TensorFlow without oneDNN.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nevus_core.heaps import arrange_heaps
from nevus_core.records import ModelCard
from nevus_workers.evaluation.cases import Folders, read_cases
from nevus_workers.evaluation.overlap import jaccard
from nevus_workers.imaging.decode import decode, silence_decoders
from nevus_workers.models.answers import Answers
from nevus_workers.models.engine import Engine, KerasEngine, configure_threads
from nevus_workers.models.precision import BFLOAT16, FLOAT32
from nevus_workers.models.repository import Repository

BATCH = 8
INSIDE = 0.5
"""A cell of a map belongs to the lesion from this probability on."""


@dataclass(frozen=True, slots=True)
class Moved:
    """How far the answers of some images lie from those of the reference.

    Attributes:
        images: How many.
        largest, mean: Of the probabilities' differences.
        flips: For each operating point how many images change their class.
        least_jaccard, mean_jaccard: Of the maps, cut at one half; None where the network gives none.
    """

    images: int
    largest: float
    mean: float
    flips: Mapping[str, int]
    least_jaccard: float | None
    mean_jaccard: float | None


def moved(reference: Answers, other: Answers, card: ModelCard) -> Moved:
    """Returns how far answers lie from those of the reference, image by image.

    Args:
        reference: Of some images, one at least.
        other: Of the same images in the same order.
        card: Its operating points say what a flip is.
    """
    before, after = reference.probabilities.astype(float), other.probabilities.astype(float)
    points = card.operating_points.items()
    overlaps = [
        jaccard(first >= INSIDE, second >= INSIDE) for first, second in zip(_maps(reference), _maps(other), strict=True)
    ]
    return Moved(
        images=len(before),
        largest=float(np.abs(after - before).max()),
        mean=float(np.abs(after - before).mean()),
        flips={name: int(((before >= at) != (after >= at)).sum()) for name, at in points},
        least_jaccard=min(overlaps) if overlaps else None,
        mean_jaccard=statistics.fmean(overlaps) if overlaps else None,
    )


def answers(engine: Engine, prepared: Sequence[NDArray[Any]], size: int) -> Answers:
    """Returns what an engine says of prepared images, in batches of `size`."""
    parts = [engine.predict(np.stack(prepared[at : at + size])) for at in range(0, len(prepared), size)]
    maps = [part.maps for part in parts if part.maps is not None]
    return Answers(np.concatenate([part.probabilities for part in parts]), np.concatenate(maps) if maps else None)


def pass_ms(engines: Mapping[str, Engine], batch: NDArray[Any], laps: int) -> dict[str, float]:
    """Returns processor milliseconds an image for each engine, median of its passes; they take turns.

    Args:
        engines: By name.
        batch: Prepared images (n, height_px, width_px, 3), n at most the engines' `max_batch`.
        laps: Passes of each that count; the first two do not.
    """
    spent: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(laps + 2):
        for name, engine in engines.items():
            began_s = time.process_time()
            engine.predict(batch)
            spent[name].append(time.process_time() - began_s)
    return {name: round(1e3 * statistics.median(each[2:]) / len(batch), 2) for name, each in spent.items()}


def main() -> None:
    """Prints the passes' cost, how far answers depend on their batch, and how far bfloat16 moves them."""
    words = _words()
    arrange_heaps()
    configure_threads(1, 1)
    silence_decoders()
    repository = Repository(words.models)
    card = repository.resolve(words.model)
    weights = repository.weights_path(card)
    engines = {dtype: KerasEngine(card, weights, BATCH, dtype=dtype) for dtype in (FLOAT32, BFLOAT16)}
    cases = read_cases(words.data / "labels.csv", Folders(words.data / "images"), [words.split])[: words.images]
    prepared = [engines[FLOAT32].prepare(decode(case.path.read_bytes())) for case in cases]
    for size in (1, BATCH):
        costs = pass_ms(engines, np.stack((prepared * size)[:size]), words.laps)
        _say({"model": card.key, "batch": size, "onednn": _onednn(), "cpu_ms_an_image": costs})
    found = {name: answers(engine, prepared, BATCH) for name, engine in engines.items()}
    for name, engine in engines.items():
        alone = moved(found[name], answers(engine, prepared, 1), card)
        _say({"model": card.key, "dtype": name, "alone beside batches of 8": asdict(alone)})
    _say({"model": card.key, "bfloat16 beside float32": asdict(moved(found[FLOAT32], found[BFLOAT16], card))})


def _maps(of: Answers) -> Sequence[NDArray[np.float32]]:
    return [] if of.maps is None else list(of.maps)


def _onednn() -> str:
    return "off" if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0" else "default"


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), metavar="DIR")
    parser.add_argument("--model", default="derm-joint", metavar="NAME")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="labels.csv and images/")
    parser.add_argument("--split", default="val", metavar="NAME")
    parser.add_argument("--images", type=int, default=None, metavar="N", help="the first ones only; default: all")
    parser.add_argument("--laps", type=int, default=20, metavar="N", help="passes of each size that are timed")
    return parser.parse_args()


def _say(line: Mapping[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
