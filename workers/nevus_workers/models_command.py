"""`nevus models check` and `nevus models add`: a model of one's own, before it serves.

Light to import, like `commands`, which registers them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from nevus_core.errors import NevusError

if TYPE_CHECKING:
    from nevus_workers.models.check import Checked

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A folder with model.toml and the weights.")]


def check(folder: Folder) -> None:
    """Say whether a model would serve: card, digest, inputs and outputs, and one pass on a drawn image.

    A card without the weights' size and digest gets them. Exit code 0 if it would serve, else 2 with the reason.

    Example: nevus models check my-net/1
    """
    from nevus_workers.models.check import check_folder

    try:
        checked = check_folder(folder)
    except NevusError as error:
        _fail(error)
    _tell(checked, "would serve")


def add(
    folder: Folder,
    models: Annotated[
        Path, typer.Option("--models", metavar="DIR", envvar="NEVUS_MODELS", help="The model repository.")
    ] = Path("models"),
) -> None:
    """Check a model and copy it into the repository, from where running workers load it.

    It appears there as a whole, and never in place of a version that is there.

    Example: nevus models add my-net --models /srv/models
    """
    from nevus_workers.models.check import add_folder
    from nevus_workers.models.repository import Repository

    try:
        checked = add_folder(folder, Repository(models))
    except NevusError as error:
        _fail(error)
    _tell(checked, f"is in {models / checked.card.name / checked.card.version}")


def _tell(checked: Checked, what: str) -> None:
    card = checked.card
    shape = f", a map of {checked.map_shape[0]} x {checked.map_shape[1]}" if checked.map_shape else ""
    positive = f"{card.classes[-1]} {checked.probability:.4f}"
    print(f"{card.key} {what}: of a drawn image it says {positive}{shape}; sha256 {card.weights_sha256}")  # noqa: T201


def _fail(error: NevusError) -> NoReturn:
    print(f"nevus: {error.message}", file=sys.stderr)  # noqa: T201  # a command speaks to its person
    raise typer.Exit(2) from error
