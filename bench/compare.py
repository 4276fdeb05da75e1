"""Other numbers of workers, side by side: `--compare-workers 1,2`.

One system each, all running at once, one of them measured at a time and the others idle; in turn, so that a machine
that gets slower meanwhile does none of them wrong.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.run import Say, rounded, warm_up_s, weighted_cpu
from bench.served import Served, ServedFigures

GUESSED_IMAGES_PER_S = 25.0
"""Of the slowest system, for the length of the warm-up."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One number of workers, at one size and number in flight.

    Attributes:
        size: Of the images.
        in_flight: Images on the way at a time.
        workers: Worker processes.
        images_per_s: Median of the rounds.
        speed_up: Images a second over those of the first number of workers, median of the rounds' own ratios.
        speed_up_min: Of the worst round.
        speed_up_max: Of the best round.
        p50_ms: Median of the rounds.
        cpu_ms_per_image: Processor time by role.
        worker_cores: Cores that the workers kept busy.
        busy_cores: The same for all processes together: near the machine's number, more workers can't help.
        errors: Images that failed.
    """

    size: str
    in_flight: int
    workers: int
    images_per_s: float
    speed_up: float
    speed_up_min: float
    speed_up_max: float
    p50_ms: float
    cpu_ms_per_image: Mapping[str, float]
    worker_cores: float
    busy_cores: float
    errors: int

    def line(self) -> dict[str, Any]:
        """Returns the JSON object."""
        return {name: rounded(value) for name, value in asdict(self).items()}


def compare(
    systems: Sequence[Served], folder: Path, *, size: str, in_flight: int, seconds: float, rounds: int, say: Say
) -> list[Compared]:
    """Returns what each system has shown in its windows; the first one is what the others are judged against.

    Raises:
        RuntimeError: A process ended.
    """
    found: list[list[ServedFigures]] = [[] for _ in systems]
    for number in range(rounds):
        for system, windows in zip(systems, found, strict=True):
            rate = windows[-1].images_per_s if windows else GUESSED_IMAGES_PER_S
            windows.append(system.measure(folder, in_flight, seconds, warm_up_s(in_flight, rate)))
            what = f"{size}, {in_flight} in flight, {system.workers} workers"
            say(f"{what}: round {number + 1} of {rounds}: {windows[-1].images_per_s:.1f} images/s")
    return [_summary(size, in_flight, found[0], windows) for windows in found]


def _summary(size: str, in_flight: int, first: Sequence[ServedFigures], own: Sequence[ServedFigures]) -> Compared:
    ratios = [mine.images_per_s / theirs.images_per_s for mine, theirs in zip(own, first, strict=True)]
    rate = statistics.median(one.images_per_s for one in own)
    cpu = weighted_cpu(own)
    return Compared(
        size=size,
        in_flight=in_flight,
        workers=own[0].workers,
        images_per_s=rate,
        speed_up=statistics.median(ratios),
        speed_up_min=min(ratios),
        speed_up_max=max(ratios),
        p50_ms=statistics.median(float(one.bench["p50_ms"]) for one in own),
        cpu_ms_per_image=cpu,
        worker_cores=rate * cpu["worker"] / 1e3,
        busy_cores=rate * sum(cpu.values()) / 1e3,
        errors=sum(one.failed for one in own),
    )
