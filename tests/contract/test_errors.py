"""Every documented error: code, reason, details, and nothing left behind."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
import redis
from google.protobuf import duration_pb2
from msgspec.structs import replace

from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1 import job_pb2, model_service_pb2
from nevus.v1.analysis_service_pb2_grpc import AnalysisServiceStub
from nevus.v1.model_service_pb2_grpc import ModelServiceStub
from nevus_core.settings import ServerSettings
from nevus_server.embedded import EmbeddedBroker
from nevus_server.main import serving
from support.channels import target
from support.errors import refusal_of, refusal_of_status
from support.images import ANIMATED_GIF, drawn_png, huge_png
from support.scripted_worker import ScriptedWorker

MIB = 2**20
JPEG_CUT_OFF = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb004300") + b"\x10" * 64
JPEG_CUT_OFF += bytes.fromhex("ffc0000b080010001001011100ffda0008010100003f00") + b"\x11" * 40
"""A 16x16 JPEG whose data begin and never end."""

BAD_IMAGES = {
    "empty": (b"", "EMPTY_IMAGE"),
    "text": (b"Dear doctor, please find attached", "UNSUPPORTED_FORMAT"),
    "truncated JPEG": (JPEG_CUT_OFF, "TRUNCATED_IMAGE"),
    "truncated PNG": (drawn_png(64, 64)[:-20], "TRUNCATED_IMAGE"),
    "PNG of 40,000 x 40,000": (huge_png(40_000), "TOO_MANY_PIXELS"),
    "animated GIF": (ANIMATED_GIF, "UNSUPPORTED_FORMAT"),
    "17 MiB": (drawn_png(64, 64) + bytes(17 * MIB), "IMAGE_TOO_LARGE"),
}

BAD_OPTIONS: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown model": ({"model": "nosuch"}, "INVALID_ARGUMENT", "UNKNOWN_MODEL"),
    "malformed model": ({"model": "../etc"}, "INVALID_ARGUMENT", "UNKNOWN_MODEL"),
    "version not served": ({"model": "notebook-cnn@7"}, "FAILED_PRECONDITION", "MODEL_NOT_LOADED"),
    "unknown segmenter": ({"segmenter": "nosuch"}, "INVALID_ARGUMENT", "UNKNOWN_SEGMENTER"),
    "another model's own map": ({"segmenter": "network"}, "INVALID_ARGUMENT", "UNKNOWN_SEGMENTER"),
    "unknown operating point": ({"operating_point": "nosuch"}, "INVALID_ARGUMENT", "UNKNOWN_OPERATING_POINT"),
    "unknown priority": ({"priority": 9}, "INVALID_ARGUMENT", "INVALID_PRIORITY"),
    "unknown artifact": ({"artifacts": [0]}, "INVALID_ARGUMENT", "UNKNOWN_ARTIFACT"),
    "zero queue_ttl": ({"queue_ttl": duration_pb2.Duration()}, "INVALID_ARGUMENT", "INVALID_DURATION"),
    "too long timeout": (
        {"execution_timeout": duration_pb2.Duration(seconds=10**6)},
        "INVALID_ARGUMENT",
        "INVALID_DURATION",
    ),
    "bad label": ({"labels": {"Name of Patient": "x"}}, "INVALID_ARGUMENT", "INVALID_LABEL"),
    "too many labels": ({"labels": {f"k{n}": "" for n in range(17)}}, "INVALID_ARGUMENT", "TOO_MANY_LABELS"),
}


def job_keys(raw: redis.Redis, prefix: str) -> list[bytes]:
    """Returns every key of the broker that belongs to a job."""
    return [key for kind in ("job", "image", "request", "jobs", "queued") for key in raw.keys(f"{prefix}:{kind}*")]


@pytest.fixture
def raw(settings: ServerSettings) -> redis.Redis:
    """The broker itself."""
    return redis.Redis.from_url(settings.redis_url, protocol=2)


@pytest.mark.parametrize("what", BAD_IMAGES)
async def test_bad_images(analysis: AnalysisServiceStub, raw: redis.Redis, settings: ServerSettings, what: str) -> None:
    """Refused by every RPC that takes images, with a typed reason that names the field; nothing is stored."""
    image, reason = BAD_IMAGES[what]
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await analysis.SubmitJob(pb.SubmitJobRequest(image=image))
    refusal = refusal_of(error.value)
    assert (refusal.code, refusal.reason) == ("INVALID_ARGUMENT", reason)
    (violation,) = refusal.details["BadRequest"].field_violations
    assert violation.field == "image"
    with pytest.raises(grpc.aio.AioRpcError) as error:
        _ = [response async for response in analysis.Analyze(pb.AnalyzeRequest(image=image))]
    assert refusal_of(error.value).reason == reason
    (response,) = [
        response async for response in analysis.AnalyzeMany(iter([pb.AnalyzeManyRequest(key="k", image=image)]))
    ]
    assert refusal_of_status(response.error).reason == reason
    assert job_keys(raw, settings.key_prefix) == []


@pytest.mark.parametrize("what", BAD_OPTIONS)
async def test_bad_options(
    analysis: AnalysisServiceStub, raw: redis.Redis, settings: ServerSettings, png: bytes, what: str
) -> None:
    """Each option that can't be met is refused by name; nothing is stored."""
    fields, code, reason = BAD_OPTIONS[what]
    request = pb.SubmitJobRequest(image=png, options=job_pb2.AnalysisOptions(**fields))
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await analysis.SubmitJob(request)
    refusal = refusal_of(error.value)
    assert (refusal.code, refusal.reason) == (code, reason)
    assert ("PreconditionFailure" if code == "FAILED_PRECONDITION" else "BadRequest") in refusal.details
    assert job_keys(raw, settings.key_prefix) == []


