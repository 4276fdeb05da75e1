"""One process that does a part of a worker's work alone: all that is beside the network, or the engine.

Says `{"ready": true}`, then answers each line on its stdin with one line on its stdout, as `ceiling_child` does.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.work import Map, Upload, Work, read_uploads
from nevus_core.heaps import arrange_heaps
from nevus_workers.imaging.decode import silence_decoders
from nevus_workers.models.engine import Engine, KerasEngine, configure_threads
from nevus_workers.models.repository import Repository

WARM_UP_BATCHES = 3
"""The first compiles, the next may still choose their kernels."""
PROBABILITY = 0.9
MAP_SIDE, MAP_BLUR = 112, 2.0
"""Cells a side, and the standard deviation of its border's softness in cells, as `derm-joint` has them."""

Order = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rate:
    """Images a second, and processor milliseconds an image."""

    images_per_s: float
    cpu_ms: float


def main() -> None:
    """Answers orders until stdin ends."""
    words = _words()
    arrange_heaps()
    cv2.setNumThreads(1)
    silence_decoders()
    repository = Repository(words.models)
    name, _, version = words.model.partition("@")
    card = repository.resolve(name, version)
    work = Work(card, words.segmenter)
    if words.part == "engine":
        configure_threads(words.threads, 1)
        engine = KerasEngine(card, repository.weights_path(card), words.batch)
    _say({"ready": True})
    for line in sys.stdin:
        order = json.loads(line)
        images = read_uploads(Path(order["folder"]))
        found = (
            engine_rate(engine, [work.begin(image).prepared for image in images], order)
            if words.part == "engine"
            else decode_rate(lambda image: beside_network(work, image), images, order, words.threads)
        )
        _say({"images_per_s": found.images_per_s, "cpu_ms": found.cpu_ms})


def beside_network(work: Work, image: Upload) -> None:
    """Does all that a worker's threads do with an image while another one's network is at work."""
    work.finish(work.begin(image), PROBABILITY, lesion_map())


@cache
def lesion_map() -> Map:
    """Returns what stands in for a network's map: float32 (112, 112), one lesion on a sixth of the image."""
    drawn = np.zeros((MAP_SIDE, MAP_SIDE), np.float32)
    cv2.circle(drawn, (MAP_SIDE // 2, MAP_SIDE // 2), MAP_SIDE // 4, PROBABILITY, cv2.FILLED)
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), MAP_BLUR), np.float32)


def decode_rate(work: Callable[[Upload], Any], images: Sequence[Upload], order: Order, threads: int) -> Rate:
    """Returns what so many threads do in `seconds` from `begin_s` on (monotonic clock; all begin at once)."""
    began_s = time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        laps = list(pool.map(lambda _: _laps(work, itertools.cycle(images), order, 1), range(threads)))
    spent_s = time.process_time() - began_s
    return Rate(sum(rate for rate, _ in laps), 1e3 * spent_s / sum(done for _, done in laps))


def engine_rate(engine: Engine, prepared: Sequence[NDArray[Any]], order: Order) -> Rate:
    """Returns what one thread does in `seconds` with batches of `batch`, each stacked anew as the batcher does it."""
    batch = list(itertools.islice(itertools.cycle(prepared), order["batch"]))
    for _ in range(WARM_UP_BATCHES):
        engine.predict(np.stack(batch))
    began_s = time.process_time()
    rate, done = _laps(lambda items: engine.predict(np.stack(items)), itertools.repeat(batch), order, len(batch))
    return Rate(rate, 1e3 * (time.process_time() - began_s) / done)


def _laps(work: Callable[[Any], Any], items: Iterable[Any], order: Order, images_each: int) -> tuple[float, int]:
    """Returns images a second between two ends of `work`, so that no half lap blurs it, and the images done in all."""
    first_s = 0.0
    before = 0
    for count, item in enumerate(items, start=1):
        work(item)
        now_s = time.monotonic()
        if first_s and now_s >= first_s + order["seconds"]:
            return images_each * (count - before) / (now_s - first_s), images_each * count
        if not first_s and now_s >= order["begin_s"]:
            first_s, before = now_s, count
    raise RuntimeError("There are no images.")


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("decode", "engine"))
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--model", required=True, metavar="NAME@VERSION")
    parser.add_argument("--segmenter", required=True)
    parser.add_argument("--threads", type=int, default=1, help="that decode, or of the network on a CPU")
    parser.add_argument("--batch", type=int, default=64, help="largest that will be ordered")
    return parser.parse_args()


def _say(line: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
