"""`nevus artifact`: a job's pictures, saved to files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nevus.cli._options import TARGET_DEFAULT, Name, Target
from nevus.cli._session import FAILED, complain, session
from nevus.jobs import ArtifactKind

_EPILOG = "Example: nevus artifact jobs/01J... --kind mask --output mask.png"


def register(app: typer.Typer) -> None:
    """Adds `nevus artifact`."""
    app.command("artifact", epilog=_EPILOG, rich_help_panel="Jobs")(artifact)


def artifact(
    name: Name,
    kind: Annotated[ArtifactKind, typer.Option("--kind", help="Which picture.")] = ArtifactKind.OVERLAY,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: JOB.KIND.png in this folder.")
    ] = None,
    target: Target = TARGET_DEFAULT,
) -> None:
    """Save a picture that a job has made: the overlay with boxes and class, the mask, or the heat map.

    It must have been asked for with the image: `nevus analyze --overlay`, `nevus submit --artifact overlay`.
    """
    path = output or Path(f"{name.rpartition('/')[2]}.{kind}.png")
    with session(target) as client:
        content = client.artifact(name, kind)
    try:
        path.write_bytes(content)
    except OSError as error:
        complain(f"{path} can't be written: {error.strerror}.")
        raise typer.Exit(FAILED) from error
    typer.echo(path)
