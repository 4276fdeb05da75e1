"""Whom a benchmark measures: a model, and where the regions of its images come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nevus_core.errors import ModelError
from nevus_workers.models.repository import Repository

MODEL = "notebook-cnn"
"""The published figures are of this one, whatever a deployment's default may be."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model of a repository.

    Attributes:
        models: The repository's folder.
        key: `name@version`.
        segmenter: Of the card: a segmenter's name, or `network` for the model's own map.
    """

    models: Path
    key: str
    segmenter: str

    @property
    def environ(self) -> dict[str, str]:
        """NEVUS_* of a system that serves this model alone, as its default."""
        return {"NEVUS_MODELS": str(self.models), "NEVUS_SERVE_MODELS": self.key, "NEVUS_DEFAULT_MODEL": self.key}

    @property
    def words(self) -> list[str]:
        """What a child process of the benchmark is told of it."""
        return ["--models", str(self.models), "--model", self.key, "--segmenter", self.segmenter]

    @property
    def facts(self) -> dict[str, str]:
        """What stands in the JSON."""
        return {"model": self.key, "segmenter": self.segmenter}

    def __str__(self) -> str:
        return f"{self.key}, {self.segmenter}"


def choose(models: Path, model: str) -> Subject:
    """Returns the subject that NAME (its newest version) or NAME@VERSION means.

    Raises:
        RuntimeError: It is not there, or its card can't be read.
    """
    name, _, version = model.partition("@")
    try:
        card = Repository(models).resolve(name, version or None)
    except ModelError as error:
        raise RuntimeError(str(error)) from error
    return Subject(models, card.key, card.segmenter)
