"""A small nevus server that does what a test tells it: real gRPC on loopback, scripted jobs, cut streams, refusals.

An image's bytes are its script: `ok...` succeeds, `fail...` ends FAILED, `refuse...` is not accepted, `busy...` is
refused with UNAVAILABLE and RetryInfo twice before it is accepted, `hang...` stays QUEUED.
"""

# ruff: noqa: N802 -- the names of the RPCs are the contract's
from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1 import analysis_service_pb2_grpc, job_pb2, model_service_pb2, model_service_pb2_grpc, result_pb2

OVERLAY = b"\x89PNG overlay" * 40_000
RUNNING = (job_pb2.JOB_STAGE_DECODING, job_pb2.JOB_STAGE_SEGMENTING, job_pb2.JOB_STAGE_CLASSIFYING)
FINAL = 2 + len(RUNNING)
"""Revision of a job's last event."""
REGION = result_pb2.Region(
    box=result_pb2.BoundingBox(x=3, y=4, width=50, height=60),
    area_px=1234.5,
    contour=result_pb2.Contour(xy_px=[3, 4, 52, 4, 52, 63]),
)


def status(
    code: grpc.StatusCode, reason: str, message: str, *, retry_after_s: float | None = None, field: str = ""
) -> status_pb2.Status:
    """A google.rpc.Status as a nevus server sends it."""
    details = [error_details_pb2.ErrorInfo(reason=reason, domain="nevus", metadata={"named": "value"})]
    if retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(int(retry_after_s * 1000))
        details.append(retry)
    if field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=message, reason=reason)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    packed = [AnyMessage() for _ in details]
    for slot, detail in zip(packed, details, strict=True):
        slot.Pack(detail)
    return status_pb2.Status(code=code.value[0], message=message, details=packed)


