"""The proofs that nothing is lost, by hand: `PYTHONPATH=tests python -m chaos storm --jobs 2000 --seed 1`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from chaos.faults import FULL, SHORT
from chaos.overload import overload
from chaos.poison import poison
from chaos.rolling import rolling
from chaos.soak import soak
from chaos.storm import storm

Words = argparse.Namespace


def _storm(words: Words) -> list[str]:
    faults = SHORT if words.short else FULL
    return storm(
        jobs=words.jobs, seed=words.seed, minutes=words.minutes, faults=faults, settings=words.set, folder=words.folder
    )


def _poison(words: Words) -> list[str]:
    return poison(neighbours=words.neighbours, settings=words.set, folder=words.folder)


def _overload(words: Words) -> list[str]:
    return overload(seconds=words.seconds, settings=words.set, folder=words.folder)


def _soak(words: Words) -> list[str]:
    return soak(jobs=words.jobs, growth_limit=words.growth, settings=words.set, folder=words.folder)


def _rolling(words: Words) -> list[str]:
    return rolling(rounds=words.rounds, settings=words.set, folder=words.folder)


def main() -> int:
    """Runs one proof; returns 0 if it holds."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    proofs = parser.add_subparsers(dest="proof", required=True)

    def proof(name: str, act: Callable[[Words], list[str]], text: str) -> argparse.ArgumentParser:
        one = proofs.add_parser(name, help=text)
        one.set_defaults(act=act)
        one.add_argument("--folder", type=Path, help="keeps logs and the broker's data")
        one.add_argument("--set", action=_Settings, default={}, metavar="NAME=VALUE", help="a setting, without NEVUS_")
        return one

    one = proof("storm", _storm, "processes killed, stopped and paused under load")
    one.add_argument("--jobs", type=int, default=2000, help="least number of images")
    one.add_argument("--seed", type=int, default=1, help="of the schedule")
    one.add_argument("--minutes", type=float, default=12.0, help="no new fault after this time")
    one.add_argument("--short", action="store_true", help="8 faults instead of 40")
    one = proof("poison", _poison, "an image that kills its worker, among others")
    one.add_argument("--neighbours", type=int, default=200)
    one = proof("overload", _overload, "ten times the load that can be done")
    one.add_argument("--seconds", type=float, default=60.0)
    one = proof("soak", _soak, "many jobs, nothing grows")
    one.add_argument("--jobs", type=int, default=20_000)
    one.add_argument("--growth", type=float, default=0.05, help="largest growth of a resident set")
    one = proof("rolling", _rolling, "every process restarted in turn under load")
    one.add_argument("--rounds", type=int, default=1)
    words = parser.parse_args()
    return 1 if words.act(words) else 0


class _Settings(argparse.Action):
    """Collects NAME=VALUE pairs."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:  # noqa: ANN001
        name, _, value = str(values).partition("=")
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), name.upper(): value})


if __name__ == "__main__":
    sys.exit(main())
