"""Options that several commands share, so that they read and behave the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

from nevus._channel import DEFAULT_TARGET
from nevus.cli._session import usage_error
from nevus.jobs import JobPriority

Target = Annotated[
    str,
    typer.Option("--target", envvar="NEVUS_TARGET", metavar="HOST:PORT", help="Where the server listens."),
]
TARGET_DEFAULT = DEFAULT_TARGET

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines, one object a line, on stdout.")]

Name = Annotated[str, typer.Argument(metavar="NAME", help="jobs/JOB, or the id alone.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="jobs/JOB, or ids alone.")]

Model = Annotated[str, typer.Option("--model", metavar="NAME[@VERSION]", help="Which model. Default: the server's.")]
Segmenter = Annotated[str, typer.Option("--segmenter", metavar="NAME", help="Which segmenter. Default: the model's.")]
OperatingPoint = Annotated[
    str,
    typer.Option("--operating-point", metavar="NAME", help="Which threshold makes the label. Default: the model's."),
]
Priority = Annotated[JobPriority, typer.Option("--priority", help="Which queue to wait in.")]
Label = Annotated[
    list[str],
    typer.Option("--label", metavar="KEY=VALUE", help="Your own label, for `nevus list`; repeatable. No patient data."),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=0, help="Stop waiting after so long; accepted jobs go on."),
]


def parsed_labels(pairs: list[str]) -> dict[str, str]:
    """Returns KEY=VALUE pairs as a dictionary.

    Raises:
        typer.Exit: A pair has no `=`, or no key.
    """
    labels = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise usage_error(f"--label {pair!r} is not KEY=VALUE.")
        labels[key] = value
    return labels
