"""Taking an image in: validate, store durably with the message that wakes a worker. All RPCs with images use it."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from msgspec import structs

from nevus.v1 import job_pb2
from nevus_core.errors import FailedPrecondition, QuotaExceeded, Unavailable
from nevus_core.front_store import FrontStore, NewJob
from nevus_core.image_header import inspect_image
from nevus_core.records import ImageInfo, Job
from nevus_core.settings import ServerSettings
from nevus_server.budget import Budget
from nevus_server.fleet import Fleet
from nevus_server.messages import Messages
from nevus_server.pace import Pace
from nevus_server.requests import check_request_id, job_options

OFF_LOOP_BYTES = 2**20
"""Larger images are hashed in a thread: 1 MiB takes about 1 ms."""

FULL = frozenset({"QUEUE_FULL", "STORE_FULL", "QUOTA_EXCEEDED"})
"""Reasons that go away as jobs finish."""


def new_job_id() -> str:
    """Returns a fresh id: 11 hex digits of time, so that ids sort by it, and 16 that nobody can guess."""
    return f"{time.time_ns() // 1_000_000:011x}{secrets.token_hex(8)}"


class Intake:
    """Accepts images.

    Args:
        store: Where jobs go.
        messages: Makes what wakes a worker.
        fleet: What is served.
        pace: Knows how fast the queue drains.
        settings: Limits and defaults.
        new_id: Makes job ids.
    """

    def __init__(
        self,
        store: FrontStore,
        messages: Messages,
        fleet: Fleet,
        pace: Pace,
        settings: ServerSettings,
        new_id: Callable[[], str] = new_job_id,
    ) -> None:
        self._store = store
        self._messages = messages
        self._fleet = fleet
        self._pace = pace
        self.budget = Budget(settings.max_intake_bytes)
        self._settings = settings
        self._new_id = new_id
        self._draining = False

    def drain(self) -> None:
        """Refuses everything from now on, retryably."""
        self._draining = True

    def new_ref(self, tenant: str) -> str:
        """Returns the ref of a job to come."""
        return f"{tenant}/{self._new_id()}"

    async def accept(
        self,
        ref: str,
        image: bytes,
        options: job_pb2.AnalysisOptions,
        request_id: str,
        *,
        limit_bytes: int | None = None,
        outcome_only: bool = False,
    ) -> Job:
        """Returns the job, durably stored; a repeated request id yields the first one's job instead.

        Args:
            ref: From `new_ref`.
            image: The upload.
            options: As the caller sent them.
            request_id: As the caller sent it.
            limit_bytes: Largest image; the inline limit where it is None. Where it is given, the caller has taken the
                image's share of the budget already.
            outcome_only: See `JobOptions`.

        Raises:
            InvalidRequest: The image or an option can't be accepted.
            FailedPrecondition: The model's version is not served.
            RequestIdReused: Same request id, other content.
            QuotaExceeded: The tenant has its share of queue or store.
            Unavailable: Draining, busy, no worker, queue or store full, or broker away. Nothing is left behind.
        """
        self._check_draining()
        checked_id = check_request_id(request_id)
        with self.budget.share() as share:
            if limit_bytes is None:
                share.take(len(image))
            info = await self._inspect(image, limit_bytes or self._settings.inline_limit_bytes)
            resolved = job_options(options, self._fleet, self._settings, outcome_only=outcome_only)
            # A repeat must match what the caller sent; defaults may have moved on between the two.
            digest = hashlib.sha256(info.sha256.encode() + options.SerializeToString(deterministic=True)).hexdigest()
            return await self._store_new(NewJob(ref, "accept", checked_id, digest, info, resolved), image)

    async def resubmit(self, job: Job, request_id: str) -> Job:
        """Returns a new job for the image of a dead letter, with the same options.

        Raises:
            FailedPrecondition: NO_DEAD_LETTER; the job is no dead letter, or its image is gone.
            QuotaExceeded, Unavailable, RequestIdReused: As `accept`.
        """
        self._check_draining()
        checked_id = check_request_id(request_id)
        image = await self._store.image(job.ref) if job.state.final else None
        if image is None:
            raise FailedPrecondition(
                job.name,
                f"{job.name} ({job.state}) can't be submitted again: its image is not kept. Send the image anew.",
                reason="NO_DEAD_LETTER",
            )
        self._fleet.choose(f"{job.options.model}@{job.options.version}")
        digest = hashlib.sha256(b"resubmit" + job.ref.encode()).hexdigest()
        options = structs.replace(job.options, outcome_only=False)
        new = NewJob(self.new_ref(job.tenant), "accept", checked_id, digest, job.image, options)
        again = await self._store_new(new, image)
        await self._store.drop_letter(job.ref)
        return again

    def _check_draining(self) -> None:
        if self._draining:
            raise Unavailable("This front end is shutting down. Call again; another one answers.", reason="DRAINING")

    async def _inspect(self, image: bytes, limit_bytes: int) -> ImageInfo:
        limits = {"max_bytes": limit_bytes, "max_pixels": self._settings.max_pixels}
        if len(image) > OFF_LOOP_BYTES:
            return await asyncio.to_thread(inspect_image, image, **limits)
        return inspect_image(image, **limits)

    async def _store_new(self, new: NewJob, image: bytes) -> Job:
        message = self._messages.message(new.ref, new.options.priority)
        try:
            return await self._store.accept(replace(new, message=message), image)
        except (Unavailable, QuotaExceeded) as error:
            if error.reason in FULL:
                error.retry_after_s = self._pace.retry_after_s(self._settings.max_queued)
            raise
