"""`nevus get`, `wait`, `watch`, `list`, `cancel`, `delete`: jobs that were handed in before."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Annotated

import typer

from nevus.cli._lines import emit, event_line, job_line
from nevus.cli._options import TARGET_DEFAULT, Json, Label, Name, Names, Target, Timeout, parsed_labels
from nevus.cli._session import FAILED, complain, session
from nevus.cli._tables import NOT_CLINICAL, out, print_jobs, probability_text
from nevus.client import Client
from nevus.errors import NevusError, Unavailable
from nevus.jobs import Event, Job, JobState

_WAIT_EPILOG = """\
Example: nevus wait jobs/01J... --timeout 60 && echo succeeded

Exit codes: 0 it succeeded, 1 it did not or is not finished, 2 wrong usage, 3 no server.
"""
_WATCH_EPILOG = "Example: nevus watch jobs/01J... --json --after-revision 3"
_LIST_EPILOG = "Example: nevus list --state failed --label study=a1 --limit 20"


def register(app: typer.Typer) -> None:
    """Adds the commands on jobs."""
    for name, command, epilog in (
        ("get", get, None),
        ("wait", wait, _WAIT_EPILOG),
        ("watch", watch, _WATCH_EPILOG),
        ("list", list_jobs, _LIST_EPILOG),
        ("cancel", cancel, None),
        ("resubmit", resubmit, None),
        ("delete", delete, None),
    ):
        app.command(name, epilog=epilog, rich_help_panel="Jobs")(command)


def get(name: Name, as_json: Json = False, target: Target = TARGET_DEFAULT) -> None:
    """Show a job as it stands."""
    with session(target) as client:
        _show(client.get(name), as_json=as_json)


def wait(name: Name, timeout: Timeout = None, as_json: Json = False, target: Target = TARGET_DEFAULT) -> None:
    """Wait for a job's outcome and show it. Exit code 0: it succeeded; 1: it did not, or time was over."""
    with session(target) as client:
        job = client.wait(name, timeout_s=timeout)
        _show(job, as_json=as_json)
    if not job.final:
        complain(f"{job.name} is still {job.state} after {timeout:g} s; it goes on.")
    if job.state is not JobState.SUCCEEDED:
        raise typer.Exit(FAILED)


def watch(
    name: Name,
    after_revision: Annotated[
        int, typer.Option("--after-revision", metavar="N", min=0, help="Leave out moves up to this one.")
    ] = 0,
    as_json: Json = False,
    target: Target = TARGET_DEFAULT,
) -> None:
    """Print each move of a job as it is made, to its outcome; regions come before the class."""
    with session(target) as client:
        for event in client.watch(name, after_revision):
            if as_json:
                emit(event_line(event))
            else:
                typer.echo(_sentence(event))
    if not as_json:
        out().print(NOT_CLINICAL, style="bold yellow")


def list_jobs(
    state: Annotated[
        list[JobState], typer.Option("--state", case_sensitive=False, help="Only jobs in this state; repeatable.")
    ] = [],  # noqa: B006 -- Typer reads it, nobody changes it
    label: Label = [],  # noqa: B006
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many, the newest.")] = 50,
    as_json: Json = False,
    target: Target = TARGET_DEFAULT,
) -> None:
    """List your jobs, newest first."""
    labels = parsed_labels(label)
    with session(target) as client:
        found = islice(client.list(states=state, labels=labels, page_size=min(limit, 500)), limit)
        if as_json:
            for job in found:
                emit(job_line(job))
        else:
            print_jobs(found, results=False)


def cancel(names: Names, as_json: Json = False, target: Target = TARGET_DEFAULT) -> None:
    """Cancel jobs. Certain for one that waits; one that runs stops at its next stage, or finishes first."""

    def one(client: Client, name: str) -> None:
        job = client.cancel(name)
        if as_json:
            emit(job_line(job))
        else:
            typer.echo(f"{job.name} {job.state}")

    _each(names, target, one)


def resubmit(names: Names, as_json: Json = False, target: Target = TARGET_DEFAULT) -> None:
    """Submit dead letters again: jobs that failed or expired through no fault of their image. Prints the new jobs.

    The server keeps such images for a while (an hour as shipped). List them: nevus list --state failed
    """

    def one(client: Client, name: str) -> None:
        job = client.resubmit(name)
        if as_json:
            emit(job_line(job))
        else:
            typer.echo(job.name)

    _each(names, target, one)


def delete(names: Names, as_json: Json = False, target: Target = TARGET_DEFAULT) -> None:
    """Purge jobs at once: image, pictures, result and record. Prints the receipts."""

    def one(client: Client, name: str) -> None:
        receipt = client.delete(name)
        if as_json:
            purge_time = receipt.purge_time.isoformat() if receipt.purge_time else None
            emit(
                {
                    "job": receipt.name,
                    "image_sha256": receipt.image_sha256,
                    "purge_time": purge_time,
                    "purged_objects": receipt.purged_objects,
                }
            )
        else:
            typer.echo(f"{receipt.name} purged ({receipt.purged_objects} objects, image {receipt.image_sha256[:12]}…)")

    _each(names, target, one)


def _each(names: list[str], target: str, act: Callable[[Client, str], None]) -> None:
    """Does something to every job; one that fails does not keep the others from their turn."""
    failed = False
    with session(target) as client:
        for name in names:
            try:
                act(client, name)
            except Unavailable:
                raise
            except NevusError as error:
                failed = True
                complain(error.message)
    if failed:
        raise typer.Exit(FAILED)


def _show(job: Job, *, as_json: bool) -> None:
    if as_json:
        emit(job_line(job))
    else:
        print_jobs([job], results=True)


def _sentence(event: Event) -> str:
    """Returns one line for one move."""
    time = event.event_time.strftime("%H:%M:%S.%f")[:-3] if event.event_time else "-"
    stage = f" {event.stage}" if event.state is JobState.RUNNING else ""
    text = f"{event.revision:>3}  {time}  {event.state}{stage}"
    if event.regions is not None:
        boxes = ", ".join(f"{r.box.width}x{r.box.height} at ({r.box.x}, {r.box.y})" for r in event.regions)
        text += f"  {len(event.regions)} regions: {boxes}" if event.regions else "  no region found"
    job = event.snapshot
    if event.final and job and job.result:
        found = job.result.classification
        text += f"  {found.label}, probability {probability_text(found.probability)}"
    elif event.final and job and job.error:
        text += f"  {job.error.reason}: {job.error.message}"
    return text
