"""The model repository: finding, sorting, verifying and publishing; and the one that nevus ships."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from nevus_core.errors import ModelError
from nevus_workers.models.card import write_card
from nevus_workers.models.fetch import original_card
from nevus_workers.models.repository import Repository

if TYPE_CHECKING:
    from nevus_core.records import ModelCard

SHIPPED = Repository(Path(__file__).parents[4] / "models")


def add(repository: Repository, card: ModelCard, weights: bytes = b"weights") -> ModelCard:
    """Publishes a card with some bytes as its weights."""
    repository.root.mkdir(exist_ok=True)
    source = repository.root / "upload"
    source.write_bytes(weights)
    return repository.publish(card, source)


def test_versions_sort_as_numbers(repository: Repository, card: ModelCard) -> None:
    """Proves that 10 comes after 9 and 1.10 after 1.9, and that the latest is the default."""
    for version in ("9", "10", "1.9", "1.10"):
        add(repository, msgspec.structs.replace(card, version=version))
    assert repository.versions("notebook-cnn") == ("1.9", "1.10", "9", "10")
    assert repository.resolve("notebook-cnn").version == "10"
    assert repository.resolve("notebook-cnn", "1.9").version == "1.9"
    assert [each.version for each in repository.cards()] == ["1.9", "1.10", "9", "10"]


@pytest.mark.parametrize(
    ("name", "version"), [("other", None), ("notebook-cnn", "7"), ("../models/notebook-cnn", None), ("", None)]
)
def test_unknown_models(repository: Repository, card: ModelCard, name: str, version: str | None) -> None:
    """Proves MODEL_NOT_FOUND, naming what there is; a name never leads out of the folder."""
    add(repository, card)
    with pytest.raises(ModelError, match="notebook-cnn@1") as caught:
        repository.resolve(name, version)
    assert caught.value.reason == "MODEL_NOT_FOUND"


def test_missing_folder_is_an_empty_repository(tmp_path: Path) -> None:
    """Proves that a repository that is not there has no models and raises nothing on listing."""
    assert Repository(tmp_path / "nothing").names() == ()
    assert Repository(tmp_path / "nothing").cards() == ()


def test_stray_files_are_no_models(repository: Repository, card: ModelCard) -> None:
    """Proves that files and half-made folders beside the models don't disturb."""
    add(repository, card)
    (repository.root / "README.md").write_text("hello")
    (repository.root / "notebook-cnn" / ".fetch-x").mkdir()
    (repository.root / "notebook-cnn" / "2").mkdir()
    assert repository.names() == ("notebook-cnn",)
    assert repository.versions("notebook-cnn") == ("1",)


def test_card_must_agree_with_its_folder(repository: Repository, card: ModelCard) -> None:
    """Proves that a card copied into another version's folder is found out."""
    folder = repository.root / "notebook-cnn" / "2"
    folder.mkdir(parents=True)
    write_card(folder / "model.toml", card)
    with pytest.raises(ModelError) as caught:
        repository.resolve("notebook-cnn")
    assert caught.value.reason == "INVALID_MODEL_CARD"


def test_publish_then_verify(repository: Repository, card: ModelCard) -> None:
    """Proves that publishing writes size and digest, and that verifying finds them right."""
    written = add(repository, card)
    assert written.weights_bytes == 7
    assert repository.resolve("notebook-cnn") == written
    assert repository.verify(written).read_bytes() == b"weights"
    assert repository.has_weights(written)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [(None, "WEIGHTS_MISSING"), (b"weight", "WEIGHTS_SIZE_MISMATCH"), (b"WEIGHTS", "WEIGHTS_DIGEST_MISMATCH")],
)
def test_wrong_weights(repository: Repository, card: ModelCard, weights: bytes | None, reason: str) -> None:
    """Proves that missing, short and changed weights are told apart."""
    written = add(repository, card)
    path = repository.weights_path(written)
    path.unlink() if weights is None else path.write_bytes(weights)
    with pytest.raises(ModelError) as caught:
        repository.verify(written)
    assert caught.value.reason == reason


def test_weights_without_a_digest_count_as_missing(repository: Repository, card: ModelCard) -> None:
    """Proves that a card whose weights were never fetched can't be loaded by putting a file there."""
    add(repository, card)
    with pytest.raises(ModelError) as caught:
        repository.verify(card)
    assert caught.value.reason == "WEIGHTS_MISSING"


def test_shipped_models() -> None:
    """Proves that the committed weights match their card and fit the size that a repository can carry."""
    card = SHIPPED.resolve("notebook-cnn")
    assert card.version == "1"
    assert SHIPPED.verify(card).stat().st_size < 16 * 2**20
    assert "NOT FOR CLINICAL USE" in card.intended_use
    assert "NC" in card.licence
    assert set(card.operating_points) == {"balanced", "screening"}
    assert card.operating_points["screening"] <= card.operating_points["balanced"]


def test_shipped_card_of_the_original_weights() -> None:
    """Proves that version 0 is the card that a first fetch starts from."""
    shipped = SHIPPED.resolve("notebook-cnn", "0")
    assert msgspec.structs.replace(shipped, weights_sha256="", weights_bytes=0) == original_card()
