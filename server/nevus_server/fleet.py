"""The live workers as this front end sees them: which models are served, and whether any job can be done now.

Workers say with every heartbeat what they have loaded and warmed; this polls it. A model whose last worker went away a
moment ago still counts (a rolling update must not refuse jobs), one that nobody ever served does not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from nevus_core.errors import FailedPrecondition, InvalidRequest, NotFound, Unavailable, Violation
from nevus_core.front_store import FrontStore
from nevus_core.logs import get_logger
from nevus_core.records import ModelCard, WorkerInfo

log = get_logger("fleet")

POLL_S = 0.5

LATEST = "latest"
"""As a version in a request: the newest one."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One version of a model: its card, who holds it, and when somebody last did (monotonic seconds)."""

    card: ModelCard
    workers: int
    seen_s: float


class Fleet:
    """What is served.

    Args:
        store: Where workers report.
        grace_s: How long a model counts as served after its last worker was seen.
        monotonic: Instead of `time.monotonic`.
    """

    def __init__(self, store: FrontStore, grace_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._grace_s = grace_s
        self._monotonic = monotonic
        self._models: dict[str, ServedModel] = {}
        self._segmenters: frozenset[str] = frozenset()
        self._broker_answers = False
        self._on_change: list[Callable[[], None]] = []

    def on_poll(self, callback: Callable[[], None]) -> None:
        """Has `callback` called after every poll."""
        self._on_change.append(callback)

    @property
    def broker_answers(self) -> bool:
        """Whether the last poll reached the broker."""
        return self._broker_answers

    def live(self) -> list[ServedModel]:
        """Returns the models that a live worker holds now, by name, newest version first."""
        held = [model for model in self._models.values() if model.workers]
        held.sort(key=lambda model: version_key(model.card.version), reverse=True)
        return sorted(held, key=lambda model: model.card.name)

    async def run(self) -> None:
        """Polls for ever."""
        while True:
            await self.poll()
            await asyncio.sleep(POLL_S)

    async def poll(self) -> None:
        """Looks once; a broker that is away leaves the models as they were seen last."""
        try:
            workers = await self._store.workers()
        except Unavailable:
            if self._broker_answers:
                log.warning("broker_lost")
            self._broker_answers = False
        else:
            self._broker_answers = True
            self._note(workers)
        for callback in self._on_change:
            callback()

    def card(self, name: str, version: str = "") -> ModelCard:
        """Returns the card of a served model; without a version its newest one.

        Raises:
            NotFound: No live worker holds it.
        """
        held = [model.card for model in self.live() if model.card.name == name]
        for card in held:
            if version in ("", card.version):
                return card
        resource = f"models/{name}/versions/{version}" if version else f"models/{name}"
        raise NotFound("nevus/Model", resource, f"No live worker serves {resource}.", reason="MODEL_NOT_FOUND")

    def choose(self, spec: str) -> ModelCard:
        """Returns the card for `NAME`, `NAME@latest` or `NAME@VERSION` of a request.

        Without a version, or with `latest`, that is the newest one that a live worker holds; where all workers of the
        model went away a moment ago, the newest that they held. A version that is being taken away is thus not chosen,
        but may still be asked for by its number until `grace_s` is over.

        Raises:
            Unavailable: NO_WORKER; no worker serves anything now.
            InvalidRequest: UNKNOWN_MODEL.
            FailedPrecondition: MODEL_NOT_LOADED; other versions of it are served.
        """
        recent = self._recent()
        if not recent:
            raise Unavailable(
                "No worker is alive, so nothing can be analysed. Start one with `nevus work`.",
                reason="NO_WORKER",
                retry_after_s=2.0,
            )
        name, _, version = spec.partition("@")
        versions = {model.card.version: model.card for model in recent if model.card.name == name}
        if not versions:
            served = ", ".join(sorted({model.card.name for model in recent}))
            description = f"no model {name!r} is served; served now: {served}."
            raise InvalidRequest([Violation("options.model", "UNKNOWN_MODEL", description)], {"model": name})
        if version in {"", LATEST}:
            live = {model.card.version for model in recent if model.card.name == name and model.workers}
            return versions[max(live or versions, key=version_key)]
        if version not in versions:
            held = ", ".join(sorted(versions, key=version_key))
            raise FailedPrecondition(
                f"models/{name}/versions/{version}",
                f"Version {version} of {name} is not served; served now: {held}.",
                reason="MODEL_NOT_LOADED",
            )
        return versions[version]

    def serves(self, spec: str) -> bool:
        """Returns whether a live worker holds `NAME`, `NAME@latest` (any version) or `NAME@VERSION`."""
        name, _, version = spec.partition("@")
        return any(
            model.card.name == name and version in {"", LATEST, model.card.version} for model in self.live()
        )  # fmt: skip

    @property
    def segmenters(self) -> list[str]:
        """Every segmenter that serves all models, by name; a model's own map is not one of them."""
        return sorted(self._segmenters)

    def _recent(self) -> list[ServedModel]:
        oldest = self._monotonic() - self._grace_s
        return [model for model in self._models.values() if model.seen_s >= oldest]

    def _note(self, workers: list[WorkerInfo]) -> None:
        now = self._monotonic()
        held: dict[str, list[ModelCard]] = {}
        for worker in workers:
            for card in worker.models:
                held.setdefault(card.key, []).append(card)
        for key, model in self._models.items():
            if key not in held:
                self._models[key] = ServedModel(model.card, 0, model.seen_s)
        for key, cards in held.items():
            self._models[key] = ServedModel(cards[0], len(cards), now)
        if workers:
            self._segmenters = frozenset(name for worker in workers for name in worker.segmenters)


def version_key(version: str) -> tuple[int, ...]:
    """Returns what versions sort by: "1.10" comes after "1.9"."""
    return tuple(int(part) if part.isdigit() else -1 for part in version.split("."))
