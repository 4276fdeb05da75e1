"""A second model that is asked after the answer, on a share of the jobs, so that it can be judged before it serves.

It touches no job: the outcome is written when an image comes here. It works while this process holds no job, an image
at a time; an image that waits too long for such a moment is skipped, and counted as that. Which jobs are chosen depends
on their refs alone, so that the same job is chosen, or not, whoever does it.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from nevus_core.logs import get_logger
from nevus_core.records import ImageInfo, Result
from nevus_core.work_store import Claim
from nevus_workers.imaging.reduction import decode_at
from nevus_workers.imaging.segmenter import NETWORK
from nevus_workers.pipeline import Models, classify
from nevus_workers.stats import Stats

log = get_logger("shadow")

MOST_IMAGES, MOST_BYTES = 32, 64 * 2**20
"""That wait to be compared; what comes on top is skipped."""
PATIENCE_S = 10.0
"""How long an image waits for a moment without jobs."""
LOOK_S = 0.02
"""How often that moment is looked for, while an image waits."""


@dataclass(frozen=True, slots=True)
class ShadowPlan:
    """Which version is asked, `name@version`, and on which share of the jobs, above 0 and up to 1."""

    key: str
    share: float

    @classmethod
    def parse(cls, setting: str) -> ShadowPlan | None:
        """Returns what the setting `shadow` says; None where it is empty."""
        key, _, share = setting.partition(":")
        return cls(key, float(share)) if key else None

    def chooses(self, ref: str) -> bool:
        """Returns whether a job is in the share."""
        drawn = int.from_bytes(hashlib.sha256(ref.encode()).digest()[:8])
        return drawn < self.share * 2**64


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An image whose answer has been given: by which model, with which label and probability."""

    data: bytes
    image: ImageInfo
    model: str
    label: str
    probability: float
    since_s: float


class Shadow:
    """Compares from `start` to `stop`.

    Args:
        plan: What is compared.
        models: Where the shadow is found, once it is loaded.
        calm: Whether this process holds no job now.
        stats: Counts pairs and what was skipped.
    """

    def __init__(self, plan: ShadowPlan, models: Models, calm: Callable[[], bool], stats: Stats) -> None:
        self._plan = plan
        self._models = models
        self._calm = calm
        self._stats = stats
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends; images that wait are left out."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def offer(self, claim: Claim, result: Result) -> None:
        """Takes a job whose outcome has been written, if it is one of the share; returns at once."""
        model = f"{result.provenance.model}@{result.provenance.version}"
        served = self._models.get(model)
        if model == self._plan.key or served is None or not self._plan.chooses(claim.ref):
            return
        card, probability = served.engine.card, result.classification.probability
        label = classify(card, probability, card.default_operating_point).label
        waiting = _Waiting(claim.data, claim.image, model, label, probability, time.monotonic())
        with self._changed:
            if len(self._waiting) < MOST_IMAGES and self._bytes + len(claim.data) <= MOST_BYTES:
                self._waiting.append(waiting)
                self._bytes += len(claim.data)
                self._changed.notify_all()
                return
        self._stats.not_compared(model, self._plan.key)

    def _run(self) -> None:
        while (waiting := self._next()) is not None:
            compared = False
            try:
                compared = self._moment_came(waiting) and self._compare(waiting)
            except Exception as error:  # noqa: BLE001 - whatever a shadow does wrong, the jobs go on
                log.warning("shadow_failed", shadow=self._plan.key, error=type(error).__name__)
            if not compared:
                self._stats.not_compared(waiting.model, self._plan.key)

    def _next(self) -> _Waiting | None:
        """Returns the image that has waited longest; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping.is_set())
            if self._stopping.is_set():
                return None
            waiting = self._waiting.popleft()
            self._bytes -= len(waiting.data)
            return waiting

    def _moment_came(self, waiting: _Waiting) -> bool:
        while not self._calm():
            if time.monotonic() - waiting.since_s > PATIENCE_S or self._stopping.wait(LOOK_S):
                return False
        return True

    def _compare(self, waiting: _Waiting) -> bool:
        """Returns whether the shadow is there and answered."""
        shadow = self._models.get(self._plan.key)
        if shadow is None:
            return False
        shrink = shadow.shrink(waiting.image) if shadow.engine.card.segmenter == NETWORK else 1
        image_bgr, _ = decode_at(waiting.data, waiting.image, shrink)
        prepared = shadow.engine.prepare(image_bgr)
        probability = shadow.batcher.submit(prepared).result().probability
        card = shadow.engine.card
        label = classify(card, probability, card.default_operating_point).label
        self._stats.compared(
            waiting.model,
            self._plan.key,
            agree=label == waiting.label,
            difference=abs(probability - waiting.probability),
        )
        return True
