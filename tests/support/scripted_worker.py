"""A worker without a network: it does to jobs what a test tells it to, through the real store."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import redis

from nevus_core.broker import CONNECTION
from nevus_core.keys import Keys
from nevus_core.records import Failure, ModelCard
from nevus_core.states import Stage
from nevus_core.work_store import Claim, WorkStore
from support import made_up


class ScriptedWorker:
    """One live, idle worker.

    Args:
        broker_url: Where the broker is.
        prefix: The test's part of it.
        models: What it says it serves.
        worker_id: Its name.
    """

    def __init__(
        self, broker_url: str, prefix: str, *, models: tuple[ModelCard, ...] = (made_up.CARD,), worker_id: str = "w"
    ) -> None:
        self._client = redis.Redis.from_url(broker_url, **CONNECTION)
        self.store = WorkStore(self._client, prefix, worker_id, 30_000, [card.key for card in models])
        self._keys = Keys(prefix)
        self._info = made_up.worker_info(worker_id, models)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.store.heartbeat(self._info, [], alive_ms=120_000)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def claim(self, job_name: str, tenant: str = "default") -> Claim:
        """Takes a job."""
        claim = self.store.claim(f"{tenant}/{job_name.removeprefix('jobs/')}")
        assert claim is not None
        return claim

    def find_regions(self, claim: Claim) -> None:
        """Moves the job to CLASSIFYING, with regions."""
        assert self.store.advance(claim, Stage.SEGMENTING)
        assert self.store.advance(claim, Stage.CLASSIFYING, made_up.REGIONS)

    def succeed(self, claim: Claim) -> None:
        """Settles the job, with the pictures that were asked for."""
        pictures = dict.fromkeys(claim.options.artifacts, b"\x89PNG made up")
        self.store.settle_succeeded(claim, made_up.result(artifacts=tuple(pictures)), pictures, 60_000)

    def fail(self, claim: Claim, reason: str = "CORRUPT_IMAGE") -> None:
        """Settles the job without a result."""
        self.store.settle_failed(claim, Failure(code="INVALID_ARGUMENT", reason=reason, message="Made up."))

    def do(self, job_name: str) -> None:
        """Does a job from beginning to end."""
        claim = self.claim(job_name)
        self.find_regions(claim)
        self.succeed(claim)

    def work_in_background(self) -> None:
        """Does every job that is queued, until it is closed."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops and goes off the list of live workers."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.store.heartbeat(None, [], alive_ms=1)
        self._client.close()

    def _run(self) -> None:
        while not self._stop.wait(0.002):
            for ref in self._client.zrange(f"{self._keys.prefix}:queued:routine", 0, -1):
                claim = self.store.claim(ref.decode())
                if claim is not None:
                    self.find_regions(claim)
                    self.succeed(claim)