async def test_all_violations_come_at_once(analysis: AnalysisServiceStub, png: bytes) -> None:
    """A request with two faults is told of both."""
    options = job_pb2.AnalysisOptions(segmenter="x", operating_point="y")
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await analysis.SubmitJob(pb.SubmitJobRequest(image=png, options=options))
    violations = refusal_of(error.value).details["BadRequest"].field_violations
    assert [violation.field for violation in violations] == ["options.segmenter", "options.operating_point"]


BY_NAME: dict[str, Callable[[AnalysisServiceStub, str], Any]] = {
    "GetJob": lambda stub, name: stub.GetJob(pb.GetJobRequest(name=name)),
    "WaitJob": lambda stub, name: stub.WaitJob(pb.WaitJobRequest(name=name)),
    "WatchJob": lambda stub, name: stub.WatchJob(pb.WatchJobRequest(name=name)).read(),
    "CancelJob": lambda stub, name: stub.CancelJob(pb.CancelJobRequest(name=name)),
    "DeleteJob": lambda stub, name: stub.DeleteJob(pb.DeleteJobRequest(name=name)),
    "GetArtifact": lambda stub, name: stub.GetArtifact(
        pb.GetArtifactRequest(name=name, kind="ARTIFACT_KIND_MASK")
    ).read(),
}


@pytest.mark.parametrize("rpc", BY_NAME)
async def test_unknown_jobs_and_malformed_names(analysis: AnalysisServiceStub, rpc: str) -> None:
    """An unknown job is NOT_FOUND with its name; a name of another form INVALID_ARGUMENT."""
    refusal = await _refused(BY_NAME[rpc](analysis, "jobs/0123456789abcdef"))
    assert (refusal.code, refusal.reason) == ("NOT_FOUND", "JOB_NOT_FOUND")
    assert refusal.details["ResourceInfo"].resource_name == "jobs/0123456789abcdef"
    for name in ("", "jobs/", "jobs/A", "jobs/../x", "job/1", "jobs/a/b"):
        refusal = await _refused(BY_NAME[rpc](analysis, name))
        assert (refusal.code, refusal.reason) == ("INVALID_ARGUMENT", "INVALID_NAME")


