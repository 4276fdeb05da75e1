"""What a person reads and what a program reads: the tables on stdout and the JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.compare import Compared
from bench.cost_rounds import Cost
from bench.run import Run
from bench.subject import Subject

RATES = (
    "size", "in flight", "images/s", "ceiling", "ratio", "(min to max)", "p50 ms", "p95 ms", "p99 ms", "p99 / fair",
    "ceiling p50", "errors",
)  # fmt: skip
TIMES = (
    "size", "in flight", "client", "server", "redis", "worker", "ceiling", "added in worker", "boxes earlier by ms",
    "batch", "queued ms", "decode ms", "segment ms", "classify ms",
)  # fmt: skip

COMPARED = (
    "size", "in flight", "workers", "images/s", "speed-up", "(min to max)", "p50 ms", "client", "server", "redis",
    "worker", "cores: workers", "all", "errors",
)  # fmt: skip

COSTS = ("size", "CPU ms", "reference's", "ratio", "(min to max)", "images/s", "reference's", "rounds")


def console() -> Console:
    """Returns stdout; wide where it is no terminal, so that no column is folded in a file."""
    made = Console(highlight=False, markup=False)
    if not made.is_terminal:
        made.width = 200
    return made


def print_runs(runs: Sequence[Run], subject: Subject, machine: Mapping[str, Any]) -> None:
    """Prints the two tables and the machine's facts."""
    screen = console()
    title = f"Served against the in-process ceiling ({subject})"
    screen.print(_table(title, RATES, [_rates(run) for run in runs]))
    screen.print(_table("CPU milliseconds an image by process, and the stages", TIMES, [_times(run) for run in runs]))
    for run in runs:
        for reason, count in run.errors.items():
            screen.print(f"{run.size}, {run.in_flight} in flight: {count} failed with {reason}", style="red")
    screen.print(", ".join(f"{name} {value}" for name, value in machine.items()))


def print_costs(found: Sequence[Cost], subject: Subject, reference: Subject, machine: Mapping[str, Any]) -> None:
    """Prints the tables of `bench.cost` and the machine's facts."""
    screen = console()
    title = f"In-process, CPU milliseconds an image: {subject} beside {reference}"
    screen.print(_table(title, COSTS, [_cost(one) for one in found]))
    for name, steps in (
        (str(subject), [one.steps_ms for one in found]),
        (str(reference), [one.reference_steps_ms for one in found]),
    ):
        headings = ("size", *steps[0])
        rows = [(one.size, *(_text(own[step], 2) for step in steps[0])) for one, own in zip(found, steps, strict=True)]
        screen.print(_table(f"Steps of {name}", headings, rows))
    screen.print(", ".join(f"{name} {value}" for name, value in machine.items()))


def print_compared(found: Sequence[Compared], subject: Subject, machine: Mapping[str, Any]) -> None:
    """Prints the table of `--compare-workers` and the machine's facts."""
    screen = console()
    title = f"Numbers of workers ({subject}); CPU milliseconds an image"
    screen.print(_table(title, COMPARED, [_compared(one) for one in found]))
    screen.print(", ".join(f"{name} {value}" for name, value in machine.items()))


def write_json(path: Path, runs: Sequence[Mapping[str, Any]], machine: Mapping[str, Any], **more: Any) -> None:
    """Writes runs, machine and whatever else was measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": dict(machine), "runs": list(runs), **more}, indent=2) + "\n")


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    made = Table(title=title, box=None, pad_edge=False, header_style="bold", title_justify="left")
    for number, heading in enumerate(headings):
        made.add_column(heading, justify="left" if number == 0 else "right")
    for row in rows:
        made.add_row(*row)
    return made


def _rates(run: Run) -> tuple[str, ...]:
    return (
        run.size,
        str(run.in_flight),
        _text(run.images_per_s),
        _text(run.ceiling_images_per_s),
        _text(run.ratio, 3),
        f"{run.ratio_min:.3f} to {run.ratio_max:.3f}",
        *(_text(value) for value in (run.p50_ms, run.p95_ms, run.p99_ms)),
        _text(run.p99_over_fair, 2),
        _text(run.ceiling_p50_ms),
        str(sum(run.errors.values())),
    )


def _times(run: Run) -> tuple[str, ...]:
    cpu = (*run.cpu_ms_per_image.values(), run.ceiling_cpu_ms_per_image, run.added_cpu_ms_per_image)
    rest = (
        run.regions_before_class_ms,
        run.batch_size,
        run.queued_ms,
        run.decode_ms,
        run.segment_ms,
        run.classify_ms,
    )
    return (run.size, str(run.in_flight), *(_text(value, 2) for value in cpu), *(_text(value) for value in rest))


def _compared(one: Compared) -> tuple[str, ...]:
    return (
        one.size,
        str(one.in_flight),
        str(one.workers),
        _text(one.images_per_s),
        _text(one.speed_up, 2),
        f"{one.speed_up_min:.2f} to {one.speed_up_max:.2f}",
        _text(one.p50_ms),
        *(_text(value, 2) for value in (*one.cpu_ms_per_image.values(), one.worker_cores, one.busy_cores)),
        str(one.errors),
    )


def _cost(one: Cost) -> tuple[str, ...]:
    return (
        one.size,
        _text(one.cpu_ms_per_image, 2),
        _text(one.reference_cpu_ms_per_image, 2),
        _text(one.ratio, 3),
        f"{one.ratio_min:.3f} to {one.ratio_max:.3f}",
        *(_text(value) for value in (one.images_per_s, one.reference_images_per_s)),
        str(one.rounds),
    )


def _text(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
