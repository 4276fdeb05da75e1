"""What an image costs, in-process: one model's whole pipeline beside another's, in one run. `python -m bench.cost`.

Two in-process ceilings (`bench.ceiling`), each with its card's own segmenter, measured in turn over the same images:
processor milliseconds an image of both, their ratio with its spread over the rounds, and the steps. No served system.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.ceiling import ceiling
from bench.children import TOP
from bench.cost_rounds import compare_costs
from bench.images import folders
from bench.machine import machine
from bench.report import print_costs, write_json
from bench.subject import MODEL, choose
from bench.words import exit_code, say, sizes
from nevus.cli.bench import MOST_FILES

OUT = TOP / "bench" / "out" / "cost.json"


def main() -> int:
    """Runs what the command line asks for; returns the exit code."""
    words = _words()

    def run() -> int:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            _measure(words, Path(folder))
        return 0

    return exit_code(run)


def _measure(words: argparse.Namespace, folder: Path) -> None:
    """Compares both models; prints and writes what came of it."""
    subject, reference = choose(words.models, words.model), choose(words.models, words.against)
    images = folders(words, folder)
    plan = {"seconds": words.seconds, "rounds": words.rounds}
    with ExitStack() as undo:
        say(f"loading {subject} and {reference}")
        own, other = (undo.enter_context(ceiling(each, processes=words.processes)) for each in (subject, reference))
        found = [compare_costs(own, other, path, size=size, say=say, **plan) for size, path in images.items()]
    facts = machine()
    print_costs(found, subject, reference, facts)
    costs = [one.line() for one in found]
    write_json(words.json, [], facts, costs=costs, **subject.facts, against=reference.facts, **plan)


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.cost", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--model", default="derm-joint", metavar="NAME[@VERSION]")
    parser.add_argument("--against", default=MODEL, metavar="NAME[@VERSION]", help=f"default: {MODEL}")
    parser.add_argument("--size", type=sizes, default=[(1022, 767)], metavar="WxH,WxH,...")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each window")
    parser.add_argument("--rounds", type=int, default=5, help="windows of the model, for each size")
    parser.add_argument("--processes", type=int, metavar="N", help="that work at a time; default: one a core")
    parser.add_argument("--images", type=int, default=20, metavar="N", help="drawn of each size")
    parser.add_argument("--data", type=Path, metavar="DIR", help="real images instead of drawn ones")
    parser.add_argument("--models", type=Path, default=TOP / "models", metavar="DIR")
    parser.add_argument("--json", type=Path, default=OUT, metavar="FILE")
    words = parser.parse_args()
    if not 1 <= words.images <= MOST_FILES:
        parser.error(f"--images: 1 to {MOST_FILES}.")
    words.models = words.models.resolve()
    return words


if __name__ == "__main__":
    sys.exit(main())
