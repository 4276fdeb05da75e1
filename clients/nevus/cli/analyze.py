"""`nevus analyze`: images in, results as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nevus.cli._batch import Batch
from nevus.cli._ctrl_c import CtrlC
from nevus.cli._inputs import Input, expand
from nevus.cli._options import (
    TARGET_DEFAULT,
    Json,
    Label,
    Model,
    OperatingPoint,
    Priority,
    Segmenter,
    Target,
    Timeout,
    parsed_labels,
)
from nevus.cli._progress import Watcher, watcher_for
from nevus.cli._session import INTERRUPTED, complain, exit_code, session, usage_error
from nevus.errors import NevusError
from nevus.jobs import ArtifactKind, JobPriority, Options

_EPILOG = """\
Examples:

  nevus analyze lesion.jpg --overlay out

  nevus analyze study/ --recursive --priority bulk --label study=a1

  nevus analyze study/*.jpg --json | jq 'select(.error == null) | [.file, .probability]'

Exit codes: 0 all succeeded, 1 some failed, 2 wrong usage, 3 no server, 130 stopped with Ctrl-C.
"""


def register(app: typer.Typer) -> None:
    """Adds `nevus analyze`."""
    app.command("analyze", epilog=_EPILOG, rich_help_panel="Images")(analyze)


def analyze(  # noqa: PLR0913, PLR0917 -- the options of the command
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Images, or folders of images.")],
    model: Model = "",
    segmenter: Segmenter = "",
    operating_point: OperatingPoint = "",
    priority: Priority = JobPriority.ROUTINE,
    as_json: Json = False,
    overlay: Annotated[
        Path | None, typer.Option("--overlay", metavar="DIR", help="Save DIR/NAME.overlay.png: boxes and class drawn.")
    ] = None,
    mask: Annotated[
        Path | None, typer.Option("--mask", metavar="DIR", help="Save DIR/NAME.mask.png: white where a region is.")
    ] = None,
    heat_map: Annotated[
        Path | None,
        typer.Option("--heat-map", metavar="DIR", help="Save DIR/NAME.heat_map.png: what spoke for and against."),
    ] = None,
    label: Label = [],  # noqa: B006 -- Typer reads it, nobody changes it
    in_flight: Annotated[
        int, typer.Option("--in-flight", metavar="N", min=1, max=1024, help="Most images on the way at a time.")
    ] = 32,
    timeout: Timeout = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into folders within folders.")] = False,
    target: Target = TARGET_DEFAULT,
) -> None:
    """Analyse images: boxes, class and probability of each. NOT FOR CLINICAL USE.

    Takes JPEG, PNG, BMP, TIFF and WebP files. Results come as they are done; a file that can't be analysed fails alone.
    """
    inputs = expand(files, recursive=recursive)
    folders = _made_folders({ArtifactKind.OVERLAY: overlay, ArtifactKind.MASK: mask, ArtifactKind.HEAT_MAP: heat_map})
    options = Options(
        model=model,
        segmenter=segmenter,
        operating_point=operating_point,
        priority=priority,
        artifacts=list(folders),
        labels=parsed_labels(label),
    )
    batch = Batch(inputs, folders, as_json=as_json)
    code = _run(target, batch, inputs, watcher_for(len(inputs), quiet=as_json), options, in_flight, timeout)
    if not as_json:
        batch.print_table()
    if code == INTERRUPTED:
        complain(
            f"Stopped: {batch.done} of {len(inputs)} images done. Images that were accepted are still worked on; "
            "`nevus list` shows them."
        )
    raise typer.Exit(code)


def _run(
    target: str,
    batch: Batch,
    inputs: list[Input],
    watcher: Watcher,
    options: Options,
    in_flight: int,
    timeout_s: float | None,
) -> int:
    """Returns the exit code after every image has its outcome, or none can get one any more."""
    items = ((index, one.path) for index, one in enumerate(inputs))
    with session(target) as client, watcher, CtrlC() as ctrl_c:
        try:
            for index, update in client.analyze_many(items, in_flight=in_flight, timeout_s=timeout_s, **options):
                ctrl_c.check()
                watcher.update(index, update)
                batch.take(client, index, update)
            ctrl_c.check()
        except NevusError as error:
            batch.give_up(error)
            return max(batch.exit_code(), exit_code(error))
        except KeyboardInterrupt:
            return INTERRUPTED
    return batch.exit_code()


def _made_folders(wanted: dict[ArtifactKind, Path | None]) -> dict[ArtifactKind, Path]:
    """Returns the folders that were asked for, made where they are missing.

    Raises:
        typer.Exit: One can't be made.
    """
    folders = {kind: folder for kind, folder in wanted.items() if folder is not None}
    for kind, folder in folders.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise usage_error(f"--{kind.replace('_', '-')} {folder}: {error.strerror}.") from error
    return folders
