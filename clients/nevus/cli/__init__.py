"""The command `nevus`: this file puts it together; each noun's commands are in a file of their own.

Client commands live here. What needs more than the client (`up`, `serve`, `work`, `train`, `models fetch`) comes from
the packages that do it, through the entry points `nevus.commands`: see `nevus.cli._plugins`.

Exit codes: 0 all succeeded, 1 some failed, 2 wrong usage, 3 no server, 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from nevus.cli import _plugins, analyze, artifact, bench, doctor, jobs, models, sample, submit

_EPILOG = "First steps: `nevus up` in one terminal, `nevus analyze FILE` in another. NOT FOR CLINICAL USE."


def build_app() -> typer.Typer:
    """Returns the whole command with all its parts, those of installed plugins included."""
    app = typer.Typer(
        name="nevus",
        help="Finds and classifies skin lesions in images: boxes, class and probability. NOT FOR CLINICAL USE.",
        epilog=_EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for noun in (analyze, submit, jobs, artifact, doctor, bench, sample):
        noun.register(app)
    model_commands = models.build_app()
    app.add_typer(model_commands, name="models", rich_help_panel="Server")
    _plugins.register_all(app, model_commands)
    return app


def main() -> None:
    """Runs the command with the process's arguments, and exits."""
    # gRPC's core would write its own account of a refused connection beside ours.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        build_app()(prog_name="nevus")
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        # Typer deals with a closed pipe; what is left is a full disk and its like.
        with contextlib.suppress(OSError):
            typer.echo(f"nevus: The output can't be written: {error.strerror}.", err=True)
        os._exit(1)  # what is still buffered can't be written either
    except ModuleNotFoundError as error:
        # A plugin's command may import what it needs only when it runs.
        if (error.name or "").partition(".")[0].startswith("nevus"):
            raise
        typer.echo(_plugins.needs_more(" ".join(["nevus", *sys.argv[1:2]]), error.name), err=True)
        sys.exit(2)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nevus {version('nevus')}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass
