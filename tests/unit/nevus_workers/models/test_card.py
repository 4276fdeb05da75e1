"""`model.toml`: strict reading, round trips, and what is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nevus_core.errors import ModelError
from nevus_core.records import ModelCard, ModelOutputs
from nevus_workers.models.card import check_card, format_card, read_card, write_card

if TYPE_CHECKING:
    from pathlib import Path


def test_round_trip(card: ModelCard, tmp_path: Path) -> None:
    """Proves that a written card reads back the same, folded text, tables and quotes included."""
    long = 'A "quoted" word, a back\\slash, and then many more words. ' * 8
    full = msgspec.structs.replace(
        card,
        description=long.strip(),
        limitations="first line\nsecond line\ttab \x7f",
        evaluation={"auc": 0.8125, "images": 1249, "odd name": 1e-5},
        weights_sha256="ab" * 32,
        scale=1 / 255,
    )
    path = tmp_path / "model.toml"
    write_card(path, full)
    assert read_card(path) == full
    assert max(len(line) for line in path.read_text().splitlines()) < 130
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.toml"]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(TEXT, st.dictionaries(TEXT, st.floats(allow_nan=False, allow_infinity=False), max_size=4))
def test_any_text_survives(text: str, figures: dict[str, float]) -> None:
    """Proves that whatever a person writes into a card, TOML gives it back."""
    import tomllib

    written = ModelCard(
        name="a",
        version="1",
        title=text,
        intended_use=text * 3,
        limitations="",
        training_data="",
        licence="",
        architecture="a",
        weights="w",
        input_width_px=1,
        input_height_px=1,
        operating_points={"balanced": 0.5},
        default_operating_point="balanced",
        evaluation=figures,
    )
    assert msgspec.convert(tomllib.loads(format_card(written)), ModelCard) == written


def test_unknown_key_is_an_error(card: ModelCard, tmp_path: Path) -> None:
    """Proves that a misspelt key does not go unnoticed."""
    path = tmp_path / "model.toml"
    path.write_text("treshold = 0.5\n" + format_card(card))
    with pytest.raises(ModelError, match="treshold") as caught:
        read_card(path)
    assert caught.value.reason == "INVALID_MODEL_CARD"


def test_unknown_key_of_the_outputs(card: ModelCard, tmp_path: Path) -> None:
    """Proves that the table inside is read as strictly, and that what is known of it comes back."""
    brought = msgspec.structs.replace(
        card, architecture="keras", weights="a.keras", outputs=ModelOutputs(probability="p", logits=True)
    )
    path = tmp_path / "model.toml"
    write_card(path, brought)
    assert read_card(path) == brought
    path.write_text(format_card(brought).replace("logits", "logit"))
    with pytest.raises(ModelError, match=r"outputs\.logit"):
        read_card(path)


@pytest.mark.parametrize("text", ["", "name = ", "name = 3\n", "\xff"])
def test_unreadable_files(text: str, tmp_path: Path) -> None:
    """Proves INVALID_MODEL_CARD for missing keys, broken TOML and wrong types."""
    path = tmp_path / "model.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError) as caught:
        read_card(path)
    assert caught.value.reason == "INVALID_MODEL_CARD"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": "../x"}, "name"),
        ({"version": "1.x"}, "version"),
        ({"weights": "../../secret"}, "weights"),
        ({"weights_sha256": "ABC"}, "sha256"),
        ({"weights_bytes": -1}, "weights_bytes"),
        ({"input_width_px": 0}, "input sizes"),
        ({"colour_order": "gbr"}, "colour_order"),
        ({"scale": 0.0}, "scale"),
        ({"classes": ("a", "a")}, "classes"),
        ({"classes": ("a", "b", "c")}, "classes"),
        ({"operating_points": {"balanced": 1.5}}, "operating_points"),
        ({"default_operating_point": "other"}, "default_operating_point"),
        ({"architecture": "keras"}, ".keras"),
        ({"outputs": ModelOutputs(mask="m")}, "outputs"),
    ],
)
def test_senseless_values(card: ModelCard, change: dict[str, Any], named: str) -> None:
    """Proves that each rule refuses what breaks it and names the key."""
    check_card(card)
    with pytest.raises(ModelError, match=re.escape(named)):
        check_card(msgspec.structs.replace(card, **change))
