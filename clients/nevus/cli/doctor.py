"""`nevus doctor`: is everything there that an image needs, and if not, what is to be done."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from nevus.cli._checkup import STEPS, Checkup, Trouble
from nevus.cli._options import TARGET_DEFAULT, Target
from nevus.cli._session import FAILED, INTERRUPTED, NO_SERVER, complain
from nevus.cli._tables import NOT_CLINICAL, out
from nevus.errors import NevusError

_EPILOG = """\
Examples:

  nevus doctor --target server:50051

  until nevus doctor --quiet; do sleep 1; done

Exit codes: 0 an image can be analysed, 1 it can't, 2 wrong usage, 3 no server.
"""


def register(app: typer.Typer) -> None:
    """Adds `nevus doctor`."""
    app.command("doctor", epilog=_EPILOG, rich_help_panel="Server")(doctor)


def doctor(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing; the exit code tells.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="For all checks together.")
    ] = 30.0,
    target: Target = TARGET_DEFAULT,
) -> None:
    """Check the connection, the server's health, a live worker, and one synthetic image from end to end.

    Stops at the first thing that is wrong and says what to do about it.
    """
    console = out()
    if quiet:
        console.quiet = True
    checkup = Checkup(target, timeout)
    try:
        for title, step in STEPS:
            start = time.monotonic()
            try:
                found = step(checkup)
            except (Trouble, NevusError) as error:
                trouble = error if isinstance(error, Trouble) else Trouble.from_error(error)
                console.print(f"✗ {title}  {_ms(start)}", style="red")
                console.print(f"  what is wrong: {trouble.wrong}")
                console.print(f"  what to do:    {trouble.remedy}")
                raise typer.Exit(NO_SERVER if trouble.no_server else FAILED) from error
            console.print(f"✓ {title}  {_ms(start)}  {found}", style="green")
    except KeyboardInterrupt as stop:
        if not quiet:
            complain("Stopped.")
        raise typer.Exit(INTERRUPTED) from stop
    finally:
        checkup.close()
    console.print(f"Images can be analysed at {target}. {NOT_CLINICAL}", style="bold")


def _ms(start: float) -> str:
    return f"{(time.monotonic() - start) * 1e3:.0f} ms"
