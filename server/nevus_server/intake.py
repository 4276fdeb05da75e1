"""Taking an image in: validate, store durably, ring the bell. All RPCs that bring images share this."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable

from nevus.v1 import job_pb2
from nevus_core.errors import Unavailable
from nevus_core.front_store import FrontStore, NewJob
from nevus_core.image_header import inspect_image
from nevus_core.records import Job
from nevus_core.settings import ServerSettings
from nevus_core.states import State
from nevus_server.bell import Bell
from nevus_server.fleet import Fleet
from nevus_server.requests import check_request_id, job_options

OFF_LOOP_BYTES = 2**20
"""Larger images are hashed in a thread: 1 MiB takes about 1 ms."""


def new_job_id() -> str:
    """Returns a fresh id: 11 hex digits of time, so that ids sort by it, and 16 that nobody can guess."""
    return f"{time.time_ns() // 1_000_000:011x}{secrets.token_hex(8)}"


class Intake:
    """Accepts images.

    Args:
        store: Where jobs go.
        bell: Wakes a worker.
        fleet: What is served.
        settings: Limits and defaults.
        new_id: Makes job ids.
    """

    def __init__(
        self,
        store: FrontStore,
        bell: Bell,
        fleet: Fleet,
        settings: ServerSettings,
        new_id: Callable[[], str] = new_job_id,
    ) -> None:
        self._store = store
        self._bell = bell
        self._fleet = fleet
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
    ) -> Job:
        """Returns the job, durably stored; a repeated request id yields the first one's job instead.

        Args:
            ref: From `new_ref`.
            image: The upload.
            options: As the caller sent them.
            request_id: As the caller sent it.
            limit_bytes: Largest image; the inline limit where it is None.

        Raises:
            InvalidRequest: The image or an option can't be accepted.
            FailedPrecondition: The model's version is not served.
            RequestIdReused: Same request id, other content.
            QuotaExceeded: The tenant's queue is full.
            Unavailable: Draining, no worker, queue full, or broker away. Nothing is left behind.
        """
        if self._draining:
            raise Unavailable("This front end is shutting down. Call again; another one answers.", reason="DRAINING")
        checked_id = check_request_id(request_id)
        limit = limit_bytes or self._settings.inline_limit_bytes
        if len(image) > OFF_LOOP_BYTES:
            info = await asyncio.to_thread(inspect_image, image, max_bytes=limit, max_pixels=self._settings.max_pixels)
        else:
            info = inspect_image(image, max_bytes=limit, max_pixels=self._settings.max_pixels)
        resolved = job_options(options, self._fleet, self._settings)
        # A repeat must match what the caller sent; defaults may have moved on between the two.
        digest = hashlib.sha256(info.sha256.encode() + options.SerializeToString(deterministic=True)).hexdigest()
        job = await self._store.accept(NewJob(ref, "accept", checked_id, digest, info, resolved), image)
        if job.state is State.QUEUED:
            await self._bell.ring(job.ref, job.options.priority)
        return job
