"""The models on disk: `<root>/<name>/<version>/model.toml` beside its weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from nevus_core.errors import ModelError
from nevus_workers.models.card import CARD_FILE, NAME, VERSION, read_card, write_card

if TYPE_CHECKING:
    from pathlib import Path

    from nevus_core.records import ModelCard


@dataclass(frozen=True, slots=True)
class Repository:
    """A folder of models. Nothing is cached: what is on disk now counts.

    Attributes:
        root: The folder; may be missing, then there are no models.
    """

    root: Path

    def names(self) -> tuple[str, ...]:
        """Returns the names of all models that have a version, sorted."""
        if not self.root.is_dir():
            return ()
        return tuple(sorted(entry.name for entry in self.root.iterdir() if self.versions(entry.name)))

    def versions(self, name: str) -> tuple[str, ...]:
        """Returns a model's versions, oldest first: 2 before 10, 1.9 before 1.10. Empty where there is none."""
        folder = self.root / name
        if not NAME.fullmatch(name) or not folder.is_dir():
            return ()
        found = [entry.name for entry in folder.iterdir() if (entry / CARD_FILE).is_file()]
        return tuple(sorted((entry for entry in found if VERSION.fullmatch(entry)), key=version_key))

    def cards(self) -> tuple[ModelCard, ...]:
        """Returns every card, by name and version.

        Raises:
            ModelError: INVALID_MODEL_CARD where one can't be read.
        """
        return tuple(self.resolve(name, version) for name in self.names() for version in self.versions(name))

    def resolve(self, name: str, version: str | None = None) -> ModelCard:
        """Returns a model's card.

        Args:
            name: Such as "notebook-cnn".
            version: None for the latest one.

        Raises:
            ModelError: MODEL_NOT_FOUND; INVALID_MODEL_CARD, also where the card names another model than its folder.
        """
        versions = self.versions(name)
        if not versions or (version is not None and version not in versions):
            known = ", ".join(f"{each}@{self.versions(each)[-1]}" for each in self.names()) or "none"
            text = f"There is no such model or version. Known, each with its latest version: {known}."
            metadata = {"model": name, "version": version or ""}
            raise ModelError(text, reason="MODEL_NOT_FOUND", metadata=metadata)
        chosen = version or versions[-1]
        card = read_card(self.root / name / chosen / CARD_FILE)
        if (card.name, card.version) != (name, chosen):
            text = f"The card in {name}/{chosen} calls itself {card.key}; folder and card must agree."
            raise ModelError(text, reason="INVALID_MODEL_CARD", metadata={"model": card.key})
        return card

    def folder(self, card: ModelCard) -> Path:
        """Returns where a card and its weights lie."""
        return self.root / card.name / card.version

    def weights_path(self, card: ModelCard) -> Path:
        """Returns where a card's weights lie, there or not."""
        return self.folder(card) / card.weights

    def has_weights(self, card: ModelCard) -> bool:
        """Returns whether a weights file is there; says nothing about its digest."""
        return bool(card.weights_sha256) and self.weights_path(card).is_file()

    def verify(self, card: ModelCard) -> Path:
        """Returns the path of a card's weights after comparing their size and digest with the card.

        Raises:
            ModelError: WEIGHTS_MISSING, WEIGHTS_SIZE_MISMATCH, WEIGHTS_DIGEST_MISMATCH.
        """
        path = self.weights_path(card)
        verify_weights(card, path)
        return path

    def publish(self, card: ModelCard, weights: Path) -> ModelCard:
        """Puts a model into the repository: weights first, then the card that names their size and digest.

        Args:
            card: Size and digest in it are ignored.
            weights: A file on the same file system; it is moved.

        Returns:
            The card as written.
        """
        folder = self.folder(card)
        folder.mkdir(parents=True, exist_ok=True)
        size_bytes, digest = weights.stat().st_size, file_sha256(weights)
        complete = msgspec.structs.replace(card, weights_bytes=size_bytes, weights_sha256=digest)
        weights.replace(self.weights_path(card))
        write_card(folder / CARD_FILE, complete)
        return complete


def version_key(version: str) -> tuple[int, ...]:
    """Returns what versions sort by: their numbers."""
    return tuple(int(part) for part in version.split("."))


def file_sha256(path: Path) -> str:
    """Returns a file's SHA-256 as 64 lower-case hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_weights(card: ModelCard, path: Path) -> None:
    """Compares a weights file with its card.

    Raises:
        ModelError: WEIGHTS_MISSING: no file, or the card has no digest yet; WEIGHTS_SIZE_MISMATCH;
            WEIGHTS_DIGEST_MISMATCH.
    """
    if not card.weights_sha256 or not path.is_file():
        text = f"The weights of {card.key} are not here. Fetch them with `nevus models fetch`."
        raise ModelError(text, reason="WEIGHTS_MISSING", metadata={"model": card.key})
    size_bytes = path.stat().st_size
    if card.weights_bytes and size_bytes != card.weights_bytes:
        text = f"The weights of {card.key} have {size_bytes} bytes; the card says {card.weights_bytes}."
        metadata = {"model": card.key, "size_bytes": str(size_bytes), "expected_bytes": str(card.weights_bytes)}
        raise ModelError(text, reason="WEIGHTS_SIZE_MISMATCH", metadata=metadata)
    digest = file_sha256(path)
    if digest != card.weights_sha256:
        text = f"The weights of {card.key} have the SHA-256 {digest}; the card says {card.weights_sha256}."
        metadata = {"model": card.key, "sha256": digest, "expected_sha256": card.weights_sha256}
        raise ModelError(text, reason="WEIGHTS_DIGEST_MISMATCH", metadata=metadata)
