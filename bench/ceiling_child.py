"""One process of the in-process ceiling: every step of a job's work in nevus's own code, and nothing else.

Loads and warms everything, says `{"ready": ...}`, then answers each line on its stdin, `{"folder", "begin_s",
"seconds"}`, with one line on its stdout. Between windows it waits for the next line and takes no processor time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from nevus_core.heaps import arrange_heaps
from nevus_core.records import Classification, ModelCard
from nevus_workers.imaging.appearance import look
from nevus_workers.imaging.decode import decode, silence_decoders
from nevus_workers.imaging.measures import measure
from nevus_workers.imaging.segmenter import Segmenter, built_in_segmenters
from nevus_workers.models.engine import Engine, KerasEngine, configure_threads
from nevus_workers.models.repository import Repository
from nevus_workers.pipeline import classify
from nevus_workers.quality import quality_issues

TAIL_S = 0.25
"""Goes on for so long after its window: the other processes' windows end a batch later at most."""

Chunk = tuple[bytes, ...]


def main() -> None:
    """Answers windows until stdin ends."""
    words = _words()
    signal.signal(signal.SIGTERM, _leave)
    arrange_heaps()
    configure_threads(1, words.threads)
    silence_decoders()
    card = Repository(words.models).resolve(words.model)
    engine = KerasEngine(card, Repository(words.models).weights_path(card), words.batch, words.threads)
    engine.warm()
    segmenter = built_in_segmenters().get(words.segmenter)
    folders: dict[str, list[bytes]] = {}
    _say({"ready": True, "model": card.key, "segmenter": segmenter.name})
    for line in sys.stdin:
        order = json.loads(line)
        name = order["folder"]
        if name not in folders:
            folders[name] = [path.read_bytes() for path in sorted(Path(name).iterdir())]
        _say(_measure(engine, segmenter, folders[name], order["begin_s"], order["seconds"]))


def analyze(engine: Engine, segmenter: Segmenter, chunk: Sequence[bytes]) -> list[Classification]:
    """Returns the class of each image: every step of a job's work, in the order in which a worker takes them."""
    inputs = []
    for data in chunk:
        image_bgr = decode(data)
        found = segmenter.segment(image_bgr)
        quality_issues(look(image_bgr), image_bgr.shape[1], image_bgr.shape[0], found)
        measure(image_bgr, found.regions)
        inputs.append(engine.prepare(image_bgr))
    return [_class(engine.card, float(probability)) for probability in engine.predict(np.stack(inputs)).probabilities]


def _class(card: ModelCard, probability: float) -> Classification:
    return classify(card, probability, card.default_operating_point)


def _measure(
    engine: Engine, segmenter: Segmenter, images: Sequence[bytes], begin_s: float, seconds: float
) -> dict[str, Any]:
    """Returns one window: from the end of the first batch after `begin_s` to that of the first so many seconds later.

    Whole batches, at least one, between two of their ends, so that no half batch blurs the rate.

    Args:
        engine: Batches are of its `max_batch`.
        segmenter: Of every image.
        images: Taken again and again.
        begin_s: Of the monotonic clock, which all processes of a machine share; work starts at once.
        seconds: Of the window.
    """
    ends: list[tuple[float, float]] = []  # monotonic time, processor time
    for chunk in _chunks(images, engine.max_batch):
        analyze(engine, segmenter, chunk)
        now_s = time.monotonic()
        if now_s < begin_s:
            continue
        if not ends or ends[-1][0] < ends[0][0] + seconds:
            ends.append((now_s, time.process_time()))
        if len(ends) > 1 and now_s >= ends[0][0] + seconds + TAIL_S:
            break
    (first_s, first_cpu_s), (last_s, last_cpu_s) = ends[0], ends[-1]
    laps_ms = [1e3 * (after[0] - before[0]) for before, after in itertools.pairwise(ends)]
    return {
        "images": engine.max_batch * len(laps_ms),
        "seconds": last_s - first_s,
        "cpu_s": last_cpu_s - first_cpu_s,
        "batches_ms": laps_ms,
    }


def _chunks(images: Sequence[bytes], count: int) -> Iterator[Chunk]:
    """Yields `count` images at a time, for ever."""
    endless = itertools.cycle(images)
    while True:
        yield tuple(itertools.islice(endless, count))


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signal module's form
    """Ends in good order: TensorFlow removes its scratch files when the interpreter ends."""
    sys.exit(0)


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--model", default="notebook-cnn")
    parser.add_argument("--segmenter", required=True)
    parser.add_argument("--threads", type=int, default=1, help="strips of an image alone")
    parser.add_argument("--batch", type=int, default=8)
    return parser.parse_args()


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
