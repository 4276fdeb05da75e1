"""`AsyncClient`: everything a nevus server does, for asyncio. The same methods, arguments and errors as `nevus.Client`.

    async with nevus.AsyncClient() as client:
        async for event in client.stream("lesion.jpg"):
            print(event.state, event.stage, event.regions)

What differs: calls are awaited, iterators are async, and `analyze_many` takes async iterables of images as well.
Cancelling a task that waits here ends the call; it does not cancel the job.

NOT FOR CLINICAL USE.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc

from nevus import _convert, _requests
from nevus._channel import NOT_READY_CODES, SERVING
from nevus._connection_async import AsyncConnection
from nevus._follow import Deadline, Follow
from nevus._many_async import AsyncManyRun
from nevus._requests import Image
from nevus._retry import RetryPolicy
from nevus.errors import NevusError, ServerFault
from nevus.jobs import ArtifactKind, DeleteReceipt, Event, Job, JobState, Options
from nevus.models import ModelCard
from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1 import model_service_pb2

K = TypeVar("K")


class AsyncClient:
    """A connection to a nevus server, made inside the event loop that uses it. Close it, or use it with `async with`.

    Args:
        target: `HOST:PORT`, or any gRPC target. Default: NEVUS_TARGET, else 127.0.0.1:50051.
        credentials: For TLS, from `grpc.ssl_channel_credentials`. Default: no TLS.
        metadata: Sent with every call, for example an authorization header; keys in lower case.
        retry_for_s: How long failed calls that are safe to repeat are repeated, in seconds. 0: never.
        call_timeout_s: How long one unary call may take before it fails, in seconds; sending large images is given
            more.
        retry_policy: Everything about retries, in place of `retry_for_s`.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Sequence[tuple[str, str | bytes]] = (),
        retry_for_s: float = 30.0,
        call_timeout_s: float = 30.0,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        self._connection = AsyncConnection(
            target, credentials, metadata, retry_policy or RetryPolicy(retry_for_s=retry_for_s), call_timeout_s
        )

    @property
    def target(self) -> str:
        """The address that the client talks to."""
        return self._connection.target

    async def close(self) -> None:
        """Closes the connection. Calls under way fail; accepted jobs go on."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Images in

    async def submit(self, image: Image, *, request_id: str | None = None, **options: Unpack[Options]) -> Job:
        """Returns the job that was made for an image, in QUEUED and durably stored. As `Client.submit`.

        Raises:
            NevusError: UnreadableImage, InvalidRequest, RequestIdReused, FailedPrecondition, QuotaExceeded,
                Unavailable.
        """
        if _requests.is_large(image):
            return await self.upload(image, request_id=request_id, **options)
        request = pb.SubmitJobRequest(
            image=_requests.read_image(image),
            options=_requests.analysis_options(**options),
            request_id=request_id or _requests.new_request_id(),
        )
        answer = await self._connection.unary("SubmitJob", request, sends_bytes=len(request.image))
        return _convert.job(answer.job)

    async def upload(self, image: Image, *, request_id: str | None = None, **options: Unpack[Options]) -> Job:
        """Returns the job that was made for an image sent in chunks. As `Client.upload`.

        Raises:
            NevusError: As `submit`.
        """
        message = _requests.analysis_options(**options)
        answer = await self._connection.upload(image, message, request_id or _requests.new_request_id())
        return _convert.job(answer.job)

    async def analyze(
        self, image: Image, *, request_id: str | None = None, timeout_s: float | None = None, **options: Unpack[Options]
    ) -> Job:
        """Returns an image's job with its outcome, which may be FAILED. As `Client.analyze`.

        Raises:
            DeadlineExceeded: `timeout_s` has passed; the job goes on.
            NevusError: As `submit`.

        Example:
            >>> job = (await client.analyze("lesion.jpg")).raise_for_state()  # doctest: +SKIP
        """
        deadline = Deadline(timeout_s)
        event = None
        async for event in self._follow(image, request_id, deadline, options, final_only=True):
            if event.final and event.snapshot is not None:
                return event.snapshot
        if event is None:
            raise ServerFault(f"{self.target} accepted the image but told of no job.", code="INTERNAL")
        return await self.wait(event.job, timeout_s=deadline.remaining_s())

    def stream(
        self, image: Image, *, request_id: str | None = None, timeout_s: float | None = None, **options: Unpack[Options]
    ) -> AsyncIterator[Event]:
        """Returns an async iterator over the events of an image's job, regions before the class. As `Client.stream`.

        Raises:
            NevusError: As `submit`; those of the connection come while iterating.
        """
        return self._follow(image, request_id, Deadline(timeout_s), options)

    def _follow(
        self, image: Image, request_id: str | None, deadline: Deadline, options: Options, *, final_only: bool = False
    ) -> AsyncIterator[Event]:
        """Returns an iterator over the events of an image's job, or over the final one alone."""
        message = _requests.analysis_options(**options)
        request_id = request_id or _requests.new_request_id()
        if _requests.is_large(image):
            return self._connection.follow_upload(image, message, request_id, deadline)
        data = _requests.read_image(image)
        request = pb.AnalyzeRequest(image=data, options=message, request_id=request_id, final_only=final_only)
        return self._connection.events(
            Follow(), deadline, lambda: self._connection.open("Analyze", request, deadline.remaining_s())
        )

    def analyze_many(
        self,
        items: Iterable[tuple[K, Image]] | AsyncIterable[tuple[K, Image]],
        *,
        in_flight: int = 32,
        final_only: bool = False,
        timeout_s: float | None = None,
        **options: Unpack[Options],
    ) -> AsyncIterator[tuple[K, Event | NevusError]]:
        """Returns an async iterator over the events of many images, each with its key. As `Client.analyze_many`.

        Args:
            items: Keys and images (bytes or paths), from an iterable of either kind; taken and read as there is room.
            in_flight: Most images on the way at a time.
            final_only: Yield each image's outcome alone: one message an image instead of one a move.
            timeout_s: Limit for the whole, in seconds. Default: none.
            **options: For every image; see `nevus.Options`.

        Raises:
            NevusError: While iterating: the stream failed for good. Accepted images go on.
        """
        deadline = Deadline(timeout_s)
        message = _requests.analysis_options(**options)
        run = AsyncManyRun(
            items,
            options=message,
            in_flight=in_flight,
            final_only=final_only,
            policy=self._connection.policy,
            open_stream=lambda: self._connection.open("AnalyzeMany", None, deadline.remaining_s()),
            follow_large=lambda image, request_id: self._connection.follow_upload(image, message, request_id, deadline),
            to_error=self._connection.error,
        )
        return run.events()

    # Jobs

    async def get(self, name: str) -> Job:
        """Returns a job as it stands. As `Client.get`.

        Raises:
            NotFound: There is no such job, or it is another tenant's.
        """
        answer = await self._connection.unary("GetJob", pb.GetJobRequest(name=_requests.job_name(name)))
        return _convert.job(answer.job)

    async def wait(self, name: str, timeout_s: float | None = None) -> Job:
        """Returns a job once it has its outcome, or as it stands after `timeout_s` seconds. As `Client.wait`.

        Raises:
            NotFound: There is no such job, or it was purged meanwhile.
        """
        deadline = Deadline(timeout_s)
        while True:
            request = _requests.wait_request(name, deadline.remaining_s())
            answer = await self._connection.unary("WaitJob", request, waits_s=_requests.WAIT_POLL_S)
            job = _convert.job(answer.job)
            if job.final or deadline.passed():
                return job

    def watch(self, name: str, after_revision: int = 0) -> AsyncIterator[Event]:
        """Returns an async iterator over a job's events after a revision, to the outcome. As `Client.watch`.

        Raises:
            NotFound: While iterating: there is no such job.
        """
        return self._connection.events(Follow(_requests.job_name(name), after_revision), Deadline(None))

    def list(
        self,
        *,
        states: Sequence[JobState | str] = (),
        labels: Mapping[str, str] | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        page_size: int = 0,
    ) -> AsyncIterator[Job]:
        """Returns an async iterator over the caller's jobs, newest first, without regions and results.

        Arguments as `Client.list`.

        Raises:
            InvalidRequest: A filter is wrong.
        """
        return self._pages(_requests.list_request(states, labels, created_from, created_before, page_size))

    async def _pages(self, request: pb.ListJobsRequest) -> AsyncIterator[Job]:
        while True:
            page = await self._connection.unary("ListJobs", request)
            for job in page.jobs:
                yield _convert.job(job, full=False)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def cancel(self, name: str) -> Job:
        """Returns a job after asking for its end: CANCELLED if it had not started, else CANCELLING.

        Raises:
            FailedPrecondition: It has its outcome already (JOB_FINISHED).
            NotFound: There is no such job.
        """
        request = pb.CancelJobRequest(name=_requests.job_name(name), request_id=_requests.new_request_id())
        return _convert.job((await self._connection.unary("CancelJob", request)).job)

    async def resubmit(self, name: str) -> Job:
        """Returns a new job for the image of a dead letter, with the same options.

        A dead letter is a job that FAILED or EXPIRED through no fault of its image; the server keeps the image a while.

        Raises:
            FailedPrecondition: It is no dead letter, or its image is gone (NO_DEAD_LETTER).
            NotFound: There is no such job.
        """
        request = pb.ResubmitJobRequest(name=_requests.job_name(name), request_id=_requests.new_request_id())
        return _convert.job((await self._connection.unary("ResubmitJob", request)).job)

    async def delete(self, name: str) -> DeleteReceipt:
        """Purges image, pictures, result and record of a job at once, and returns the receipt.

        Raises:
            NotFound: There is no such job.
        """
        request = pb.DeleteJobRequest(name=_requests.job_name(name), request_id=_requests.new_request_id())
        return _convert.receipt(await self._connection.unary("DeleteJob", request))

    async def artifact(self, name: str, kind: ArtifactKind | str) -> bytes:
        """Returns one of a job's pictures as the bytes of a PNG file, checked. As `Client.artifact`.

        Raises:
            NotFound: No such job, or the picture was not asked for, is not ready, or was purged.
            DamagedDownload: What came does not match its digest.
        """
        request = pb.GetArtifactRequest(name=_requests.job_name(name), kind=_requests.artifact_number(kind))
        return await self._connection.download(request)

    # Server

    async def models(self) -> tuple[ModelCard, ...]:
        """Returns the cards of all models that live, warmed workers hold: by name, newest version first."""
        answer = await self._connection.unary("ListModels", model_service_pb2.ListModelsRequest())
        return tuple(map(_convert.model_card, answer.models))

    async def model(self, name: str) -> ModelCard:
        """Returns one model's card, by `NAME`, `NAME@VERSION` or resource name.

        Raises:
            NotFound: It is not served now.
        """
        request = model_service_pb2.GetModelRequest(name=_requests.model_name(name))
        return _convert.model_card((await self._connection.unary("GetModel", request)).model)

    async def ready(self, service: str = "", timeout_s: float = 5.0) -> bool:
        """Returns whether the server says that it can work: "" for all of it, `model/{name}` for one model.

        Asks once, without retries, and waits `timeout_s` seconds.

        Raises:
            Denied: The server does not let the caller ask.
        """
        try:
            return await self._connection.health(service, timeout_s) == SERVING
        except NevusError as error:
            if error.code in NOT_READY_CODES:
                return False
            raise