async def test_fields_of_the_other_requests(analysis: AnalysisServiceStub, png: bytes) -> None:
    """Negative page sizes, foreign page tokens, unknown states, negative revisions, odd request ids, unknown kinds."""
    name = (await analysis.SubmitJob(pb.SubmitJobRequest(image=png))).job.name
    await analysis.SubmitJob(pb.SubmitJobRequest(image=png))
    page = await analysis.ListJobs(pb.ListJobsRequest(page_size=1))
    below_zero = duration_pb2.Duration(seconds=-1)
    cases = [
        (analysis.ListJobs(pb.ListJobsRequest(page_size=-1)), "NEGATIVE_PAGE_SIZE"),
        (analysis.ListJobs(pb.ListJobsRequest(page_token="nonsense")), "INVALID_PAGE_TOKEN"),
        (
            analysis.ListJobs(pb.ListJobsRequest(page_token=page.next_page_token, labels={"other": "filter"})),
            "INVALID_PAGE_TOKEN",
        ),
        (analysis.ListJobs(pb.ListJobsRequest(states=[0])), "UNKNOWN_STATE"),
        (analysis.ListJobs(pb.ListJobsRequest(labels={"Bad Key": ""})), "INVALID_LABEL"),
        (analysis.WatchJob(pb.WatchJobRequest(name=name, after_revision=-1)).read(), "NEGATIVE_REVISION"),
        (analysis.WaitJob(pb.WaitJobRequest(name=name, after_revision=-1)), "NEGATIVE_REVISION"),
        (analysis.WaitJob(pb.WaitJobRequest(name=name, timeout=below_zero)), "INVALID_DURATION"),
        (analysis.SubmitJob(pb.SubmitJobRequest(image=png, request_id="one")), "INVALID_REQUEST_ID"),
        (analysis.CancelJob(pb.CancelJobRequest(name=name, request_id="one")), "INVALID_REQUEST_ID"),
        (analysis.DeleteJob(pb.DeleteJobRequest(name=name, request_id="one")), "INVALID_REQUEST_ID"),
        (analysis.GetArtifact(pb.GetArtifactRequest(name=name)).read(), "UNKNOWN_ARTIFACT"),
    ]
    for call, reason in cases:
        refusal = await _refused(call)
        assert (refusal.code, refusal.reason) == ("INVALID_ARGUMENT", reason)


async def test_a_page_larger_than_the_cap_is_cut(settings: ServerSettings, worker: ScriptedWorker, png: bytes) -> None:
    """A page size above the server's largest is no error; the page is the largest."""
    async with (
        serving(replace(settings, page_size_max=2)) as port,
        grpc.aio.insecure_channel(target(port)) as channel,
    ):
        analysis = AnalysisServiceStub(channel)
        for _ in range(3):
            await analysis.SubmitJob(pb.SubmitJobRequest(image=png))
        page = await analysis.ListJobs(pb.ListJobsRequest(page_size=1000))
        assert len(page.jobs) == 2
        assert page.next_page_token


async def test_wrong_states(analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes) -> None:
    """Cancelling a finished job, and a picture that was not asked for or is not there yet."""
    options = job_pb2.AnalysisOptions(artifacts=[job_pb2.ARTIFACT_KIND_MASK])
    name = (await analysis.SubmitJob(pb.SubmitJobRequest(image=png, options=options))).job.name
    early = await _refused(analysis.GetArtifact(pb.GetArtifactRequest(name=name, kind="ARTIFACT_KIND_MASK")).read())
    assert (early.code, early.reason) == ("NOT_FOUND", "ARTIFACT_NOT_FOUND")
    worker.do(name)
    never = await _refused(analysis.GetArtifact(pb.GetArtifactRequest(name=name, kind="ARTIFACT_KIND_OVERLAY")).read())
    assert "not asked for" in never.message
    refusal = await _refused(analysis.CancelJob(pb.CancelJobRequest(name=name)))
    assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "JOB_FINISHED")


