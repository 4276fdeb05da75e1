"""AnalysisService: each RPC reads its request, asks one noun to do it, and converts the answer."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1 import job_pb2
from nevus.v1.analysis_service_pb2_grpc import AnalysisServiceServicer
from nevus_core.errors import DeadlineExceeded, FailedPrecondition, InvalidRequest, NotFound, Unavailable, Violation
from nevus_core.front_store import FrontStore
from nevus_core.records import Job, job_name
from nevus_core.settings import ServerSettings
from nevus_core.states import State
from nevus_server.convert import STATES, event_message, job_message, timestamp
from nevus_server.identity import current_caller
from nevus_server.intake import Intake
from nevus_server.listing import Filter, list_jobs
from nevus_server.many import ManyStream
from nevus_server.requests import artifact_kind_of, check_labels, check_request_id, job_id_of
from nevus_server.upload import receive
from nevus_server.watching import Watching, job_not_found, within

CHUNK_BYTES = 256 * 1024
ANSWER_MARGIN_S = 0.25
"""The server answers this long before the caller's deadline, so that the answer arrives and not gRPC's own error."""

_STATE_OF = {number: state for state, number in STATES.items()}


class AnalysisServicer(AnalysisServiceServicer):
    """The contract's main service."""

    def __init__(self, store: FrontStore, intake: Intake, watching: Watching, settings: ServerSettings) -> None:
        self._store = store
        self._intake = intake
        self._watching = watching
        self._settings = settings

    async def SubmitJob(self, request: pb.SubmitJobRequest, context: Any) -> pb.SubmitJobResponse:  # noqa: ARG002
        """Accepts one image."""
        ref = self._intake.new_ref(_tenant())
        job = await self._intake.accept(ref, request.image, request.options, request.request_id)
        return pb.SubmitJobResponse(job=job_message(job))

    async def UploadJob(
        self,
        request_iterator: AsyncIterator[pb.UploadJobRequest],
        context: Any,  # noqa: ARG002
    ) -> pb.UploadJobResponse:
        """Accepts one image in chunks."""
        limit = self._settings.upload_limit_bytes
        with self._intake.budget.share() as share:
            upload = await receive(request_iterator, limit, share)
            ref = self._intake.new_ref(_tenant())
            header = upload.header
            job = await self._intake.accept(ref, upload.image, header.options, header.request_id, limit_bytes=limit)
            return pb.UploadJobResponse(job=job_message(job))

    async def ResubmitJob(self, request: pb.ResubmitJobRequest, context: Any) -> pb.ResubmitJobResponse:  # noqa: ARG002
        """Makes a new job of a dead letter."""
        letter = await self._watching.read(_ref(request.name))
        return pb.ResubmitJobResponse(job=job_message(await self._intake.resubmit(letter, request.request_id)))

    async def GetJob(self, request: pb.GetJobRequest, context: Any) -> pb.GetJobResponse:  # noqa: ARG002
        """Returns a job as it stands."""
        job = await self._watching.read(_ref(request.name))
        return pb.GetJobResponse(job=job_message(job, full=request.view != job_pb2.JOB_VIEW_BASIC))

    async def WaitJob(self, request: pb.WaitJobRequest, context: Any) -> pb.WaitJobResponse:
        """Returns a job once it has moved on, or as it stands when the time is up."""
        ref = _ref(request.name)
        after = _revision(request.after_revision) if request.HasField("after_revision") else None
        limit_s = min(self._settings.wait_cap_s, _time_left_s(context))
        if request.HasField("timeout"):
            limit_s = min(limit_s, _timeout_s(request))
        job = await self._watching.wait(ref, after, max(limit_s, 0))
        return pb.WaitJobResponse(job=job_message(job, full=request.view != job_pb2.JOB_VIEW_BASIC))

    async def WatchJob(self, request: pb.WatchJobRequest, context: Any) -> AsyncIterator[pb.WatchJobResponse]:  # noqa: ARG002
        """Streams every move of a job."""
        ref = _ref(request.name)
        job_id = ref.partition("/")[2]
        moves = self._watching.follow(ref, _revision(request.after_revision))
        try:
            async for move in within(moves, self._settings.deadline_cap_s):
                yield pb.WatchJobResponse(event=event_message(job_id, move))
        except TimeoutError as error:
            raise _stream_limit(self._settings.deadline_cap_s) from error

    async def Analyze(self, request: pb.AnalyzeRequest, context: Any) -> AsyncIterator[pb.AnalyzeResponse]:
        """Accepts one image and streams every move of its job, or the final one."""
        ref = self._intake.new_ref(_tenant())
        with self._watching.subscribe(ref, final_only=request.final_only) as mailbox:
            job = await self._intake.accept(
                ref, request.image, request.options, request.request_id, outcome_only=request.final_only
            )
            moves = self._watching.moves(job, mailbox if job.ref == ref else None, final_only=request.final_only)
            time_left_s = _time_left_s(context)
            try:
                async for move in within(moves, min(time_left_s, self._settings.deadline_cap_s)):
                    yield pb.AnalyzeResponse(event=event_message(job.id, move))
            except TimeoutError as error:
                if time_left_s < self._settings.deadline_cap_s:
                    raise DeadlineExceeded(job.name) from error
                raise _stream_limit(self._settings.deadline_cap_s) from error

    async def AnalyzeMany(
        self,
        request_iterator: AsyncIterator[pb.AnalyzeManyRequest],
        context: Any,  # noqa: ARG002
    ) -> AsyncIterator[pb.AnalyzeManyResponse]:
        """Accepts many images and streams what happens to each."""
        stream = ManyStream(self._intake, self._watching, _tenant(), self._settings.many_window)
        async for response in stream.run(request_iterator):
            yield response

    async def ListJobs(self, request: pb.ListJobsRequest, context: Any) -> pb.ListJobsResponse:  # noqa: ARG002
        """Returns a page of the caller's jobs."""
        if request.page_size < 0:
            raise InvalidRequest([Violation("page_size", "NEGATIVE_PAGE_SIZE", "must not be negative.")])
        size = min(request.page_size or self._settings.page_size, self._settings.page_size_max)
        page = await list_jobs(self._store, _tenant(), _filter(request), size, request.page_token)
        full = request.view == job_pb2.JOB_VIEW_FULL
        jobs = [job_message(job, full=full) for job in page.jobs]
        return pb.ListJobsResponse(jobs=jobs, next_page_token=page.next_token)

    async def CancelJob(self, request: pb.CancelJobRequest, context: Any) -> pb.CancelJobResponse:  # noqa: ARG002
        """Cancels a job."""
        ref = _ref(request.name)
        check_request_id(request.request_id)
        if await self._store.cancel(ref) == "FINISHED":
            job = await self._watching.read(ref)
            raise FailedPrecondition(
                job.name,
                f"{job.name} has already {job.state.lower()}; there is nothing to cancel.",
                reason="JOB_FINISHED",
            )
        return pb.CancelJobResponse(job=job_message(await self._watching.read(ref)))

    async def DeleteJob(self, request: pb.DeleteJobRequest, context: Any) -> pb.DeleteJobResponse:  # noqa: ARG002
        """Purges a job and returns the receipt."""
        ref = _ref(request.name)
        receipt = await self._store.delete(ref, check_request_id(request.request_id))
        if receipt is None:
            raise job_not_found(ref.partition("/")[2])
        return pb.DeleteJobResponse(
            name=job_name(receipt.ref.partition("/")[2]),
            image_sha256=receipt.sha256,
            purge_time=timestamp(receipt.at_ms),
            purged_objects=receipt.objects,
        )

    async def GetArtifact(self, request: pb.GetArtifactRequest, context: Any) -> AsyncIterator[pb.GetArtifactResponse]:  # noqa: ARG002
        """Streams one of a job's pictures."""
        ref, kind = _ref(request.name), artifact_kind_of(request.kind)
        job = await self._watching.read(ref)
        png = await self._store.artifact(job, kind)
        if png is None:
            raise _artifact_not_found(job, kind)
        first: dict[str, Any] = {
            "media_type": "image/png",
            "size_bytes": len(png),
            "sha256": hashlib.sha256(png).hexdigest(),
        }
        for begin in range(0, len(png), CHUNK_BYTES):
            yield pb.GetArtifactResponse(chunk=png[begin : begin + CHUNK_BYTES], **first)
            first = {}


