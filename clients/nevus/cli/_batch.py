"""The images of one `nevus analyze`: what came of each, its pictures saved, its line printed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from nevus.cli._inputs import Input
from nevus.cli._lines import Line, emit, outcome
from nevus.cli._session import FAILED, NO_SERVER, complain, exit_code
from nevus.cli._tables import NOT_CLINICAL, out, probability_text, review_text, table
from nevus.client import Client
from nevus.errors import NevusError
from nevus.jobs import ArtifactKind, Event, Failure, Job, JobState
from nevus.results import Region

BOXES_SHOWN = 2
"""In a table's cell."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one image.

    Attributes:
        file: Its path, as typed or found.
        job: Its job with the outcome; None where it was not accepted or not finished.
        job_name: The job's name as far as known.
        error: Why there is no result, or not all that was asked for; None where all went well.
        pictures: Paths of the pictures saved, by kind.
    """

    file: str
    job: Job | None
    job_name: str | None
    error: NevusError | Failure | None
    pictures: dict[ArtifactKind, Path]

    def line(self) -> Line:
        """Returns the JSON object that `--json` prints."""
        saved = {str(kind): str(self.pictures[kind]) if kind in self.pictures else None for kind in ArtifactKind}
        return {"file": self.file} | outcome(self.job, name=self.job_name, error=self.error) | saved


class Batch:
    """All images of one call.

    Args:
        inputs: In the order of the table.
        folders: Where to save which pictures.
        as_json: Print each outcome as it comes.
    """

    def __init__(self, inputs: list[Input], folders: dict[ArtifactKind, Path], *, as_json: bool) -> None:
        self._inputs = inputs
        self._folders = folders
        self._as_json = as_json
        self._job_names: dict[int, str] = {}
        self._outcomes: dict[int, Outcome] = {}

    @property
    def done(self) -> int:
        """How many images have their outcome."""
        return len(self._outcomes)

    def take(self, client: Client, index: int, update: Event | NevusError) -> None:
        """Notes an update; on an outcome saves the pictures and prints the line."""
        if isinstance(update, NevusError):
            self._settle(index, None, update, {})
            return
        self._job_names[index] = update.job
        if not update.final:
            return
        job = update.snapshot or client.get(update.job)
        error: NevusError | Failure | None = job.error
        pictures: dict[ArtifactKind, Path] = {}
        if job.state is JobState.SUCCEEDED:
            try:
                self._save(client, index, job, pictures)
            except NevusError as failure:
                error = failure
            except OSError as failure:
                path = failure.filename or "picture"
                error = Failure("INTERNAL", "UNWRITABLE_FILE", f"{path} can't be written: {failure.strerror}.")
        self._settle(index, job, error, pictures)

    def give_up(self, error: NevusError) -> None:
        """Notes one error as the outcome of every image that has none: the connection is gone, or time is over."""
        for index in range(len(self._inputs)):
            if index not in self._outcomes:
                self._settle(index, None, error, {})

    def exit_code(self) -> int:
        """Returns 0 where all succeeded, 3 where none did for want of a server, else 1."""
        good = [one for one in self._outcomes.values() if one.job and one.job.state is JobState.SUCCEEDED]
        bad = [one for one in self._outcomes.values() if one.error or one not in good]
        if not bad:
            return 0
        no_server = any(isinstance(one.error, NevusError) and exit_code(one.error) == NO_SERVER for one in bad)
        return NO_SERVER if no_server and not good else FAILED

    def print_table(self) -> None:
        """Prints all outcomes for a person, in the order of the inputs, and why images failed on stderr."""
        ordered = [self._outcomes[index] for index in sorted(self._outcomes)]
        if not ordered:
            return
        console = out()
        headings = ("file", "label", ">probability", ">regions", "review", "boxes", ">ms", "job")
        console.print(table(headings, (_cells(one) for one in ordered)))
        for kind, folder in self._folders.items():
            saved = [one.pictures[kind] for one in ordered if kind in one.pictures]
            if saved:
                console.print(f"{kind}: {saved[0] if len(saved) == 1 else f'{len(saved)} files in {folder}'}")
        console.print(NOT_CLINICAL, style="bold yellow")
        for one in ordered:
            if one.error is not None:
                complain(
                    one.error.message if one.error.message.startswith(one.file) else f"{one.file}: {one.error.message}"
                )

    def _settle(
        self, index: int, job: Job | None, error: NevusError | Failure | None, pictures: dict[ArtifactKind, Path]
    ) -> None:
        if job is not None and error is None and job.state is not JobState.SUCCEEDED:
            error = Failure("CANCELLED", str(job.state), f"{job.name} ended {job.state}.")
        name = self._job_names.get(index)
        made = Outcome(os.fspath(self._inputs[index].path), job, name, error, pictures)
        self._outcomes[index] = made
        if self._as_json:
            emit(made.line())

    def _save(self, client: Client, index: int, job: Job, pictures: dict[ArtifactKind, Path]) -> None:
        for kind, folder in self._folders.items():
            path = folder / f"{self._inputs[index].stem}.{kind}.png"
            path.write_bytes(client.artifact(job.name, kind))
            pictures[kind] = path


def _cells(one: Outcome) -> tuple[str | Text, ...]:
    result = one.job.result if one.job else None
    if result is None:
        reason = one.error.reason if one.error else "FAILED"
        return one.file, Text(reason or "FAILED", style="red"), "-", "-", "-", "-", "-", one.job_name or "-"
    classification, total_ms = result.classification, result.provenance.timings.total_ms
    return (
        one.file,
        Text(classification.label, style="bold"),
        probability_text(classification.probability),
        str(len(result.regions)),
        review_text(result),
        _boxes(result.regions),
        "-" if total_ms is None else f"{total_ms:.0f}",
        one.job_name or "-",
    )


def _boxes(regions: Sequence[Region]) -> str:
    """Returns the largest boxes, in pixels, as width x height at their upper left corner; all are in `--json`."""
    largest = sorted((region.box for region in regions), key=lambda box: box.width * box.height, reverse=True)
    shown = [f"{box.width}x{box.height} at {box.x},{box.y}" for box in largest[:BOXES_SHOWN]]
    return "; ".join(shown + ["..."] * (len(largest) > BOXES_SHOWN)) or "-"
