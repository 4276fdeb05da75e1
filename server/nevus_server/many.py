"""AnalyzeMany: many images over one stream, each followed by a task of its own, within a window.

The window is what bounds memory: no further message is taken from the stream while it is full, and HTTP/2 flow control
then holds the sender. A slow reader of the answers fills the outbox, which holds the tasks, which keep the window full.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from nevus.v1 import analysis_service_pb2 as pb
from nevus_core.errors import InternalError, InvalidRequest, NevusError, QuotaExceeded, Unavailable, Violation
from nevus_core.logs import get_logger
from nevus_core.records import Job
from nevus_server.convert import event_message
from nevus_server.events import Subscription
from nevus_server.intake import FULL, Intake, new_job_id
from nevus_server.status import status_of
from nevus_server.watching import Watching

log = get_logger("many")

MAX_KEY_LENGTH = 128


class ManyStream:
    """One call of AnalyzeMany.

    Args:
        intake: Accepts images.
        watching: Follows jobs.
        tenant: Whose call it is.
        window: Unfinished images at a time.
    """

    def __init__(self, intake: Intake, watching: Watching, tenant: str, window: int) -> None:
        self._intake = intake
        self._watching = watching
        self._tenant = tenant
        self._places = asyncio.Semaphore(window)
        self._room = asyncio.Semaphore(window)
        self._outbox: asyncio.Queue[pb.AnalyzeManyResponse | None] = asyncio.Queue()
        self._keys: set[str] = set()

    async def run(self, requests: AsyncIterator[pb.AnalyzeManyRequest]) -> AsyncIterator[pb.AnalyzeManyResponse]:
        """Yields what happens to every image, and ends when all have their outcome.

        Raises:
            Unavailable: The broker went away or this front end drains; repeat with the same request ids.
        """
        feeding = asyncio.create_task(self._feed(requests))
        feeding.add_done_callback(lambda _: self._outbox.put_nowait(None))
        try:
            while (response := await self._outbox.get()) is not None:
                yield response
                self._room.release()
            await feeding
        finally:
            feeding.cancel()
            await asyncio.wait({feeding})

    async def _feed(self, requests: AsyncIterator[pb.AnalyzeManyRequest]) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._places.acquire()
                async for request in requests:
                    tasks.create_task(self._one(request.key, request))
                    await self._places.acquire()
        except ExceptionGroup as group:
            # The first of them speaks for all: each is the end of the whole stream.
            raise group.exceptions[0] from None

    async def _one(self, key: str, request: pb.AnalyzeManyRequest) -> None:
        try:
            self._check_key(key)
            ref, final_only = self._intake.new_ref(self._tenant), request.final_only
            with self._watching.subscribe(ref, final_only=final_only) as mailbox:
                job = await self._accept(ref, request)
                del request  # the broker has the image; this window need not
                await self._tell(key, final_only, job, mailbox if job.ref == ref else None)
        except Unavailable:
            raise  # not this image's fault: the whole stream ends, the caller resumes
        except NevusError as error:
            await self._say(key, error)
        except Exception:  # one image must not end the others
            fault = InternalError(new_job_id())
            log.exception("internal_error", error_id=fault.metadata["error_id"])
            await self._say(key, fault)
        finally:
            self._places.release()

    async def _accept(self, ref: str, request: pb.AnalyzeManyRequest) -> Job:
        """Accepts one image; a full queue holds the stream instead of refusing the image."""
        while True:
            try:
                return await self._intake.accept(
                    ref, request.image, request.options, request.request_id, outcome_only=request.final_only
                )
            except (Unavailable, QuotaExceeded) as error:
                if error.reason not in FULL:
                    raise
                await asyncio.sleep(error.retry_after_s / 4)

    async def _tell(self, key: str, final_only: bool, job: Job, mailbox: Subscription | None) -> None:
        """Tells every move of a job, or the final one; without a mailbox it is that of an earlier request."""
        async for move in self._watching.moves(job, mailbox, final_only=final_only):
            await self._put(pb.AnalyzeManyResponse(key=key, event=event_message(job.id, move)))

    async def _say(self, key: str, error: NevusError) -> None:
        await self._put(pb.AnalyzeManyResponse(key=key, error=status_of(error)))

    async def _put(self, response: pb.AnalyzeManyResponse) -> None:
        await self._room.acquire()
        self._outbox.put_nowait(response)

    def _check_key(self, key: str) -> None:
        if not 1 <= len(key) <= MAX_KEY_LENGTH:
            raise InvalidRequest([Violation("key", "INVALID_KEY", f"must have 1 to {MAX_KEY_LENGTH} characters.")])
        if key in self._keys:
            raise InvalidRequest([Violation("key", "DUPLICATE_KEY", "was used before in this stream.")])
        self._keys.add(key)
