"""The models that a process holds now, and how one leaves without a job noticing.

    served    announced with the heartbeat, given to jobs
    shadow    loaded to be compared only: neither announced nor given to jobs
    retired   no longer wanted and no longer announced; jobs pinned to it may still wait, and get it
    closing   claimed no more; jobs that were claimed before come to their end
    (gone)    its model thread ended, its memory given back

The librarian alone changes it; any thread may read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from nevus_core.logs import get_logger
from nevus_core.records import ModelCard
from nevus_workers.models.serving import ServingModel

log = get_logger("models")

CLOSING_S = 60.0
"""How long a version that is claimed no more stays at least: a claim that was asked for before may be answered as late
as that (`nevus_core.line`: four tries, each 2 s to connect and 10 s to answer)."""


class Place(Enum):
    """Where a model stands on its way."""

    SERVED = "served"
    SHADOW = "shadow"
    RETIRED = "retired"
    CLOSING = "closing"


CLAIMED = frozenset({Place.SERVED, Place.RETIRED})
"""Where jobs may be claimed for a model."""


@dataclass(slots=True)
class _Entry:
    """One model; `since_s`: when it came to its place, `used_s`: when a job last asked for it."""

    model: ServingModel
    place: Place
    since_s: float
    used_s: float


class Library:
    """What is loaded.

    Args:
        monotonic: Instead of `time.monotonic`.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._entries: dict[str, _Entry] = {}  # never changed, only replaced: readers take no lock
        self._served: tuple[str, ...] = ()

    def get(self, key: str, /) -> ServingModel | None:
        """Returns a model by `name@version`, for a job or a comparison; None where it is not held."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.used_s = self._monotonic()
        return entry.model

    def keys(self) -> tuple[str, ...]:
        """Returns `name@version` of every model that jobs may be claimed for now."""
        return tuple(key for key, entry in self._entries.items() if entry.place in CLAIMED)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def cards(self) -> tuple[ModelCard, ...]:
        """Returns the cards of what is served, the default model's first."""
        entries = self._entries
        return tuple(entries[key].model.engine.card for key in self._served if key in entries)

    def place(self, key: str) -> Place | None:
        """Returns where a model stands; None where it is not held."""
        entry = self._entries.get(key)
        return entry.place if entry else None

    @property
    def bytes_taken(self) -> int:
        """What all models that are held are counted with."""
        return sum(entry.model.bytes_taken for entry in self._entries.values())

    @property
    def leaving(self) -> bool:
        """Whether a model is on its way out."""
        return any(entry.place in {Place.RETIRED, Place.CLOSING} for entry in self._entries.values())

    def add(self, model: ServingModel) -> None:
        """Takes in a model, on the shelf of those that are only compared; `arrange` says what it is for."""
        now = self._monotonic()
        self._entries = {**self._entries, model.engine.card.key: _Entry(model, Place.SHADOW, now, now)}

    def arrange(self, served: Sequence[str], shadow: str = "") -> None:
        """Says which of the models that are held are wanted; all others begin to leave.

        Args:
            served: `name@version`, in the order in which they are announced.
            shadow: The one to be compared with, which may be among them.
        """
        before = self._served
        for key, entry in self._entries.items():
            if key in served:
                self._move(entry, Place.SERVED)
            elif key == shadow:
                self._move(entry, Place.SHADOW)
            elif entry.place not in {Place.RETIRED, Place.CLOSING}:
                self._move(entry, Place.RETIRED)
                log.info("model_retired", model=key)
        self._served = tuple(served)
        if self._served != before:
            log.info("serving", models=list(served))

    def tidy(self, in_use: Collection[str], keep_s: float) -> None:
        """Moves what leaves on its way, and ends what nothing needs any more.

        Args:
            in_use: `name@version` of the jobs that are held.
            keep_s: How long a retired model stays after its last use.
        """
        now = self._monotonic()
        for key, entry in self._entries.items():
            if entry.place is Place.RETIRED and now - max(entry.since_s, entry.used_s) >= keep_s:
                self._move(entry, Place.CLOSING)
            elif entry.place is Place.CLOSING and now - entry.since_s >= CLOSING_S and key not in in_use:
                self._entries = {other: kept for other, kept in self._entries.items() if other != key}
                entry.model.batcher.close()
                log.info("model_unloaded", model=key)

    def close(self) -> None:
        """Ends every model's thread; what was handed in is answered."""
        for entry in self._entries.values():
            entry.model.batcher.close()

    def _move(self, entry: _Entry, place: Place) -> None:
        if entry.place is not place:
            entry.place, entry.since_s = place, self._monotonic()
