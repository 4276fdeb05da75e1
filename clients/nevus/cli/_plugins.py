"""Commands that other packages bring, and what stands in for them where those can't be imported.

An entry point of the group `nevus.commands` names a function `register(app, models)` that adds commands to the two
Typer applications. The distribution lists the server's and the workers' always; with the client alone installed their
imports fail, and their commands then say what to install instead of being unknown.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Protocol, cast

import typer

GROUP = "nevus.commands"

_STAND_INS: dict[str, tuple[str, ...]] = {
    "server": ("up", "serve"),
    "workers": ("work", "train", "evaluate", "models fetch"),
}
_HELP = {
    "up": "Start everything on this machine: queue, workers, front end.",
    "serve": "Run the gRPC front end.",
    "work": "Run a worker.",
    "train": "Train a model.",
    "evaluate": "Measure a model on labelled images.",
    "models fetch": "Download a model's weights.",
}


class Register(Protocol):
    """What an entry point names."""

    def __call__(self, app: typer.Typer, models: typer.Typer) -> None:
        """Adds commands to `nevus` and to `nevus models`."""


def register_all(app: typer.Typer, models: typer.Typer) -> None:
    """Adds every plugin's commands, or their stand-ins."""
    for entry_point in sorted(entry_points(group=GROUP), key=lambda found: found.name):
        try:
            register = cast("Register", entry_point.load())
        except ImportError as error:
            for name in _STAND_INS.get(entry_point.name, ()):
                _stand_in(app, models, name, getattr(error, "name", None))
        else:
            register(app, models)


def needs_more(command: str, missing_module: str | None) -> str:
    """Returns the one line that says how to get a command that the client alone does not have."""
    missing = f" (there is no {missing_module} here)" if missing_module else ""
    return f"{command} needs the server parts{missing}: pip install 'nevus[all]'"


def _stand_in(app: typer.Typer, models: typer.Typer, name: str, missing_module: str | None) -> None:
    def command() -> None:
        typer.echo(needs_more(f"nevus {name}", missing_module), err=True)
        raise typer.Exit(2)

    command.__doc__ = f"{_HELP[name]} Needs pip install 'nevus\\[all]'."
    group, _, last = name.rpartition(" ")
    (models if group else app).command(
        last,
        rich_help_panel=None if group else "Run",
        # Whatever arguments the real command would take.
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        add_help_option=True,
    )(command)
