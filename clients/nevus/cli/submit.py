"""`nevus submit`: images in, without waiting for results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from nevus.cli._inputs import expand
from nevus.cli._lines import emit, job_line
from nevus.cli._lines import outcome as outcome_line
from nevus.cli._options import (
    TARGET_DEFAULT,
    Json,
    Label,
    Model,
    OperatingPoint,
    Priority,
    Segmenter,
    Target,
    parsed_labels,
)
from nevus.cli._session import FAILED, complain, session
from nevus.errors import NevusError, Unavailable
from nevus.jobs import ArtifactKind, JobPriority, Options

_EPILOG = """\
Examples:

  name=$(nevus submit lesion.jpg) && nevus wait $name

  nevus submit study/ --priority bulk --label study=a1 && nevus list --label study=a1
"""


def register(app: typer.Typer) -> None:
    """Adds `nevus submit`."""
    app.command("submit", epilog=_EPILOG, rich_help_panel="Images")(submit)


def submit(  # noqa: PLR0913, PLR0917 -- the options of the command
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Images, or folders of images.")],
    model: Model = "",
    segmenter: Segmenter = "",
    operating_point: OperatingPoint = "",
    priority: Priority = JobPriority.ROUTINE,
    as_json: Json = False,
    artifact: Annotated[
        list[ArtifactKind], typer.Option("--artifact", help="Picture to make, for `nevus artifact`; repeatable.")
    ] = [],  # noqa: B006 -- Typer reads it, nobody changes it
    label: Label = [],  # noqa: B006
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into folders within folders.")] = False,
    target: Target = TARGET_DEFAULT,
) -> None:
    """Hand in images and print the names of their jobs, one a line, without waiting for results."""
    inputs = expand(files, recursive=recursive)
    options = Options(
        model=model,
        segmenter=segmenter,
        operating_point=operating_point,
        priority=priority,
        artifacts=artifact,
        labels=parsed_labels(label),
    )
    failed = False
    with session(target) as client:
        for one in inputs:
            file = os.fspath(one.path)
            try:
                job = client.submit(one.path, **options)
            except Unavailable:
                # The next image would fare no better.
                raise
            except NevusError as error:
                failed = True
                if as_json:
                    emit({"file": file} | outcome_line(None, error=error))
                complain(error.message if error.message.startswith(file) else f"{file}: {error.message}")
            else:
                if as_json:
                    emit({"file": file} | job_line(job))
                else:
                    typer.echo(job.name)
    if failed:
        raise typer.Exit(FAILED)
