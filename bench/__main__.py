"""Served throughput next to the in-process ceiling, in one run: `python -m bench --in-flight 32 --size 1022x767`.

Starts both, measures them in turn over the same images, and prints rates, times and processor time by process; writes
JSON and a picture.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.ceiling import ceiling
from bench.children import TOP
from bench.compare import compare
from bench.images import folders
from bench.machine import machine
from bench.picture import draw
from bench.report import print_compared, print_runs, write_json
from bench.run import measure
from bench.served import served
from bench.subject import MODEL, choose
from bench.words import exit_code, numbers, say, setting, sizes
from nevus.cli.bench import MOST_FILES

OUT = TOP / "bench" / "out"


def main() -> int:
    """Runs what the command line asks for; returns the exit code."""
    words = _words()

    def run() -> int:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            return _compare(words, Path(folder)) if words.compare_workers else _measure(words, Path(folder))

    return exit_code(run)


def _measure(words: argparse.Namespace, folder: Path) -> int:
    """Compares ceiling and served system; prints, writes and draws what came of it. Returns the exit code."""
    subject, sizes = choose(words.models, words.model), folders(words, folder)
    plan = {"seconds": words.seconds, "rounds": words.rounds}
    with ExitStack() as undo:
        say(f"loading {subject}, in-process and served")
        bound = undo.enter_context(ceiling(subject, with_alone=1 in words.in_flight))
        system = undo.enter_context(served(folder, subject, workers=words.workers, settings=words.set))
        say(f"ready; worker processes: {system.workers}")
        runs = [
            measure(bound, system, images, size=size, in_flight=in_flight, say=say, **plan)
            for size, images in sizes.items()
            for in_flight in words.in_flight
        ]
    facts = machine()
    print_runs(runs, subject, facts)
    write_json(words.json, [run.line() for run in runs], facts, settings=words.set, **subject.facts, **plan)
    draw(words.picture, runs, subject)
    return 1 if any(run.errors for run in runs) else 0


def _compare(words: argparse.Namespace, folder: Path) -> int:
    """Compares systems with other numbers of workers; prints and writes what came of it. Returns the exit code."""
    subject, sizes = choose(words.models, words.model), folders(words, folder)
    plan = {"seconds": words.seconds, "rounds": words.rounds}
    with ExitStack() as undo:
        systems = []
        for number in words.compare_workers:
            say(f"starting a system with {number} worker process(es)")
            own = folder / f"workers-{number}"
            own.mkdir()
            systems.append(undo.enter_context(served(own, subject, workers=number, settings=words.set)))
        found = [
            one
            for size, images in sizes.items()
            for in_flight in words.in_flight
            for one in compare(systems, images, size=size, in_flight=in_flight, say=say, **plan)
        ]
    facts = machine()
    print_compared(found, subject, facts)
    compared = [one.line() for one in found]
    write_json(words.json, [], facts, compared=compared, settings=words.set, **subject.facts, **plan)
    return 1 if any(one.errors for one in found) else 0


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--in-flight", type=numbers, default=[1, 8, 32, 128], metavar="N,N,...")
    parser.add_argument("--size", type=sizes, default=[(1022, 767), (3008, 2000)], metavar="WxH,WxH,...")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each window")
    parser.add_argument("--rounds", type=int, default=3, help="served windows of each size and number in flight")
    parser.add_argument("--workers", type=int, help="worker processes; default: what `nevus up` chooses")
    parser.add_argument("--images", type=int, default=20, metavar="N", help="drawn of each size")
    parser.add_argument("--data", type=Path, metavar="DIR", help="real images instead of drawn ones")
    parser.add_argument("--model", default=MODEL, metavar="NAME[@VERSION]", help="with its card's segmenter")
    parser.add_argument("--models", type=Path, default=TOP / "models", metavar="DIR")
    parser.add_argument("--set", type=setting, action="append", default=[], metavar="NAME=VALUE", help="NEVUS_NAME")
    parser.add_argument("--json", type=Path, default=OUT / "bench.json", metavar="FILE")
    parser.add_argument("--picture", type=Path, default=OUT / "bench.png", metavar="FILE")
    parser.add_argument(
        "--compare-workers",
        type=numbers,
        metavar="N,N,...",
        help="no ceiling: systems with so many workers, in turn; --set engine_threads=1 for equal workers",
    )
    words = parser.parse_args()
    if not 1 <= words.images <= MOST_FILES:
        parser.error(f"--images: 1 to {MOST_FILES}, for `nevus bench` takes no more.")
    words.set = dict(words.set)
    words.models = words.models.resolve()
    return words


if __name__ == "__main__":
    sys.exit(main())
