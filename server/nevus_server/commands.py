"""What this package adds to the `nevus` command: `serve` and `up`. Light to import; the rest comes when called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nevus_core.errors import NevusError

ListenOption = Annotated[str | None, typer.Option("--listen", metavar="HOST:PORT", help="Address of the gRPC port.")]


def register(app: typer.Typer, models: typer.Typer) -> None:  # noqa: ARG001  # the shape of all plugins
    """Adds the commands."""
    app.command("serve", rich_help_panel="Run")(serve)
    app.command("up", rich_help_panel="Run")(up)


def serve(
    listen: ListenOption = None,
    redis: Annotated[
        str | None, typer.Option("--redis", metavar="URL", help="Broker: redis://, rediss:// or unix://.")
    ] = None,
) -> None:
    """Run one gRPC front end against an external Redis or Valkey.

    Settings come from NEVUS_* variables and the TOML file that NEVUS_CONFIG names. Ctrl-C or SIGTERM drains.
    """
    from nevus_core.settings import ServerSettings, load_settings
    from nevus_server.main import run

    try:
        run(load_settings(ServerSettings, listen=listen, redis_url=redis))
    except NevusError as error:
        _fail(error)


def up(
    listen: ListenOption = None,
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Where the embedded broker keeps its data.")
    ] = Path(".nevus"),
    workers: Annotated[
        int,
        typer.Option(
            "--workers", min=0, metavar="N", help="Worker processes. 0: one a graphics card, else one a core."
        ),
    ] = 0,
) -> None:
    """Run everything on this machine: embedded Valkey, workers, front end.

    Prints the address once an image can be analysed. Ctrl-C stops all in order; accepted jobs stay in the data folder
    and go on with the next start.
    """
    from nevus_server.up import run

    try:
        code = run(listen=listen, data=data, workers=workers)
    except NevusError as error:
        _fail(error)
    raise typer.Exit(code)


def _fail(error: NevusError) -> None:
    print(f"nevus: {error.message}", file=sys.stderr)  # noqa: T201  # a command speaks to its person
    raise typer.Exit(3 if error.code == "UNAVAILABLE" else 2) from error