REFUSED = status(grpc.StatusCode.INVALID_ARGUMENT, "CORRUPT_IMAGE", "The image is broken.", field="image")
BUSY = status(grpc.StatusCode.UNAVAILABLE, "QUEUE_FULL", "The queue is full.", retry_after_s=0.05)
DRAINING = status(grpc.StatusCode.UNAVAILABLE, "DRAINING", "This front end is leaving.", retry_after_s=0.0)
MISSING = status(grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND", "There is no such job.")


class FakeServer(analysis_service_pb2_grpc.AnalysisServiceServicer, model_service_pb2_grpc.ModelServiceServicer):
    """The server. A test sets the public attributes before it calls.

    Attributes:
        cuts: For each stream in turn, after how many messages it is cut; None to let it be.
        refusals: For each unary call in turn, what it is refused with, before any is served.
        health: Service name to health status; others are unknown.
        damaged: Whether pictures come with bytes missing.
        tells_all: Whether AnalyzeMany tells every event whatever is asked for, as servers before `final_only` do.
        stall: Whether AnalyzeMany stays open after its last answer.
        accepted: Request id to job name, in order of acceptance.
        arrived: Set with the first acceptance.
        calls: How often each RPC came.
        requests: Every request, in order; uploads as their joined bytes.
    """

    def __init__(self) -> None:
        self.target = ""
        self.cuts: list[int | None] = []
        self.refusals: list[status_pb2.Status] = []
        self.health = {"": 1, "model/notebook-cnn": 1}
        self.models = [model_card()]
        self.page = 2
        self.damaged = False
        self.tells_all = False
        self.stall = False
        self.accepted: dict[str, str] = {}
        self.arrived = threading.Event()
        self.calls: Counter[str] = Counter()
        self.requests: list[Any] = []
        self.jobs: dict[str, list[job_pb2.JobEvent]] = {}
        self._busy: Counter[str] = Counter()

    def accept(self, image: bytes, request_id: str, options: job_pb2.AnalysisOptions) -> str | status_pb2.Status:
        """Job name, the same for the same request id, or why not."""
        if image.startswith(b"refuse"):
            return REFUSED
        if image.startswith(b"busy") and self._busy[request_id] < 2:
            self._busy[request_id] += 1
            return BUSY
        if request_id not in self.accepted:
            name = f"jobs/j{len(self.accepted):04}"
            self.accepted[request_id] = name
            self.jobs[name] = script(name, image, options)
            self.arrived.set()
        return self.accepted[request_id]

    async def call(self, rpc: str, request: Any, context: grpc.aio.ServicerContext) -> None:
        self.calls[rpc] += 1
        self.requests.append(request)
        if self.refusals:
            await abort(context, self.refusals.pop(0))

    async def job(self, name: str, context: grpc.aio.ServicerContext) -> list[job_pb2.JobEvent]:
        if name not in self.jobs:
            await abort(context, MISSING)
        return self.jobs[name]

    async def events(self, name: str, after: int, context: grpc.aio.ServicerContext) -> AsyncIterator[job_pb2.JobEvent]:
        cut = self.cuts.pop(0) if self.cuts else None
        for sent, event in enumerate(event for event in self.jobs[name] if event.revision > after):
            if sent == cut:
                await abort(context, DRAINING)
            yield event
        if self.jobs[name][-1].state == job_pb2.JOB_STATE_QUEUED:
            await asyncio.sleep(60)

    async def SubmitJob(self, request: Any, context: Any) -> Any:
        await self.call("SubmitJob", request, context)
        name = self.accept(request.image, request.request_id, request.options)
        if not isinstance(name, str):
            await abort(context, name)
        return pb.SubmitJobResponse(job=self.jobs[name][0].snapshot)

    async def UploadJob(self, request_iterator: Any, context: Any) -> Any:
        parts = [part async for part in request_iterator]
        image = b"".join(part.chunk for part in parts)
        await self.call("UploadJob", image, context)
        assert parts[-1].trailer.sha256 == hashlib.sha256(image).hexdigest()
        header = parts[0].header
        assert header.size_bytes == len(image)
        name = self.accept(image, header.request_id, header.options)
        return pb.UploadJobResponse(job=self.jobs[name][0].snapshot)

    async def GetJob(self, request: Any, context: Any) -> Any:
        await self.call("GetJob", request, context)
        return pb.GetJobResponse(job=as_it_stands(await self.job(request.name, context)))

    async def WaitJob(self, request: Any, context: Any) -> Any:
        await self.call("WaitJob", request, context)
        return pb.WaitJobResponse(job=as_it_stands(await self.job(request.name, context)))

    async def WatchJob(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await self.call("WatchJob", request, context)
        await self.job(request.name, context)
        async for event in self.events(request.name, request.after_revision, context):
            yield pb.WatchJobResponse(event=event)

    async def Analyze(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await self.call("Analyze", request, context)
        name = self.accept(request.image, request.request_id, request.options)
        if not isinstance(name, str):
            await abort(context, name)
        async for event in self.events(name, 0, context):
            yield pb.AnalyzeResponse(event=event)

    async def AnalyzeMany(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        self.calls["AnalyzeMany"] += 1
        cut, sent = (self.cuts.pop(0) if self.cuts else None), 0
        async for request in request_iterator:
            self.requests.append(request)
            name = self.accept(request.image, request.request_id, request.options)
            events = self.jobs[name] if isinstance(name, str) else []
            if request.final_only and not self.tells_all:
                events = [event for event in events if event.revision == FINAL]
            for update in [{"event": event} for event in events] if isinstance(name, str) else [{"error": name}]:
                if sent == cut:
                    await abort(context, DRAINING)
                sent += 1
                yield pb.AnalyzeManyResponse(key=request.key, **update)
        if self.stall:
            await asyncio.sleep(60)

    async def ListJobs(self, request: Any, context: Any) -> Any:
        await self.call("ListJobs", request, context)
        start = int(request.page_token or 0)
        found = [as_it_stands(events) for events in self.jobs.values()]
        found = [job for job in found if not request.states or job.state in request.states]
        token = str(start + self.page) if start + self.page < len(found) else ""
        return pb.ListJobsResponse(jobs=found[start : start + self.page], next_page_token=token)

    async def CancelJob(self, request: Any, context: Any) -> Any:
        await self.call("CancelJob", request, context)
        await self.job(request.name, context)
        return pb.CancelJobResponse(job=job_pb2.Job(name=request.name, state=job_pb2.JOB_STATE_CANCELLED))

    async def DeleteJob(self, request: Any, context: Any) -> Any:
        await self.call("DeleteJob", request, context)
        await self.job(request.name, context)
        del self.jobs[request.name]
        return pb.DeleteJobResponse(name=request.name, image_sha256="ab" * 32, purged_objects=3)

    async def GetArtifact(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await self.call("GetArtifact", request, context)
        await self.job(request.name, context)
        digest = hashlib.sha256(OVERLAY).hexdigest()
        for start in range(0, len(OVERLAY), 256 * 1024):
            chunk = OVERLAY[start : start + 256 * 1024 - (1 if self.damaged else 0)]
            yield pb.GetArtifactResponse(sha256=digest if start == 0 else "", chunk=chunk)

    async def ListModels(self, request: Any, context: Any) -> Any:
        await self.call("ListModels", request, context)
        return model_service_pb2.ListModelsResponse(models=self.models)

    async def GetModel(self, request: Any, context: Any) -> Any:
        await self.call("GetModel", request, context)
        if request.name not in {"models/notebook-cnn", "models/notebook-cnn/versions/1"}:
            await abort(context, status(grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", "No such model is served."))
        return model_service_pb2.GetModelResponse(model=self.models[0])

    async def check(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        service = request[2:].decode()
        if service not in self.health:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return bytes([8, self.health[service]])


async def abort(context: grpc.aio.ServicerContext, why: status_pb2.Status) -> None:
    code = next(code for code in grpc.StatusCode if code.value[0] == why.code)
    await context.abort(code, why.message, (("grpc-status-details-bin", why.SerializeToString()),))


def script(name: str, image: bytes, options: job_pb2.AnalysisOptions) -> list[job_pb2.JobEvent]:
    """Every event of a job's life."""
    common = {
        "name": name,
        "options": options,
        "image": job_pb2.ImageInfo(format="png", width_px=600, height_px=450, size_bytes=len(image), sha256="cd" * 32),
    }
    queued = job_pb2.Job(state=job_pb2.JOB_STATE_QUEUED, revision=1, **common)
    queued.create_time.FromJsonString("2026-01-02T03:04:05Z")
    events = [job_pb2.JobEvent(job=name, revision=1, state=job_pb2.JOB_STATE_QUEUED, snapshot=queued)]
    if image.startswith(b"hang"):
        return events
    for stage in RUNNING:
        event = job_pb2.JobEvent(job=name, revision=len(events) + 1, state=job_pb2.JOB_STATE_RUNNING, stage=stage)
        if stage == job_pb2.JOB_STAGE_CLASSIFYING:
            event.regions_found.regions.append(REGION)
        events.append(event)
    failed = image.startswith(b"fail")
    state = job_pb2.JOB_STATE_FAILED if failed else job_pb2.JOB_STATE_SUCCEEDED
    final = job_pb2.Job(state=state, revision=5, attempt=1, regions=[REGION], regions_known=True, **common)
    if failed:
        final.error.CopyFrom(status(grpc.StatusCode.INTERNAL, "WORKER_LOST", "Its workers died."))
    else:
        final.result.CopyFrom(result())
    return [*events, job_pb2.JobEvent(job=name, revision=5, state=state, snapshot=final)]


def result() -> result_pb2.AnalysisResult:
    provenance = result_pb2.Provenance(
        model="notebook-cnn", version="1", weights_sha256="ef" * 32, segmenter="otsu", width_px=600, height_px=450
    )
    for part, milliseconds in (("queued", 1), ("decode", 2), ("segment", 3), ("classify", 4), ("total", 1500)):
        getattr(provenance.timings, part).FromMilliseconds(milliseconds)
    return result_pb2.AnalysisResult(
        regions=[REGION],
        classification=result_pb2.Classification(
            label="benign",
            probability=0.25,
            threshold=0.5,
            operating_point="balanced",
            probabilities=[
                result_pb2.ClassProbability(label="benign", probability=0.75),
                result_pb2.ClassProbability(label="malignant", probability=0.25),
            ],
        ),
        quality_issues=[result_pb2.QualityIssue(kind=result_pb2.QUALITY_ISSUE_KIND_NO_REGION_FOUND, message="None.")],
        provenance=provenance,
        intended_use=result_pb2.INTENDED_USE_NOT_FOR_CLINICAL_USE,
        needs_review=True,
        measures=result_pb2.LesionMeasures(
            asymmetry_major=0.25,
            border_irregularity=1.5,
            colours=[result_pb2.LESION_COLOUR_RED, result_pb2.LESION_COLOUR_BLUE_GREY],
            diameter_px=78.1,
        ),
    )


def model_card() -> model_service_pb2.ModelCard:
    return model_service_pb2.ModelCard(
        name="models/notebook-cnn/versions/1",
        title="The notebook's network",
        classes=["benign", "malignant"],
        operating_points=[model_service_pb2.OperatingPoint(name="balanced", threshold=0.5)],
        default_operating_point="balanced",
        input=model_service_pb2.ModelInput(resampling="area"),
        starting_weights="ImageNet, Apache-2.0",
        evaluation={"auroc": 0.8},
        workers=2,
        intended_use=result_pb2.INTENDED_USE_NOT_FOR_CLINICAL_USE,
    )


def as_it_stands(events: list[job_pb2.JobEvent]) -> job_pb2.Job:
    return events[-1].snapshot


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A fake server on a free port of loopback, in a thread with an event loop of its own."""
    fake, started, loop, stop = FakeServer(), threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        options = (("grpc.max_receive_message_length", 32 * 1024 * 1024),)
        grpc_server = grpc.aio.server(options=options)
        analysis_service_pb2_grpc.add_AnalysisServiceServicer_to_server(fake, grpc_server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(fake, grpc_server)
        check = {"Check": grpc.unary_unary_rpc_method_handler(fake.check)}
        grpc_server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", check),))
        fake.target = f"127.0.0.1:{grpc_server.add_insecure_port('127.0.0.1:0')}"
        await grpc_server.start()
        started.set()
        await stop.wait()
        await grpc_server.stop(0)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(10)
    yield fake
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


@pytest.fixture
def dead_target() -> str:
    """An address where nobody listens."""
    return "127.0.0.1:1"


@pytest.fixture
def status_busy() -> status_pb2.Status:
    """UNAVAILABLE, QUEUE_FULL, to be repeated after 50 ms."""
    return BUSY
