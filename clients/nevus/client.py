"""`Client`: everything a nevus server does, as blocking calls.

    with nevus.Client() as client:
        job = client.analyze("lesion.jpg").raise_for_state()
        print(job.result.classification.label, [region.box for region in job.result.regions])

Calls return the frozen records of `nevus.jobs`, `nevus.results` and `nevus.models` and raise the tree of
`nevus.errors`. Requests are built in `nevus._requests`, answers read in `nevus._convert`, retries decided in
`nevus._retry`; `nevus.aio` is the same for asyncio.

NOT FOR CLINICAL USE.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc

from nevus import _convert, _requests
from nevus._channel import NOT_READY_CODES, SERVING
from nevus._connection import Connection
from nevus._follow import Deadline, Follow
from nevus._many import ManyRun
from nevus._requests import Image
from nevus._retry import RetryPolicy
from nevus.errors import NevusError, ServerFault
from nevus.jobs import ArtifactKind, DeleteReceipt, Event, Job, JobState, Options
from nevus.models import ModelCard
from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1 import model_service_pb2

K = TypeVar("K")


class Client:
    """A connection to a nevus server. Thread-safe; connects on the first call; close it, or use it with `with`.

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
        self._connection = Connection(
            target, credentials, metadata, retry_policy or RetryPolicy(retry_for_s=retry_for_s), call_timeout_s
        )

    @property
    def target(self) -> str:
        """The address that the client talks to."""
        return self._connection.target

    def close(self) -> None:
        """Closes the connection. Calls under way fail; accepted jobs go on."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Images in

    def submit(self, image: Image, *, request_id: str | None = None, **options: Unpack[Options]) -> Job:
        """Returns the job that was made for an image, in QUEUED and durably stored. Does not wait for its outcome.

        Args:
            image: The file's bytes, or its path. Above 16 MiB it is uploaded in chunks.
            request_id: A UUID4 that names this image across restarts of the caller. Default: a fresh one.
            **options: See `nevus.Options`.

        Raises:
            UnreadableImage: The file can't be read; nothing was sent.
            InvalidRequest: The image or an option is refused.
            RequestIdReused, FailedPrecondition, QuotaExceeded, Unavailable: See `nevus.errors`.

        Example:
            >>> job = client.submit("lesion.jpg", model="notebook-cnn", labels={"study": "a1"})  # doctest: +SKIP
            >>> client.wait(job.name).state  # doctest: +SKIP
            <JobState.SUCCEEDED: 'SUCCEEDED'>
        """
        if _requests.is_large(image):
            return self.upload(image, request_id=request_id, **options)
        request = pb.SubmitJobRequest(
            image=_requests.read_image(image),
            options=_requests.analysis_options(**options),
            request_id=request_id or _requests.new_request_id(),
        )
        answer = self._connection.unary("SubmitJob", request, sends_bytes=len(request.image))
        return _convert.job(answer.job)

    def upload(self, image: Image, *, request_id: str | None = None, **options: Unpack[Options]) -> Job:
        """Returns the job that was made for an image sent in chunks: for images above the inline limit of 16 MiB.

        A file is read as it is sent. Arguments and errors as `submit`, which calls this by itself where needed.
        """
        message = _requests.analysis_options(**options)
        return _convert.job(self._connection.upload(image, message, request_id or _requests.new_request_id()).job)

    def analyze(
        self, image: Image, *, request_id: str | None = None, timeout_s: float | None = None, **options: Unpack[Options]
    ) -> Job:
        """Returns an image's job with its outcome, which may be FAILED: see `Job.raise_for_state`.

        Args:
            image: The file's bytes, or its path.
            request_id: As in `submit`.
            timeout_s: Limit for the whole, in seconds; the job goes on beyond it. Default: none.
            **options: See `nevus.Options`.

        Raises:
            DeadlineExceeded: `timeout_s` has passed.
            NevusError: As `submit`.

        Example:
            >>> job = client.analyze("lesion.jpg", artifacts=["overlay"]).raise_for_state()  # doctest: +SKIP
            >>> job.result.classification.probability  # doctest: +SKIP
            0.118
        """
        deadline = Deadline(timeout_s)
        event = None
        for event in self._follow(image, request_id, deadline, options, final_only=True):
            if event.final and event.snapshot is not None:
                return event.snapshot
        if event is None:
            raise ServerFault(f"{self.target} accepted the image but told of no job.", code="INTERNAL")
        return self.wait(event.job, timeout_s=deadline.remaining_s())

    def stream(
        self, image: Image, *, request_id: str | None = None, timeout_s: float | None = None, **options: Unpack[Options]
    ) -> Iterator[Event]:
        """Returns an iterator over the events of an image's job, from acceptance to outcome, regions before the class.

        A broken stream is taken up again without loss or repetition. Arguments and errors as `analyze`; those of the
        connection come while iterating. Leaving the loop early does not cancel the job.
        """
        return self._follow(image, request_id, Deadline(timeout_s), options)

    def _follow(
        self, image: Image, request_id: str | None, deadline: Deadline, options: Options, *, final_only: bool = False
    ) -> Iterator[Event]:
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
        items: Iterable[tuple[K, Image]],
        *,
        in_flight: int = 32,
        final_only: bool = False,
        timeout_s: float | None = None,
        **options: Unpack[Options],
    ) -> Iterator[tuple[K, Event | NevusError]]:
        """Returns an iterator over the events of many images, each with the caller's key, as they come.

        An image's last entry is its outcome: an event with `final`, or the NevusError for which it was not accepted. A
        refused or unreadable image does not end the others. A broken stream is opened again, and what has no outcome
        yet is sent again under the same request ids: no image comes out twice.

        Args:
            items: Keys and images (bytes or paths). Taken and read as there is room: any number will do. Keys stay
                here. Images above 16 MiB are uploaded between the others, one at a time.
            in_flight: Most images on the way at a time.
            final_only: Yield each image's outcome alone: one message an image instead of one a move.
            timeout_s: Limit for the whole, in seconds. Default: none.
            **options: For every image; see `nevus.Options`.

        Raises:
            NevusError: While iterating: the stream failed for good. Accepted images go on.

        Example:
            >>> for path, update in client.analyze_many((p, p) for p in folder.glob("*.jpg")):  # doctest: +SKIP
            ...     if isinstance(update, nevus.NevusError):
            ...         print(path, update)
            ...     elif update.final:
            ...         print(path, update.snapshot.state)
        """
        deadline = Deadline(timeout_s)
        message = _requests.analysis_options(**options)
        run = ManyRun(
            items,
            options=message,
            in_flight=in_flight,
            final_only=final_only,
            policy=self._connection.policy,
            open_stream=lambda requests: self._connection.open("AnalyzeMany", requests, deadline.remaining_s()),
            follow_large=lambda image, request_id: self._connection.follow_upload(image, message, request_id, deadline),
            to_error=self._connection.error,
        )
        return run.events()

    # Jobs

    def get(self, name: str) -> Job:
        """Returns a job as it stands.

        Args:
            name: `jobs/{job}`, or the id alone.

        Raises:
            NotFound: There is no such job, or it is another tenant's.
        """
        answer = self._connection.unary("GetJob", pb.GetJobRequest(name=_requests.job_name(name)))
        return _convert.job(answer.job)

    def wait(self, name: str, timeout_s: float | None = None) -> Job:
        """Returns a job once it has its outcome, or as it stands after `timeout_s`: look at `Job.final`.

        Args:
            name: `jobs/{job}`, or the id alone.
            timeout_s: In seconds. Default: as long as it takes.

        Raises:
            NotFound: There is no such job, or it was purged meanwhile.
        """
        deadline = Deadline(timeout_s)
        while True:
            request = _requests.wait_request(name, deadline.remaining_s())
            job = _convert.job(self._connection.unary("WaitJob", request, waits_s=_requests.WAIT_POLL_S).job)
            if job.final or deadline.passed():
                return job

    def watch(self, name: str, after_revision: int = 0) -> Iterator[Event]:
        """Returns an iterator over a job's events after a revision, the past ones and the coming ones, to the outcome.

        A broken stream is taken up again by itself; no event is missed or repeated.

        Args:
            name: `jobs/{job}`, or the id alone.
            after_revision: The last one that the caller knows; 0 for all.

        Raises:
            NotFound: There is no such job.
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
    ) -> Iterator[Job]:
        """Returns an iterator over the caller's jobs, newest first, without regions and results. Pages come by need.

        Args:
            states: Only jobs in one of these. Default: all.
            labels: Only jobs that carry all of these.
            created_from: Only jobs accepted then or later; timezone-aware, or UTC is assumed.
            created_before: Only jobs accepted before.
            page_size: Jobs a call; 0: the server's default.

        Raises:
            InvalidRequest: A filter is wrong.
        """
        request = _requests.list_request(states, labels, created_from, created_before, page_size)
        return self._pages(request)

    def _pages(self, request: pb.ListJobsRequest) -> Iterator[Job]:
        while True:
            page = self._connection.unary("ListJobs", request)
            yield from (_convert.job(job, full=False) for job in page.jobs)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def cancel(self, name: str) -> Job:
        """Returns a job after asking for its end: CANCELLED if it had not started, else CANCELLING.

        Raises:
            FailedPrecondition: It has its outcome already (JOB_FINISHED).
            NotFound: There is no such job.
        """
        request = pb.CancelJobRequest(name=_requests.job_name(name), request_id=_requests.new_request_id())
        return _convert.job(self._connection.unary("CancelJob", request).job)

    def resubmit(self, name: str) -> Job:
        """Returns a new job for the image of a dead letter, with the same options.

        A dead letter is a job that FAILED or EXPIRED through no fault of its image; the server keeps the image a while.

        Raises:
            FailedPrecondition: It is no dead letter, or its image is gone (NO_DEAD_LETTER).
            NotFound: There is no such job.
        """
        request = pb.ResubmitJobRequest(name=_requests.job_name(name), request_id=_requests.new_request_id())
        return _convert.job(self._connection.unary("ResubmitJob", request).job)

    def delete(self, name: str) -> DeleteReceipt:
        """Purges image, pictures, result and record of a job at once, and returns the receipt.

        Raises:
            NotFound: There is no such job.
        """
        request = pb.DeleteJobRequest(name=_requests.job_name(name), request_id=_requests.new_request_id())
        return _convert.receipt(self._connection.unary("DeleteJob", request))

    def artifact(self, name: str, kind: ArtifactKind | str) -> bytes:
        """Returns one of a job's pictures as the bytes of a PNG file, checked against the announced SHA-256.

        Args:
            name: `jobs/{job}`, or the id alone.
            kind: "overlay", "mask" or "heat_map"; must have been asked for with the image (`artifacts`).

        Raises:
            NotFound: No such job, or the picture was not asked for, is not ready, or was purged.
            DamagedDownload: What came does not match its digest.
        """
        request = pb.GetArtifactRequest(name=_requests.job_name(name), kind=_requests.artifact_number(kind))
        return self._connection.download(request)

    # Server

    def models(self) -> tuple[ModelCard, ...]:
        """Returns the cards of all models that live, warmed workers hold: by name, newest version first."""
        answer = self._connection.unary("ListModels", model_service_pb2.ListModelsRequest())
        return tuple(map(_convert.model_card, answer.models))

    def model(self, name: str) -> ModelCard:
        """Returns one model's card.

        Args:
            name: `NAME`, `NAME@VERSION`, or the resource name `models/{model}/versions/{version}`.

        Raises:
            NotFound: It is not served now.
        """
        request = model_service_pb2.GetModelRequest(name=_requests.model_name(name))
        return _convert.model_card(self._connection.unary("GetModel", request).model)

    def ready(self, service: str = "", timeout_s: float = 5.0) -> bool:
        """Returns whether the server says that it can work (grpc.health.v1). Asks once, without retries.

        Args:
            service: "" for the server as a whole, `model/{name}` for one model.
            timeout_s: For the answer, in seconds.

        Raises:
            Denied: The server does not let the caller ask.
        """
        try:
            return self._connection.health(service, timeout_s) == SERVING
        except NevusError as error:
            if error.code in NOT_READY_CODES:
                return False
            raise
