"""AnalysisService: what each RPC answers when all is well."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf import duration_pb2
from msgspec.structs import replace

from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1 import job_pb2, result_pb2
from nevus.v1.analysis_service_pb2_grpc import AnalysisServiceStub
from nevus_core.settings import ServerSettings
from nevus_server.main import serving
from support import made_up
from support.channels import target
from support.errors import refusal_of_status
from support.images import drawn_png
from support.scripted_worker import ScriptedWorker

STAGES_OF_A_LIFE = [
    ("QUEUED", "UNSPECIFIED"),
    ("RUNNING", "DECODING"),
    ("RUNNING", "SEGMENTING"),
    ("RUNNING", "CLASSIFYING"),
    ("SUCCEEDED", "UNSPECIFIED"),
]


def told(event: job_pb2.JobEvent) -> tuple[str, str]:
    """Returns state and stage in short."""
    state = job_pb2.JobState.Name(event.state).removeprefix("JOB_STATE_")
    return state, job_pb2.JobStage.Name(event.stage).removeprefix("JOB_STAGE_")


async def submit(analysis: AnalysisServiceStub, image: bytes, **options: object) -> job_pb2.Job:
    """Submits an image."""
    request = pb.SubmitJobRequest(image=image, options=job_pb2.AnalysisOptions(**options))
    return (await analysis.SubmitJob(request)).job


async def test_submit_answers_with_a_queued_job(analysis: AnalysisServiceStub, png: bytes) -> None:
    """Every default is filled in, the version pinned, the header's facts told."""
    job = await submit(analysis, png, labels={"study": "7"})
    assert job.name.startswith("jobs/")
    assert (job.state, job.revision, job.attempt) == (job_pb2.JOB_STATE_QUEUED, 1, 0)
    assert (job.options.model, job.options.segmenter, job.options.operating_point) == (
        "notebook-cnn@1",
        "otsu",
        "balanced",
    )
    assert job.options.priority == job_pb2.JOB_PRIORITY_ROUTINE
    assert job.options.queue_ttl.seconds == 3600
    assert dict(job.options.labels) == {"study": "7"}
    assert (job.image.format, job.image.width_px, job.image.height_px) == ("png", 200, 100)
    assert job.image.sha256 == hashlib.sha256(png).hexdigest()
    assert not job.HasField("end_time")
    assert not job.HasField("result")


async def test_get_and_its_views(analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes) -> None:
    """FULL has regions and result with all of their fields; BASIC leaves them out; the result can't hide its use."""
    name = (await submit(analysis, png)).name
    worker.do(name)
    job = (await analysis.GetJob(pb.GetJobRequest(name=name))).job
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    assert job.HasField("end_time")
    assert job.HasField("expire_time")
    result = job.result
    assert result.intended_use == result_pb2.INTENDED_USE_NOT_FOR_CLINICAL_USE
    assert [(r.box.x, r.box.y, r.box.width, r.box.height, r.area_px) for r in result.regions] == [
        (10, 20, 30, 40, 900.5),
        (100, 5, 11, 12, 110.0),
    ]
    assert not result.regions[0].HasField("score")
    assert list(result.regions[0].contour.xy_px) == list(made_up.REGIONS[0].contour)
    assert (result.classification.label, result.classification.probability) == ("malignant", 0.75)
    assert [(p.label, p.probability) for p in result.classification.probabilities] == [
        ("benign", 0.25),
        ("malignant", 0.75),
    ]
    assert (result.provenance.model, result.provenance.version) == ("notebook-cnn", "1")
    assert result.provenance.timings.decode.nanos == 1_500_000
    basic = (await analysis.GetJob(pb.GetJobRequest(name=name, view=job_pb2.JOB_VIEW_BASIC))).job
    assert not basic.HasField("result")
    assert not basic.regions
    assert basic.regions_known


