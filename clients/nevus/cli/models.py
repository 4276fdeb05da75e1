"""`nevus models list` and `show`: what the server serves. Plugins add to the same group (`fetch`)."""

from __future__ import annotations

from typing import Annotated

import typer

from nevus.cli._lines import emit, model_line
from nevus.cli._options import TARGET_DEFAULT, Json, Target
from nevus.cli._session import session
from nevus.cli._tables import NOT_CLINICAL, out, table
from nevus.models import ModelCard


def build_app() -> typer.Typer:
    """Returns the group `nevus models`."""
    app = typer.Typer(help="Models: what is served, and what is known of it.", no_args_is_help=True)
    app.command("list")(list_models)
    app.command("show", epilog="Example: nevus models show derm-joint@1")(show)
    return app


def list_models(as_json: Json = False, target: Target = TARGET_DEFAULT) -> None:
    """List the models that live workers hold now."""
    with session(target) as client:
        cards = client.models()
    if as_json:
        for card in cards:
            emit(model_line(card))
        return
    console = out()
    headings = ("model", "version", ">workers", "classes", "operating points", "segmenter", "title")
    console.print(table(headings, (_row(card) for card in cards)))
    if not cards:
        console.print("No live worker holds a model; start one with `nevus up` or `nevus work`.")
    console.print(NOT_CLINICAL, style="bold yellow")


def show(
    name: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="Which model.")],
    as_json: Json = False,
    target: Target = TARGET_DEFAULT,
) -> None:
    """Show a model's card: what it was made for, where it fails, how it did on held-out images."""
    with session(target) as client:
        card = client.model(name)
    if as_json:
        emit(model_line(card))
        return
    console = out()
    console.print(table(("", ""), ((key, text) for key, text in _facts(card) if text)))
    console.print(NOT_CLINICAL, style="bold yellow")


def _row(card: ModelCard) -> tuple[str, ...]:
    return (
        card.model,
        card.version,
        str(card.workers),
        ", ".join(card.classes),
        _points(card),
        card.default_segmenter,
        card.title,
    )


def _points(card: ModelCard) -> str:
    """Returns the operating points with their thresholds, the default one marked."""
    return ", ".join(
        f"{name} {threshold:g}{' (default)' if name == card.default_operating_point else ''}"
        for name, threshold in card.operating_points.items()
    )


def _resampled(card: ModelCard) -> str:
    return f", resized by {card.resampling}" if card.resampling else ""


def _facts(card: ModelCard) -> list[tuple[str, str]]:
    return [
        ("name", f"{card.model}@{card.version}"),
        ("title", card.title),
        ("description", card.description),
        ("intended use", card.intended_use),
        ("limitations", card.limitations),
        ("training data", card.training_data),
        ("evaluation", ", ".join(f"{name} {value:g}" for name, value in sorted(card.evaluation.items()))),
        ("evaluated on", card.evaluation_note),
        ("classes", ", ".join(card.classes)),
        ("operating points", _points(card)),
        ("segmenter", card.default_segmenter),
        ("architecture", card.architecture),
        ("input", f"{card.input_width_px} x {card.input_height_px} px, {card.colour_order}{_resampled(card)}"),
        ("parameters", f"{card.parameters:,}"),
        ("cost", f"{card.mega_flops:,.0f} MFLOP an image" if card.mega_flops else ""),
        ("weights", f"{card.weights_bytes:,} bytes, sha256 {card.weights_sha256}"),
        ("licence", card.licence),
        ("started from", card.starting_weights),
        ("live workers", str(card.workers)),
    ]
