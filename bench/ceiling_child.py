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

from bench.work import Upload, Work, read_uploads
from nevus_core.heaps import arrange_heaps
from nevus_workers.imaging.decode import silence_decoders
from nevus_workers.models.engine import Engine, KerasEngine, configure_threads
from nevus_workers.models.repository import Repository

TAIL_S = 0.25
"""Goes on for so long after its window: the other processes' windows end a batch later at most."""

Chunk = tuple[Upload, ...]


def main() -> None:
    """Answers windows until stdin ends."""
    words = _words()
    signal.signal(signal.SIGTERM, _leave)
    arrange_heaps()
    configure_threads(1, words.threads)
    silence_decoders()
    name, _, version = words.model.partition("@")
    card = Repository(words.models).resolve(name, version)
    engine = KerasEngine(card, Repository(words.models).weights_path(card), words.batch, words.threads)
    engine.warm()
    work = Work(card, words.segmenter)
    folders: dict[str, list[Upload]] = {}
    _say({"ready": True})
    for line in sys.stdin:
        order = json.loads(line)
        name = order["folder"]
        if name not in folders:
            folders[name] = read_uploads(Path(name))
        _say(_measure(engine, work, folders[name], order["begin_s"], order["seconds"]))


def _measure(engine: Engine, work: Work, images: Sequence[Upload], begin_s: float, seconds: float) -> dict[str, Any]:
    """Returns one window: from the end of the first batch after `begin_s` to that of the first so many seconds later.

    Whole batches, at least one, between two of their ends, so that no half batch blurs the rate.

    Args:
        engine: Batches are of its `max_batch`.
        work: What is done with every image.
        images: Taken again and again.
        begin_s: Of the monotonic clock, which all processes of a machine share; work starts at once.
        seconds: Of the window.
    """
    ends: list[tuple[float, float, dict[str, float]]] = []  # monotonic time, processor time, the same by step
    for chunk in _chunks(images, engine.max_batch):
        work.analyze(engine, chunk)
        now_s = time.monotonic()
        if now_s < begin_s:
            continue
        if not ends or ends[-1][0] < ends[0][0] + seconds:
            ends.append((now_s, time.process_time(), dict(work.spent_s)))
        if len(ends) > 1 and now_s >= ends[0][0] + seconds + TAIL_S:
            break
    (first_s, first_cpu_s, first_steps), (last_s, last_cpu_s, last_steps) = ends[0], ends[-1]
    laps_ms = [1e3 * (after[0] - before[0]) for before, after in itertools.pairwise(ends)]
    return {
        "images": engine.max_batch * len(laps_ms),
        "seconds": last_s - first_s,
        "cpu_s": last_cpu_s - first_cpu_s,
        "steps_s": {step: spent_s - first_steps[step] for step, spent_s in last_steps.items()},
        "batches_ms": laps_ms,
    }


def _chunks(images: Sequence[Upload], count: int) -> Iterator[Chunk]:
    """Yields `count` images at a time, for ever."""
    endless = itertools.cycle(images)
    while True:
        yield tuple(itertools.islice(endless, count))


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signal module's form
    """Ends in good order: TensorFlow removes its scratch files when the interpreter ends."""
    sys.exit(0)


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--model", required=True, metavar="NAME@VERSION")
    parser.add_argument("--segmenter", required=True)
    parser.add_argument("--threads", type=int, default=1, help="strips of an image alone")
    parser.add_argument("--batch", type=int, default=8)
    return parser.parse_args()


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