async def test_analyze_tells_every_move_and_the_regions_before_the_class(
    analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes
) -> None:
    """Events come in order with rising revisions; regions come with CLASSIFYING while the class is not known yet."""
    call = analysis.Analyze(pb.AnalyzeRequest(image=png))
    first = (await call.read()).event
    assert first.snapshot.state == job_pb2.JOB_STATE_QUEUED
    claim = worker.claim(first.job)
    worker.find_regions(claim)
    events = [first]
    while not events[-1].HasField("regions_found"):
        events.append((await call.read()).event)
    assert len(events[-1].regions_found.regions) == 2
    assert not (await analysis.GetJob(pb.GetJobRequest(name=first.job))).job.HasField("result")
    worker.succeed(claim)
    while (response := await call.read()) is not grpc.aio.EOF:
        events.append(response.event)
    assert [told(event) for event in events] == STAGES_OF_A_LIFE
    assert [event.revision for event in events] == [1, 2, 3, 4, 5]
    assert events[-1].snapshot.result.classification.label == "malignant"
    assert all(not event.HasField("snapshot") for event in events[1:-1])


@pytest.mark.parametrize("cut_after", [1, 2, 3, 4])
async def test_a_watch_cut_anywhere_and_resumed_misses_nothing(
    analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes, cut_after: int
) -> None:
    """A watcher that goes on with the last revision seen gets exactly the rest, regions and result included."""
    name = (await submit(analysis, png)).name
    claim = worker.claim(name)
    worker.find_regions(claim)
    seen = []
    call = analysis.WatchJob(pb.WatchJobRequest(name=name))
    while len(seen) < cut_after:
        seen.append((await call.read()).event)
    call.cancel()
    rest = analysis.WatchJob(pb.WatchJobRequest(name=name, after_revision=seen[-1].revision))
    worker.succeed(claim)
    seen.extend([response.event async for response in rest])
    assert [event.revision for event in seen] == [1, 2, 3, 4, 5]
    assert [told(event) for event in seen] == STAGES_OF_A_LIFE
    assert [len(event.regions_found.regions) for event in seen if event.HasField("regions_found")] == [2]
    assert seen[-1].snapshot.HasField("result")


async def test_a_watch_of_a_finished_job_tells_it_all_and_ends(
    analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes
) -> None:
    """The past comes from the record; after its last revision there is nothing more to tell."""
    name = (await submit(analysis, png)).name
    worker.do(name)
    past = [response.event async for response in analysis.WatchJob(pb.WatchJobRequest(name=name))]
    assert [told(event) for event in past] == STAGES_OF_A_LIFE
    nothing = analysis.WatchJob(pb.WatchJobRequest(name=name, after_revision=5))
    assert [response async for response in nothing] == []


async def test_many_watchers_of_one_job_all_hear_everything(
    analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes
) -> None:
    """Twenty watchers of the same job get the same five events."""
    name = (await submit(analysis, png)).name

    async def watch() -> list[int]:
        call = analysis.WatchJob(pb.WatchJobRequest(name=name))
        return [response.event.revision async for response in call]

    watching = [asyncio.create_task(watch()) for _ in range(20)]
    await asyncio.sleep(0)
    worker.do(name)
    assert await asyncio.gather(*watching) == [[1, 2, 3, 4, 5]] * 20


async def test_wait_answers_when_the_job_moves_on(
    analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes
) -> None:
    """With a revision: at the next move. Without: at the outcome. In time: as it stands, which is no error."""
    name = (await submit(analysis, png)).name
    waiting = asyncio.create_task(_wait(analysis, name, after_revision=1))
    claim = worker.claim(name)
    assert (await waiting).revision == 2
    until_done = asyncio.create_task(_wait(analysis, name))
    worker.find_regions(claim)
    worker.succeed(claim)
    assert (await until_done).state == job_pb2.JOB_STATE_SUCCEEDED
    other = (await submit(analysis, png)).name
    short = duration_pb2.Duration(nanos=50_000_000)
    assert (await _wait(analysis, other, timeout=short)).state == job_pb2.JOB_STATE_QUEUED


async def test_wait_answers_before_the_callers_deadline(analysis: AnalysisServiceStub, png: bytes) -> None:
    """A caller's own deadline ends in an answer, not in DEADLINE_EXCEEDED."""
    name = (await submit(analysis, png)).name
    response = await analysis.WaitJob(pb.WaitJobRequest(name=name), timeout=0.8)
    assert response.job.state == job_pb2.JOB_STATE_QUEUED


