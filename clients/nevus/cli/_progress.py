"""What a person sees while images are worked on; all of it on stderr, so that stdout holds the results alone.

One image: a line for each stage. Many: one bar with the number of images at each stage. Nothing that moves where stderr
is no terminal.
"""

from __future__ import annotations

import time
from collections import Counter
from types import TracebackType
from typing import Protocol, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nevus.cli._tables import err
from nevus.errors import NevusError
from nevus.jobs import Event, JobState

_STAGES = ("queued", "decoding", "segmenting", "classifying")


class Watcher(Protocol):
    """Something that is shown every update of every image."""

    def __enter__(self) -> Self:
        """Begins to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it."""

    def update(self, index: int, update: Event | NevusError) -> None:
        """Shows what happened to the image with this number."""


class Silent:
    """Shows nothing: for `--json` and for many images without a terminal."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def update(self, index: int, update: Event | NevusError) -> None:
        """Shows nothing."""


class Stages(Silent):
    """Prints a line for each move of a single image."""

    def __init__(self) -> None:
        self._console = err()
        self._start = time.monotonic()

    def update(self, index: int, update: Event | NevusError) -> None:
        """Prints the move, with the seconds since the start."""
        del index
        if isinstance(update, NevusError):
            return
        text = _stage(update)
        if update.regions is not None:
            count = len(update.regions)
            text += f": {count} region{'' if count == 1 else 's'} found"
        self._console.print(f"{time.monotonic() - self._start:7.2f} s  {text}", style="dim")


class Bars:
    """A progress bar over all images, with counts by stage."""

    def __init__(self, total: int) -> None:
        self._progress = Progress(
            TextColumn("analysing"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[counts]}"),
            console=err(),
            transient=True,
        )
        self._task = self._progress.add_task("", total=total, counts="")
        self._stages: dict[int, str] = {}
        self._ended: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, index: int, update: Event | NevusError) -> None:
        """Moves the image to its new stage, and the bar where it is done."""
        if isinstance(update, NevusError) or update.final:
            self._stages.pop(index, None)
            good = isinstance(update, Event) and update.state is JobState.SUCCEEDED
            self._ended["done" if good else "failed"] += 1
        else:
            self._stages[index] = _stage(update)
        self._progress.update(self._task, completed=self._ended.total(), counts=self._counts())

    def _counts(self) -> str:
        now = Counter(self._stages.values())
        parts = [f"{name} {now[name]}" for name in _STAGES]
        return "  ".join([*parts, f"done {self._ended['done']}", f"failed {self._ended['failed']}"])


def watcher_for(total: int, *, quiet: bool) -> Watcher:
    """Returns what suits: nothing for machines, lines for one image, a bar for many on a terminal."""
    if quiet:
        return Silent()
    if total == 1:
        return Stages()
    return Bars(total) if err().is_terminal else Silent()


def _stage(event: Event) -> str:
    """Returns one lower-case word for where a job is."""
    return (event.stage if event.state is JobState.RUNNING else event.state).lower()
