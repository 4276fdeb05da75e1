"""What this package adds to the `nevus` command: `work`. Light to import; the work is imported when called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nevus_core.errors import NevusError


def register(app: typer.Typer, models: typer.Typer) -> None:  # noqa: ARG001
    """Adds the commands."""
    app.command("work", rich_help_panel="Run")(work)


def work(
    redis: Annotated[
        str | None, typer.Option("--redis", metavar="URL", help="Broker: redis://, rediss:// or unix://.")
    ] = None,
    models: Annotated[
        Path | None, typer.Option("--models", metavar="DIR", help="The model repository. Default: models.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, metavar="N", help="Jobs at a time in this process.")
    ] = None,
) -> None:
    """Run one worker process: loads and warms the models, then takes jobs.

    One process a core is right on a CPU, one a card on a GPU. Ctrl-C or SIGTERM finishes what it holds.
    """
    from nevus_core.settings import WorkerSettings, load_settings
    from nevus_workers.main import run

    try:
        run(load_settings(WorkerSettings, redis_url=redis, models=str(models) if models else None, threads=threads))
    except NevusError as error:
        print(f"nevus: {error.message}", file=sys.stderr)  # noqa: T201
        raise typer.Exit(2) from error
