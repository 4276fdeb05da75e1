"""`nevus bench`: how many images a second a server answers, how long each takes, and where the time goes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Protocol

import typer

from nevus.aio import AsyncClient
from nevus.cli._figures import Figures
from nevus.cli._inputs import expand
from nevus.cli._lanes import Calls
from nevus.cli._lines import emit
from nevus.cli._load import Load
from nevus.cli._loop import run
from nevus.cli._options import TARGET_DEFAULT, Json, Model, Segmenter, Target
from nevus.cli._session import FAILED, NO_SERVER, complain, session, usage_error
from nevus.cli._tables import out, table
from nevus.jobs import Options
from nevus.synthetic import synthetic_lesion

DRAWN = 8
MOST_FILES = 200
MOST_IN_FLIGHT = 4096
_HEADINGS = (
    ">in flight", ">images/s", ">p50 ms", ">p95 ms", ">p99 ms", ">batch", ">queued ms", ">decode ms", ">segment ms",
    ">classify ms", ">boxes earlier by ms", ">client CPU ms", ">errors",
)  # fmt: skip
_EPILOG = """\
Examples:

  nevus bench --in-flight 32 --seconds 30

  nevus bench --target server:50051 --data study/ --json | jq 'select(.phase == "measured") | .images_per_s'

With --json a line {"phase": "measuring"} comes when a window begins, one {"phase": "measured"} with its figures when it
ends. Exit codes: 0 all succeeded, 1 some failed, 2 wrong usage, 3 no server, 130 stopped with Ctrl-C.
"""


def register(app: typer.Typer) -> None:
    """Adds `nevus bench`."""
    app.command("bench", epilog=_EPILOG, rich_help_panel="Server")(bench)


def bench(  # noqa: PLR0913, PLR0917 - a command's options
    in_flight: Annotated[
        str, typer.Option("--in-flight", metavar="N,N,...", help="Images on the way at a time, one window for each.")
    ] = "1,8,32,128",
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="Length of each window.")] = 10.0,
    warm_up: Annotated[
        float, typer.Option("--warm-up", metavar="SECONDS", min=0, help="Load before each window, not measured.")
    ] = 3.0,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help=f"Your images, the first {MOST_FILES}. Default: drawn ones."),
    ] = None,
    events: Annotated[
        bool, typer.Option("--events", help="Stream every event instead of the outcome alone; shows when boxes come.")
    ] = False,
    calls: Annotated[
        Calls,
        typer.Option(
            "--calls",
            help="many: all images over one AnalyzeMany stream. single: an Analyze call for each. "
            "auto: many where more than one is in flight and no --events are asked for.",
        ),
    ] = Calls.AUTO,
    model: Model = "",
    segmenter: Segmenter = "",
    as_json: Json = False,
    target: Target = TARGET_DEFAULT,
) -> None:
    """Load a server and measure it: a closed loop, nothing retried.

    An image's time runs from handing it over for sending, when there is room in flight, to its outcome.

    Rates count the answers that came within the window. Queue and stage times are medians of what the results say.
    """
    steps = _steps(in_flight)
    if events and calls is Calls.MANY:
        raise usage_error("--events shows what single calls bring: it does not go with --calls many.")
    images = _drawn() if data is None else _read(data)
    report: _Report = _Lines() if as_json else _Table()
    options = Options(model=model, segmenter=segmenter)
    with session(target):
        load = run(_run(target, images, options, calls, events, steps, (warm_up, seconds), report))
    report.end()
    if outside := load.failed - load.failed_within:
        complain(f"{outside} failed before or after the windows.")
    if load.failed or not load.succeeded:
        raise typer.Exit(NO_SERVER if load.server_missed and not load.succeeded else FAILED)


class _Report(Protocol):
    """Who is told what the windows show."""

    def measuring(self, in_flight: int) -> None:
        """A window begins."""

    def measured(self, figures: Figures) -> None:
        """A window has ended, just now."""

    def end(self) -> None:
        """All windows have ended."""


class _Lines:
    """One JSON object a phase; written at once, for somebody may sample processor times at that moment."""

    def measuring(self, in_flight: int) -> None:
        emit({"phase": "measuring", "in_flight": in_flight})

    def measured(self, figures: Figures) -> None:
        emit({"phase": "measured", **figures.line()})

    def end(self) -> None:
        pass


class _Table:
    """A table at the end; meanwhile, a line on stderr says what is being measured."""

    def __init__(self) -> None:
        self._found: list[Figures] = []

    def measuring(self, in_flight: int) -> None:
        complain(f"measuring with {in_flight} in flight")

    def measured(self, figures: Figures) -> None:
        self._found.append(figures)

    def end(self) -> None:
        out().print(table(_HEADINGS, map(_cells, self._found)))
        for figures in self._found:
            for reason, count in figures.errors.items():
                complain(f"{count} of {figures.images + count} failed with {figures.in_flight} in flight: {reason}")


async def _run(
    target: str,
    images: Sequence[bytes],
    options: Options,
    calls: Calls,
    events: bool,
    steps: Sequence[int],
    times_s: tuple[float, float],
    report: _Report,
) -> Load:
    """Returns the load after a window for each of `steps`; `times_s`: of warming up and of measuring."""
    warm_up_s, window_s = times_s
    async with AsyncClient(target, retry_for_s=0) as client:
        load = Load(client, images, options, calls=calls, events=events)
        for in_flight in steps:
            async with load.running(in_flight):
                await asyncio.sleep(warm_up_s)
                report.measuring(in_flight)
                report.measured(await load.window(window_s))
    return load


def _steps(text: str) -> list[int]:
    """Returns the numbers of `--in-flight`.

    Raises:
        typer.Exit: It names something else, or a number out of range.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdecimal() and 1 <= int(word) <= MOST_IN_FLIGHT for word in words):
        raise usage_error(f"--in-flight {text!r} is not a list of numbers from 1 to {MOST_IN_FLIGHT}, as in 1,8,32.")
    return [int(word) for word in words]


def _drawn() -> list[bytes]:
    return [synthetic_lesion(seed=seed) for seed in range(DRAWN)]


def _read(folder: Path) -> list[bytes]:
    """Returns the contents of a folder's images.

    Raises:
        typer.Exit: It holds none, or one can't be read.
    """
    try:
        return [one.path.read_bytes() for one in expand([folder], recursive=True)[:MOST_FILES]]
    except OSError as error:
        raise usage_error(f"--data {folder}: {error.filename}: {error.strerror}.") from error


def _cells(figures: Figures) -> tuple[str, ...]:
    """Returns a row of the table."""
    times = (
        figures.queued_ms,
        figures.decode_ms,
        figures.segment_ms,
        figures.classify_ms,
        figures.regions_before_class_ms,
        figures.client_cpu_ms_per_image,
    )
    return (
        str(figures.in_flight),
        f"{figures.images_per_s:.1f}",
        *(_text(value) for value in (figures.p50_ms, figures.p95_ms, figures.p99_ms, figures.batch_size, *times)),
        str(sum(figures.errors.values())),
    )


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
