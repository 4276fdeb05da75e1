"""`nevus sample`: a synthetic lesion, for a first try without a real image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nevus.cli._session import FAILED, complain
from nevus.synthetic import synthetic_lesion

_EPILOG = "Example: nevus sample lesion.png && nevus analyze lesion.png --overlay ."


def register(app: typer.Typer) -> None:
    """Adds `nevus sample`."""
    app.command("sample", epilog=_EPILOG, rich_help_panel="Images")(sample)


def sample(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the PNG; replaced if it exists.")],
    width: Annotated[int, typer.Option("--width", metavar="PX", min=32, max=8192)] = 600,
    height: Annotated[int, typer.Option("--height", metavar="PX", min=32, max=8192)] = 450,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another number, another lesion.")] = 0,
) -> None:
    """Draw a dermoscopy-like picture with one lesion. No person, and no meaning in what a network makes of it."""
    try:
        file.write_bytes(synthetic_lesion(width, height, seed))
    except OSError as error:
        complain(f"{file} can't be written: {error.strerror}.")
        raise typer.Exit(FAILED) from error
    typer.echo(file)
