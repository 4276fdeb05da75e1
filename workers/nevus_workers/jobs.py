"""From a message to a settled job: claim, run the pipeline, write the one outcome.

A message is only a bell. Whatever it says, the record decides: a job that another worker holds, that has ended or is
gone is left alone, and an answer counts only while this attempt still holds the job.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import TypeVar

from nevus_core.errors import Fenced, InternalError, NevusError, Suspect, Unavailable
from nevus_core.logs import get_logger
from nevus_core.records import Failure, Region, Result
from nevus_core.states import Stage
from nevus_core.work_store import Claim, WorkStore
from nevus_workers.gate import Gate
from nevus_workers.pipeline import Outcome, Pipeline
from nevus_workers.stats import Stats

log = get_logger("jobs")

ARTIFACT_SAFETY_MS = 7 * 86_400_000
"""Pictures go with their job; if that never happens they go after this time."""


T = TypeVar("T")

Settle = Callable[[bool], Claim | None]
"""Writes an outcome; told whether to take the next job with it."""


class CancelledError(Exception):
    """The job is to be cancelled; raised between two stages."""


class Held:
    """The claims that this process is working on, for its heartbeat."""

    def __init__(self) -> None:
        self._claims: dict[tuple[str, int], Claim] = {}
        self._lock = threading.Lock()

    def add(self, claim: Claim) -> None:
        """Begins to hold."""
        with self._lock:
            self._claims[claim.ref, claim.attempt] = claim

    def remove(self, claim: Claim) -> None:
        """Holds it no more."""
        with self._lock:
            self._claims.pop((claim.ref, claim.attempt), None)

    def all(self) -> list[Claim]:
        """Returns what is held now."""
        with self._lock:
            return list(self._claims.values())

    def models(self) -> set[str]:
        """Returns `name@version` of every model that is needed for what is held."""
        return {f"{claim.options.model}@{claim.options.version}" for claim in self.all()}


class JobRunner:
    """Does jobs, one a thread at a time.

    Args:
        store: The records.
        pipeline: Does the work.
        held: Kept up to date for the heartbeat.
        stats: Counts what is done, for the heartbeat too.
        messages_wait: Whether messages wait for a thread of this process; then no thread goes on by itself.
        insist_for_s: How long a stage or an outcome is offered to a broker that is away; the sweeper leaves leases
            alone until workers could be heard again.
        on_success: Told of a job once its result is written; has to be quick, and must not raise.
    """

    def __init__(
        self,
        store: WorkStore,
        pipeline: Pipeline,
        held: Held,
        stats: Stats,
        messages_wait: Callable[[], bool],
        insist_for_s: float = 30.0,
        on_success: Callable[[Claim, Result], None] | None = None,
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._held = held
        self._stats = stats
        self._messages_wait = messages_wait
        self._insist_for_s = insist_for_s
        self._on_success = on_success
        self._gate = Gate()
        self._stopping = False

    def run(self, ref: str) -> None:
        """Does a job, if it is there to be done, beside others, or alone if its last worker died; then the next ones.

        Raises:
            Unavailable: The broker can't be reached; the message must come again.
            OtherModel: This process does not hold its model; the message must go to another one.
        """
        try:
            with self._gate.together():
                self._do_all(self._claim(ref))
        except Suspect:
            with self._gate.alone():
                self._do_all(self._claim(ref, alone=True))

    def stop(self) -> None:
        """Takes no further jobs; those under way go on."""
        self._stopping = True

    def _claim(self, ref: str, *, alone: bool = False) -> Claim | None:
        began = time.perf_counter()
        claim = self._store.claim(ref, alone=alone)
        if claim is not None:
            self._stats.claimed(claim, time.perf_counter() - began)
        return claim

    def _do_all(self, claim: Claim | None) -> None:
        """Does a job, then those that were taken with the outcomes."""
        while claim is not None:
            claim = self._do(claim)

    def _do(self, claim: Claim) -> Claim | None:
        """Does a job. Returns the one that was taken with its outcome."""
        ref, following = claim.ref, None
        self._held.add(claim)
        began = time.monotonic()
        try:
            outcome, settle = self._work(claim)
            following = self._settle(settle)
        except Fenced:
            outcome = "fenced"
            log.warning("late_answer_dropped", job=ref, attempt=claim.attempt)
        finally:
            self._held.remove(claim)
        self._stats.ended(outcome)
        log.info("job", job=ref, attempt=claim.attempt, outcome=outcome, ms=round((time.monotonic() - began) * 1000))
        return following

    def _work(self, claim: Claim) -> tuple[str, Settle]:
        """Returns how it ended ("succeeded", "cancelled" or the reason of the failure), and what writes that."""
        try:
            _check_image(claim)
            done = self._pipeline.run(claim.data, claim.image, claim.options, self._progress(claim))
            self._stats.analysed(done.result.provenance.timings)
        except CancelledError:
            return "cancelled", lambda take: self._store.settle_cancelled(claim, take=take)
        except (Fenced, Unavailable):
            raise
        except NevusError as error:
            return self._failed(claim, error)
        except Exception:  # the job must get its outcome, whatever broke
            fault = InternalError(uuid.uuid4().hex[:12])
            log.exception("internal_error", error_id=fault.metadata["error_id"], job=claim.ref)
            return self._failed(claim, fault)
        return "succeeded", lambda take: self._succeed(claim, done, take=take)

    def _succeed(self, claim: Claim, done: Outcome, *, take: bool) -> Claim | None:
        following = self._store.settle_succeeded(claim, done.result, done.pictures, ARTIFACT_SAFETY_MS, take=take)
        if self._on_success is not None:
            self._on_success(claim, done.result)
        return following

    def _progress(self, claim: Claim) -> Callable[[Stage, tuple[Region, ...] | None], None]:
        def tell(stage: Stage, regions: tuple[Region, ...] | None) -> None:
            if stage is Stage.CLASSIFYING and claim.options.outcome_only:
                return  # the outcome follows, with the regions
            if not self._insist(lambda: self._store.advance(claim, stage, regions)):
                raise CancelledError

        return tell

    def _failed(self, claim: Claim, error: NevusError) -> tuple[str, Settle]:
        failure = Failure(code=error.code, reason=error.reason, message=error.message, metadata=error.metadata)
        return error.reason, lambda take: self._store.settle_failed(claim, failure, take=take)

    def _settle(self, write: Settle) -> Claim | None:
        """Writes an outcome; takes the next job with it, unless somebody else needs this thread."""
        began = time.perf_counter()
        following = self._insist(lambda: write(self._may_go_on()))
        seconds = time.perf_counter() - began
        self._stats.settled(seconds)
        if following is not None:
            self._stats.claimed(following, seconds)
        return following

    def _may_go_on(self) -> bool:
        return not (self._stopping or self._gate.wanted or self._messages_wait())

    def _insist(self, write: Callable[[], T]) -> T:
        """Writes again and again while the broker is away: the work is done, and fencing keeps it safe."""
        deadline = time.monotonic() + self._insist_for_s
        while True:
            try:
                return write()
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


def _check_image(claim: Claim) -> None:
    if not claim.data:
        raise NevusError("The broker no longer has the image. Send it again.", reason="IMAGE_LOST")
