"""`model.toml`: read strictly, written readably, so that what was written reads back the same."""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from nevus_core.errors import ModelError
from nevus_core.records import KERAS_FILE, ModelCard, ModelOutputs

if TYPE_CHECKING:
    from pathlib import Path

CARD_FILE = "model.toml"
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
VERSION = re.compile(r"[0-9]+(\.[0-9]+)*")
_DIGEST = re.compile(r"([0-9a-f]{64})?")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LINE = 110
"""Texts longer than this are folded over several lines of the file."""


def read_card(path: Path) -> ModelCard:
    """Returns the card in a file.

    Raises:
        ModelError: INVALID_MODEL_CARD where the file can't be read or is not TOML; a key is unknown, missing or of the
            wrong type; or a value makes no sense (see `check_card`).
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        _invalid(path.parent.name, f"it can't be read as TOML ({error})", error)
    unknown = sorted(set(table) - set(ModelCard.__struct_fields__))
    outputs = table.get("outputs", {})
    if isinstance(outputs, dict):
        unknown += [f"outputs.{key}" for key in sorted(set(outputs) - set(ModelOutputs.__struct_fields__))]
    if unknown:
        _invalid(path.parent.name, f"unknown keys: {', '.join(unknown)}")
    try:
        card = msgspec.convert(table, ModelCard)
    except msgspec.ValidationError as error:
        _invalid(path.parent.name, str(error), error)
    check_card(card)
    return card


def check_card(card: ModelCard) -> None:
    """Checks what types can't say.

    Raises:
        ModelError: INVALID_MODEL_CARD, naming the first value that makes no sense.
    """
    points = card.operating_points
    checks = {
        "name must be lower-case words with dashes": NAME.fullmatch(card.name),
        "version must be numbers with dots": VERSION.fullmatch(card.version),
        "weights must be a plain file name": _FILE.fullmatch(card.weights),
        "weights of a whole Keras model must end with .keras": card.architecture != KERAS_FILE
        or card.weights.endswith(".keras"),
        "outputs are for whole Keras models (architecture keras)": not card.outputs or card.architecture == KERAS_FILE,
        "weights_sha256 must be 64 lower-case hex digits": _DIGEST.fullmatch(card.weights_sha256),
        "weights_bytes must not be negative": card.weights_bytes >= 0,
        "input sizes must be positive": card.input_width_px > 0 and card.input_height_px > 0,
        "colour_order must be bgr or rgb": card.colour_order in {"bgr", "rgb"},
        "scale must be positive": card.scale > 0,
        "resampling must be linear or area": card.resampling in {"linear", "area"},
        "classes must be two different names": len(card.classes) == len(set(card.classes)) == 2,
        "operating_points must lie in 0..1": all(0 <= threshold <= 1 for threshold in points.values()),
        "default_operating_point must be one of operating_points": card.default_operating_point in points,
    }
    for rule, kept in checks.items():
        if not kept:
            _invalid(card.version, rule)


def write_card(path: Path, card: ModelCard) -> None:
    """Writes a card; a reader sees the old file or the whole new one.

    Raises:
        ModelError: INVALID_MODEL_CARD where the card makes no sense.
    """
    check_card(card)
    part = path.with_name(f".{path.name}.part")
    part.write_text(format_card(card), "utf-8")
    part.replace(path)


def format_card(card: ModelCard) -> str:
    """Returns the card as TOML: one key a line, tables last, long texts folded."""
    values: dict[str, Any] = msgspec.to_builtins(card)
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    lines = [f"{key} = {_format(value)}" for key, value in values.items() if key not in tables]
    for key, table in tables.items():
        lines += ["", f"[{key}]", *(f"{_key(name)} = {_format(value)}" for name, value in table.items())]
    return "\n".join(lines) + "\n"


def _format(value: object) -> str:
    """Returns a TOML value."""
    if isinstance(value, str):
        return _fold(value) if len(value) > _LINE else _quote(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_format(item) for item in value)}]"
    return json.dumps(value)


def _quote(text: str) -> str:
    """Returns a basic string. JSON's escapes are TOML's, except that TOML forbids a bare DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _fold(text: str) -> str:
    """Returns a multi-line string whose line breaks don't count; a plain one where the text has breaks of its own."""
    lines = textwrap.wrap(text, _LINE, break_long_words=False, break_on_hyphens=False)
    if " ".join(lines) != text:
        return _quote(text)
    body = " \\\n".join(_quote(line)[1:-1] for line in lines)
    return f'"""\\\n{body}"""'


def _key(name: str) -> str:
    """Returns a TOML key, quoted where it has to be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quote(name)


def _invalid(where: str, what: str, cause: Exception | None = None) -> NoReturn:
    message = f"The model card of version {where} is invalid: {what}."
    raise ModelError(message, reason="INVALID_MODEL_CARD", metadata={"version": where}) from cause