def _tenant() -> str:
    return current_caller.get().tenant


def _ref(name: str) -> str:
    return f"{_tenant()}/{job_id_of(name)}"


def _revision(revision: int) -> int:
    if revision < 0:
        raise InvalidRequest([Violation("after_revision", "NEGATIVE_REVISION", "must not be negative.")])
    return revision


def _timeout_s(request: pb.WaitJobRequest) -> float:
    timeout_s = request.timeout.seconds + request.timeout.nanos / 1e9
    if timeout_s < 0:
        raise InvalidRequest([Violation("timeout", "INVALID_DURATION", "must not be negative.")])
    return timeout_s


def _time_left_s(context: Any) -> float:
    """Returns the time until the server should answer; without a deadline it is centuries."""
    left = context.time_remaining()
    return float("inf") if left is None else max(left - ANSWER_MARGIN_S, 0.0)


def _filter(request: pb.ListJobsRequest) -> Filter:
    check_labels(request.labels)
    if unknown := [number for number in request.states if number not in _STATE_OF]:
        raise InvalidRequest([Violation("states", "UNKNOWN_STATE", f"{unknown[0]} is not a state to filter by.")])
    wanted = Filter(states=tuple(dict.fromkeys(_STATE_OF[number] for number in request.states)))
    return Filter(
        states=tuple(sorted(wanted.states, key=list(State).index)),
        from_ms=_milliseconds(request, "create_time_from", wanted.from_ms),
        before_ms=_milliseconds(request, "create_time_before", wanted.before_ms),
        labels=dict(request.labels),
    )


def _milliseconds(request: pb.ListJobsRequest, field: Any, default: int) -> int:
    if not request.HasField(field):
        return default
    try:
        return int(getattr(request, field).ToMilliseconds())
    except ValueError as error:
        raise InvalidRequest([Violation(field, "INVALID_TIMESTAMP", "is not a valid Timestamp.")]) from error


def _stream_limit(limit_s: float) -> Unavailable:
    return Unavailable(
        f"The stream reached the server's limit of {limit_s:g} s. Call again with the last revision seen.",
        reason="STREAM_LIMIT",
    )


def _artifact_not_found(job: Job, kind: str) -> NotFound:
    name = f"{job.name}/artifacts/{kind}"
    why = "It was not asked for when the job was submitted" if kind not in job.options.artifacts else "It is not there"
    message = f"{job.name} has no {kind}. {why} (the job is {job.state})."
    return NotFound("nevus/Artifact", name, message, reason="ARTIFACT_NOT_FOUND")