async def test_a_reused_request_id(analysis: AnalysisServiceStub, png: bytes) -> None:
    """The same UUID with another image or other options names the job that has it."""
    request_id = str(uuid.uuid4())
    name = (await analysis.SubmitJob(pb.SubmitJobRequest(image=png, request_id=request_id))).job.name
    stat = job_pb2.AnalysisOptions(priority=job_pb2.JOB_PRIORITY_STAT)
    for request in (
        pb.SubmitJobRequest(image=drawn_png(64, 64), request_id=request_id),
        pb.SubmitJobRequest(image=png, request_id=request_id, options=stat),
    ):
        refusal = await _refused(analysis.SubmitJob(request))
        assert (refusal.code, refusal.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
        assert refusal.details["ResourceInfo"].resource_name == name


async def test_uploads_out_of_order_or_damaged(
    analysis: AnalysisServiceStub, png: bytes, raw: redis.Redis, settings: ServerSettings
) -> None:
    """Header, chunks, trailer, in this order, once; and the digest must agree. Nothing is stored otherwise."""
    header, chunk = pb.UploadJobRequest(header=pb.UploadHeader()), pb.UploadJobRequest(chunk=png)
    trailer = pb.UploadJobRequest(trailer=pb.UploadTrailer(sha256="0" * 64))
    too_large = pb.UploadJobRequest(header=pb.UploadHeader(size_bytes=2**40))
    cases = [
        ([], "UPLOAD_ORDER"),
        ([chunk], "UPLOAD_ORDER"),
        ([header, header], "UPLOAD_ORDER"),
        ([header, chunk], "UPLOAD_ORDER"),
        ([header, pb.UploadJobRequest()], "UPLOAD_ORDER"),
        ([header, chunk, trailer], "UPLOAD_DIGEST_MISMATCH"),
        ([too_large], "IMAGE_TOO_LARGE"),
    ]
    for parts, reason in cases:
        refusal = await _refused(analysis.UploadJob(iter(parts)))
        assert (refusal.code, refusal.reason) == ("INVALID_ARGUMENT", reason)
    assert job_keys(raw, settings.key_prefix) == []


async def test_keys_of_analyze_many(analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes) -> None:
    """An empty key, a long one and a repeated one are refused alone; the stream goes on."""
    worker.work_in_background()
    keys = ["a", "", "x" * 129, "a", "b"]
    requests = [pb.AnalyzeManyRequest(key=key, image=png, final_only=True) for key in keys]
    responses = [response async for response in analysis.AnalyzeMany(iter(requests))]
    reasons = sorted(refusal_of_status(r.error).reason for r in responses if r.HasField("error"))
    assert reasons == ["DUPLICATE_KEY", "INVALID_KEY", "INVALID_KEY"]
    assert sorted(r.key for r in responses if r.HasField("event")) == ["a", "b"]


async def test_a_message_over_the_transports_limit_has_no_details(analysis: AnalysisServiceStub) -> None:
    """Above 32 MiB gRPC itself refuses, as the contract says: RESOURCE_EXHAUSTED without a Status."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await analysis.SubmitJob(pb.SubmitJobRequest(image=bytes(33 * MIB)))
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-status-details-bin" not in dict(error.value.trailing_metadata() or ())


async def test_no_worker_is_unavailable(settings: ServerSettings, png: bytes, raw: redis.Redis) -> None:
    """Without any live worker nothing is accepted: UNAVAILABLE, with the delay after which to try again."""
    async with serving(settings) as port, grpc.aio.insecure_channel(target(port)) as channel:
        refusal = await _refused(AnalysisServiceStub(channel).SubmitJob(pb.SubmitJobRequest(image=png)))
    assert (refusal.code, refusal.reason) == ("UNAVAILABLE", "NO_WORKER")
    assert refusal.details["RetryInfo"].retry_delay.ToMilliseconds() > 0
    assert job_keys(raw, settings.key_prefix) == []


async def test_a_broker_that_is_down_is_unavailable(
    settings: ServerSettings, tmp_path_factory: pytest.TempPathFactory, png: bytes
) -> None:
    """Every RPC that needs the broker says so, retryably; when it is back, everything goes on by itself."""
    folder = tmp_path_factory.mktemp("own-broker")
    broker = EmbeddedBroker(folder)
    broker.start()
    own = replace(settings, redis_url=broker.url, worker_grace_s=60.0)
    worker = ScriptedWorker(broker.url, own.key_prefix)
    async with serving(own) as port, grpc.aio.insecure_channel(target(port)) as channel:
        analysis, models = AnalysisServiceStub(channel), ModelServiceStub(channel)
        name = (await analysis.SubmitJob(pb.SubmitJobRequest(image=png))).job.name
        broker.stop()
        await _until(lambda: _reason(models.ListModels(model_service_pb2.ListModelsRequest())), "BROKER_UNAVAILABLE")
        for call in (
            analysis.SubmitJob(pb.SubmitJobRequest(image=png)),
            analysis.ListJobs(pb.ListJobsRequest()),
            *(rpc(analysis, name) for rpc in BY_NAME.values()),
        ):
            refusal = await _refused(call)
            assert (refusal.code, refusal.reason) == ("UNAVAILABLE", "BROKER_UNAVAILABLE")
            assert "RetryInfo" in refusal.details
        broker.start()
        await _until(lambda: _reason(analysis.GetJob(pb.GetJobRequest(name=name))), "")
        worker.do(name)  # accepted before, durable, still there
        await _until(lambda: _reason(analysis.SubmitJob(pb.SubmitJobRequest(image=png))), "")
        worker.close()
    broker.stop()


async def test_full_queues(settings: ServerSettings, worker: ScriptedWorker, png: bytes) -> None:
    """The whole queue's bound is UNAVAILABLE, the tenant's RESOURCE_EXHAUSTED; both say when to come back."""
    for bounds, code, reason in (
        ({"max_queued": 1}, "UNAVAILABLE", "QUEUE_FULL"),
        ({"max_queued_per_tenant": 1}, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    ):
        async with (
            serving(replace(settings, **bounds)) as port,
            grpc.aio.insecure_channel(target(port)) as channel,
        ):
            analysis = AnalysisServiceStub(channel)
            call = analysis.SubmitJob(pb.SubmitJobRequest(image=png))
            if code == "UNAVAILABLE":
                await call
                call = analysis.SubmitJob(pb.SubmitJobRequest(image=png))
            refusal = await _refused(call)
        assert (refusal.code, refusal.reason) == (code, reason)
        assert "RetryInfo" in refusal.details


async def test_analyze_answers_before_the_callers_deadline(analysis: AnalysisServiceStub, png: bytes) -> None:
    """A job that takes longer than the call: DEADLINE_EXCEEDED that names the job, which goes on."""
    call = analysis.Analyze(pb.AnalyzeRequest(image=png), timeout=0.8)
    name = (await call.read()).event.job
    refusal = await _refused(call.read())
    assert (refusal.code, refusal.details["ResourceInfo"].resource_name) == ("DEADLINE_EXCEEDED", name)
    assert (await analysis.GetJob(pb.GetJobRequest(name=name))).job.state == job_pb2.JOB_STATE_QUEUED


async def test_watching_a_job_that_is_deleted_meanwhile(analysis: AnalysisServiceStub, png: bytes) -> None:
    """Its watchers hear NOT_FOUND instead of waiting for ever."""
    name = (await analysis.SubmitJob(pb.SubmitJobRequest(image=png))).job.name
    call = analysis.WatchJob(pb.WatchJobRequest(name=name))
    await call.read()
    await analysis.DeleteJob(pb.DeleteJobRequest(name=name))
    refusal = await _refused(call.read())
    assert (refusal.code, refusal.reason) == ("NOT_FOUND", "JOB_NOT_FOUND")


async def test_a_fault_of_ours_is_internal_with_an_id(
    analysis: AnalysisServiceStub, monkeypatch: pytest.MonkeyPatch, png: bytes
) -> None:
    """An exception nobody expected reaches the caller as INTERNAL with an id and nothing of its text."""

    def broken(*args: object, **kwargs: object) -> None:
        message = "a secret"
        raise ValueError(message)

    monkeypatch.setattr("nevus_server.intake.inspect_image", broken)
    refusal = await _refused(analysis.SubmitJob(pb.SubmitJobRequest(image=png)))
    assert (refusal.code, refusal.reason) == ("INTERNAL", "INTERNAL")
    assert "secret" not in refusal.message
    assert refusal.details["ErrorInfo"].metadata["error_id"] in refusal.message


async def test_models(models: ModelServiceStub) -> None:
    """Malformed names and models that nobody serves."""
    for name, code, reason in (
        ("notebook-cnn", "INVALID_ARGUMENT", "INVALID_NAME"),
        ("models/nosuch", "NOT_FOUND", "MODEL_NOT_FOUND"),
        ("models/notebook-cnn/versions/9", "NOT_FOUND", "MODEL_NOT_FOUND"),
    ):
        refusal = await _refused(models.GetModel(model_service_pb2.GetModelRequest(name=name)))
        assert (refusal.code, refusal.reason) == (code, reason)


async def _refused(call: Awaitable[Any]) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return refusal_of(error.value)


async def _reason(call: Awaitable[Any]) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return refusal_of(error).reason
    return ""


async def _until(ask: Callable[[], Awaitable[str]], wanted: str) -> None:
    """Asks until the answer is the one wanted, for at most some seconds."""
    async with asyncio.timeout(15):
        while await ask() != wanted:  # noqa: ASYNC110  # another process's state
            await asyncio.sleep(0.05)


async def test_a_stream_at_the_servers_limit_is_resumed(
    settings: ServerSettings, worker: ScriptedWorker, png: bytes
) -> None:
    """A watch that reaches the longest time that the server allows ends retryably, and goes on where it was."""
    async with (
        serving(replace(settings, deadline_cap_s=0.3)) as port,
        grpc.aio.insecure_channel(target(port)) as channel,
    ):
        analysis = AnalysisServiceStub(channel)
        call = analysis.Analyze(pb.AnalyzeRequest(image=png))
        name = (await call.read()).event.job
        assert (await _refused(call.read())).reason == "STREAM_LIMIT"
        worker.do(name)
        rest = analysis.WatchJob(pb.WatchJobRequest(name=name, after_revision=1))
        assert [response.event.revision async for response in rest] == [2, 3, 4, 5]
