"""`nevus evaluate`: how good a model is, measured through the pipeline that serves.

Light to import, like `commands`, which registers it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nevus_core.errors import NevusError, SettingsError

if TYPE_CHECKING:
    from nevus_core.records import ModelCard
    from nevus_workers.evaluation.analysis import Analysis
    from nevus_workers.evaluation.cases import Case
    from nevus_workers.evaluation.summary import Figures


def evaluate(  # noqa: PLR0913, PLR0917 - a command's options are its arguments
    model: Annotated[str, typer.Option("--model", metavar="NAME[@VERSION]", help="Without a version: the newest one.")],
    images: Annotated[Path, typer.Option("--images", metavar="DIR", help="The images: ID.jpg or ID.png.")],
    labels: Annotated[Path, typer.Option("--labels", metavar="CSV", help="The table: id, label, source, split.")],
    masks: Annotated[
        Path | None, typer.Option("--masks", metavar="DIR", help="Drawn masks: ID.png, white on black.")
    ] = None,
    split: Annotated[
        str, typer.Option("--split", metavar="NAME[,NAME]", help="Which rows: values of the column split.")
    ] = "test",
    report: Annotated[
        Path | None, typer.Option("--report", metavar="HTML", help="Write a page for a person; it holds images.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", metavar="CSV", help="Write one line an image.")
    ] = None,
    models: Annotated[
        Path, typer.Option("--models", metavar="DIR", envvar="NEVUS_MODELS", help="The model repository.")
    ] = Path("models"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with every figure.")] = False,
) -> None:
    """Measure a model on labelled images, through exactly the pipeline that serves.

    The table has the columns id, label (benign or malignant), source, split and, if wanted, diagnosis and has_mask (1
    where there is a mask). Images that the pipeline refuses are named and are in no figure. Exit codes: 0 measured, 2
    wrong usage, 130 stopped with Ctrl-C, which writes nothing.

    Example: nevus evaluate --model derm-joint --images data/images --labels data/labels.csv --masks data/masks
    """
    try:
        _check_output(report, predictions)
        cases, splits = _cases(labels, images, masks, split)
        card, analysis = _analyse(model, models, cases, masks=masks is not None, report=report is not None)
        from nevus_workers.evaluation.predictions import as_csv
        from nevus_workers.evaluation.report import report as as_page
        from nevus_workers.evaluation.summary import summarise

        found = summarise(analysis, card, splits)
        if predictions is not None:
            _write(predictions, as_csv(analysis.findings))
        if report is not None:
            _write(report, as_page(analysis.findings, found, card))
    except NevusError as error:
        typer.echo(f"nevus: {error.message}", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        typer.echo("Stopped.", err=True)
        raise typer.Exit(130) from None
    _tell(found, as_json=as_json)


def _check_output(*files: Path | None) -> None:
    """Raises SettingsError where a file could not be written in the end."""
    for file in files:
        if file is not None and not file.parent.is_dir():
            raise SettingsError(f"{file} can't be written: there is no folder {file.parent}.")


def _cases(labels: Path, images: Path, masks: Path | None, split: str) -> tuple[list[Case], list[str]]:
    """Returns the labelled images and the names of their splits.

    Raises:
        SettingsError: Something of them is missing or wrong.
    """
    from nevus_workers.evaluation.cases import Folders, read_cases

    splits = list(dict.fromkeys(name.strip() for name in split.split(",") if name.strip()))
    if not splits:
        raise SettingsError("--split names no split. Name a value of the table's column split, for example test.")
    return read_cases(labels, Folders(images, masks), splits), splits


def _analyse(model: str, models: Path, cases: list[Case], *, masks: bool, report: bool) -> tuple[ModelCard, Analysis]:
    """Returns the model's card and what the pipeline says of the cases.

    Raises:
        NevusError: The model can't be served, a drawn mask can't be read, or no image could be analysed.
    """
    from nevus_core.settings import WorkerSettings, load_settings

    # As a worker does; OpenCV and NumPy read them when they are imported.
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(load_settings(WorkerSettings).max_pixels)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from nevus_workers.evaluation.analysis import analyse
    from nevus_workers.evaluation.progress import bar
    from nevus_workers.evaluation.serving import serve

    with serve(model, models, masks=masks or report) as served, bar(len(cases)) as on_done:
        return served.card, analyse(cases, served, keep_masks=report, on_done=on_done)


def _tell(found: Figures, *, as_json: bool) -> None:
    """Prints the figures on stdout; that some images are in none of them also on stderr."""
    from nevus_workers.evaluation.wording import lines

    failed = len(found["failures"])
    if failed:
        typer.echo(f"{failed} of {failed + found['n']} images failed and are in no figure.", err=True)
    typer.echo(json.dumps(found) if as_json else "\n".join(lines(found)))


def _write(file: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