async def _wait(analysis: AnalysisServiceStub, name: str, **fields: object) -> job_pb2.Job:
    return (await analysis.WaitJob(pb.WaitJobRequest(name=name, **fields))).job


async def test_upload_in_chunks(analysis: AnalysisServiceStub) -> None:
    """An image of several chunks becomes the same job as a submitted one."""
    image = drawn_png(900, 700)
    parts = [pb.UploadJobRequest(header=pb.UploadHeader(size_bytes=len(image)))]
    parts += [pb.UploadJobRequest(chunk=image[begin : begin + 500]) for begin in range(0, len(image), 500)]
    trailer = pb.UploadTrailer(sha256=hashlib.sha256(image).hexdigest())
    parts.append(pb.UploadJobRequest(trailer=trailer))
    job = (await analysis.UploadJob(iter(parts))).job
    assert job.image.sha256 == trailer.sha256
    assert (job.image.width_px, job.image.height_px) == (900, 700)


async def test_a_request_id_makes_one_job_across_rpcs(analysis: AnalysisServiceStub, png: bytes) -> None:
    """Submit, repeated by Submit and by Analyze with the same UUID, is one job."""
    request_id = str(uuid.uuid4())
    first = (await analysis.SubmitJob(pb.SubmitJobRequest(image=png, request_id=request_id))).job
    again = (await analysis.SubmitJob(pb.SubmitJobRequest(image=png, request_id=request_id.upper()))).job
    assert again.name == first.name
    call = analysis.Analyze(pb.AnalyzeRequest(image=png, request_id=request_id))
    assert (await call.read()).event.job == first.name
    call.cancel()


async def test_analyze_many_tags_each_event_and_survives_bad_images(
    analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes
) -> None:
    """Twelve good images and one bad one: every key gets its own outcome, the bad one an error, none twice."""
    worker.work_in_background()
    requests = [pb.AnalyzeManyRequest(key=f"k{number}", image=png, final_only=True) for number in range(12)]
    requests.insert(5, pb.AnalyzeManyRequest(key="bad", image=b"no image"))
    responses = [response async for response in analysis.AnalyzeMany(iter(requests))]
    outcomes = {response.key: response for response in responses}
    assert len(responses) == len(outcomes) == 13
    assert outcomes.pop("bad").error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert {response.event.state for response in outcomes.values()} == {job_pb2.JOB_STATE_SUCCEEDED}
    assert len({response.event.job for response in outcomes.values()}) == 12


async def test_analyze_many_takes_no_more_than_its_window(
    settings: ServerSettings, worker: ScriptedWorker, png: bytes
) -> None:
    """With a window of 3 and no worker at work, three images are accepted and no more, however many are offered."""
    async with (
        serving(replace(settings, many_window=3)) as port,
        grpc.aio.insecure_channel(target(port)) as channel,
    ):
        analysis = AnalysisServiceStub(channel)

        async def offers() -> AsyncIterator[pb.AnalyzeManyRequest]:
            for number in range(50):
                yield pb.AnalyzeManyRequest(key=str(number), image=png)

        call = analysis.AnalyzeMany(offers())
        keys = {(await call.read()).key for _ in range(3)}
        assert keys == {"0", "1", "2"}
        listed = await analysis.ListJobs(pb.ListJobsRequest())
        assert len(listed.jobs) == 3
        worker.work_in_background()
        done = 0
        while (response := await call.read()) is not grpc.aio.EOF:
            done += response.event.state == job_pb2.JOB_STATE_SUCCEEDED
        assert done == 50


async def test_cancel_says_which_happened(analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes) -> None:
    """A queued job is CANCELLED, a running one CANCELLING; its watcher sees both moves."""
    queued = (await submit(analysis, png)).name
    assert (await analysis.CancelJob(pb.CancelJobRequest(name=queued))).job.state == job_pb2.JOB_STATE_CANCELLED
    running = (await submit(analysis, png)).name
    claim = worker.claim(running)
    assert (await analysis.CancelJob(pb.CancelJobRequest(name=running))).job.state == job_pb2.JOB_STATE_CANCELLING
    worker.store.settle_cancelled(claim)
    events = [response.event async for response in analysis.WatchJob(pb.WatchJobRequest(name=running))]
    assert [told(event)[0] for event in events] == ["QUEUED", "RUNNING", "CANCELLING", "CANCELLED"]


