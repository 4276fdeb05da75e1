"""What a person sees: consoles, tables, and the sentence that stands under every result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nevus.jobs import Job
from nevus.results import Result

NOT_CLINICAL = "NOT FOR CLINICAL USE"


def out() -> Console:
    """Returns a console on stdout; wide where it is no terminal, so that no cell is cut in a pipe."""
    return _console(stderr=False)


def err() -> Console:
    """Returns a console on stderr, for everything that is not the result."""
    return _console(stderr=True)


def table(headings: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """Returns a table; headings that start with `>` make right-aligned columns. Cells hold no markup."""
    made = Table(box=None, pad_edge=False, header_style="bold", show_header=any(headings))
    for heading in headings:
        made.add_column(heading.lstrip(">"), justify="right" if heading.startswith(">") else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return made


def print_jobs(jobs: Iterable[Job], *, results: bool) -> None:
    """Prints jobs as a table with the sentence under it.

    Args:
        jobs: In the order of the rows.
        results: Whether to show what was found; lists leave it out.
    """
    found = ("label", ">probability", ">regions", "review") if results else ()
    headings = ("job", "state", *found, "model", "labels", "accepted", "why")
    console = out()
    jobs = list(jobs)
    if not jobs:
        console.print("No job.")
        return
    console.print(table(headings, ((job.name, state_text(job), *_cells(job, results=results)) for job in jobs)))
    console.print(NOT_CLINICAL, style="bold yellow")


def _cells(job: Job, *, results: bool) -> Iterator[str | Text]:
    """Yields a job's cells after its name and state."""
    if results:
        classification = job.result.classification if job.result else None
        yield classification.label if classification else "-"
        yield probability_text(classification.probability if classification else None)
        yield "-" if job.regions is None else str(len(job.regions))
        yield review_text(job.result)
    yield job.options.model or "-"
    yield ", ".join(f"{key}={value}" for key, value in job.options.labels.items()) or "-"
    yield job.create_time.strftime("%Y-%m-%d %H:%M:%SZ") if job.create_time else "-"
    yield f"{job.error.reason}: {job.error.message}" if job.error else ""


def state_text(job: Job) -> Text:
    """Returns the state in its colour, with the stage of a running job."""
    style = {"SUCCEEDED": "green", "FAILED": "red", "EXPIRED": "red", "CANCELLED": "yellow"}.get(job.state, "")
    running = f" ({job.stage.lower()})" if job.state == "RUNNING" else ""
    return Text(f"{job.state}{running}", style=style)


def review_text(result: Result | None) -> Text:
    """Returns why a person has to look at a result, in the colour of a warning; "-" where no reason is known."""
    if result is None or not result.quality_issues:
        return Text("review" if result and result.needs_review else "-")
    reasons = ", ".join(issue.kind.replace("_", " ").lower() for issue in result.quality_issues)
    return Text(reasons, style="bold yellow" if result.needs_review else "")


def probability_text(probability: float | None) -> str:
    """Returns a probability with three digits; "-" where it is not known."""
    return "-" if probability is None else f"{probability:.3f}"


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 400
    return console
