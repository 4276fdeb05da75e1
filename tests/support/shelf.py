"""A library over a folder of models, whose librarian and clock are a test's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from nevus_core.settings import WorkerSettings
from nevus_workers.arrangement import Arrangement
from nevus_workers.imaging.segmenter import built_in_segmenters
from nevus_workers.models.librarian import Librarian
from nevus_workers.models.library import Library
from nevus_workers.models.repository import Repository
from nevus_workers.models.serving import Loader
from nevus_workers.stats import Stats
from nevus_workers.turns import Turns

ARRANGEMENT = Arrangement(
    device="cpu", max_batch=2, max_wait_ms=2.0, turns=False, threads=2, decoders=1, engine_threads=1
)


class Shelf:
    """See above."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seconds = 0.0
        self.in_use: set[str] = set()
        self.settings = WorkerSettings(models=str(root), default_model="tiny", models_poll_s=0)
        self.library = Library(lambda: self.seconds)
        self.loader = Loader(Repository(root), built_in_segmenters(), ARRANGEMENT, Turns(), Stats())
        self.librarian = Librarian(
            self.library, self.loader, Repository(root), lambda: self.settings, lambda: self.in_use
        )

    def set(self, **changes: Any) -> None:
        """Changes settings."""
        self.settings = replace(self.settings, **changes)

    @property
    def served(self) -> list[str]:
        """What is announced."""
        return [card.key for card in self.library.cards()]

    def probability(self, key: str) -> float:
        """Returns what a model says of a black image."""
        model = self.library.get(key)
        assert model is not None
        black = np.zeros((20, 20, 3), np.uint8)
        return model.batcher.submit(model.engine.prepare(black)).result(30).probability