async def test_a_failed_job_tells_why(analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes) -> None:
    """The job's error is a google.rpc.Status with code, message and reason; the RPC itself is OK."""
    name = (await submit(analysis, png)).name
    worker.fail(worker.claim(name))
    events = [response.event async for response in analysis.WatchJob(pb.WatchJobRequest(name=name))]
    refusal = refusal_of_status(events[-1].snapshot.error)
    assert (refusal.code, refusal.reason, refusal.message) == ("INVALID_ARGUMENT", "CORRUPT_IMAGE", "Made up.")


@pytest.mark.parametrize("kind", [job_pb2.ARTIFACT_KIND_OVERLAY, job_pb2.ARTIFACT_KIND_HEAT_MAP])
async def test_artifacts_come_in_chunks_with_their_digest(
    analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes, kind: job_pb2.ArtifactKind
) -> None:
    """The first message says type, size and digest; all chunks together match them."""
    name = (await submit(analysis, png, artifacts=[kind])).name
    worker.do(name)
    request = pb.GetArtifactRequest(name=name, kind=kind)
    parts = [part async for part in analysis.GetArtifact(request)]
    picture = b"".join(part.chunk for part in parts)
    assert parts[0].media_type == "image/png"
    assert (parts[0].size_bytes, parts[0].sha256) == (len(picture), hashlib.sha256(picture).hexdigest())


async def test_delete_gives_a_receipt_once_and_again_for_its_request_id(
    analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes
) -> None:
    """The receipt names job, digest and number of objects; a repeat with the request id gets it again."""
    name = (await submit(analysis, png)).name
    worker.do(name)
    request = pb.DeleteJobRequest(name=name, request_id=str(uuid.uuid4()))
    receipt = await analysis.DeleteJob(request)
    assert (receipt.name, receipt.image_sha256) == (name, hashlib.sha256(png).hexdigest())
    assert receipt.purged_objects == 1
    assert await analysis.DeleteJob(request) == receipt


async def test_list_pages_filters_and_orders(analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes) -> None:
    """Newest first, each job on one page, filters by state, label and time; page size 0 is the default."""
    names = [(await submit(analysis, png, labels={"n": str(number % 2)})).name for number in range(7)]
    worker.do(names[2])
    pages, token = [], ""
    while True:
        page = await analysis.ListJobs(pb.ListJobsRequest(page_size=3, page_token=token))
        pages.append([job.name for job in page.jobs])
        token = page.next_page_token
        if not token:
            break
    assert [name for page in pages for name in page] == sorted(names, reverse=True)
    assert all(len(page) <= 3 for page in pages)
    done = await analysis.ListJobs(pb.ListJobsRequest(states=[job_pb2.JOB_STATE_SUCCEEDED]))
    assert [job.name for job in done.jobs] == [names[2]]
    assert not done.jobs[0].HasField("result")
    odd = await analysis.ListJobs(pb.ListJobsRequest(labels={"n": "1"}))
    assert {job.name for job in odd.jobs} == set(names[1::2])
    first = (await analysis.GetJob(pb.GetJobRequest(name=names[0]))).job
    none = await analysis.ListJobs(pb.ListJobsRequest(create_time_before=first.create_time))
    assert not none.jobs
    everything = await analysis.ListJobs(
        pb.ListJobsRequest(create_time_from=first.create_time, view=job_pb2.JOB_VIEW_FULL)
    )
    assert len(everything.jobs) == 7


async def test_a_client_that_leaves_does_not_cancel_its_job(
    analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes
) -> None:
    """An Analyze that is cut after the first event leaves an accepted job, which comes to its outcome."""
    call = analysis.Analyze(pb.AnalyzeRequest(image=png))
    name = (await call.read()).event.job
    call.cancel()
    worker.do(name)
    job = (await analysis.WaitJob(pb.WaitJobRequest(name=name))).job
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
