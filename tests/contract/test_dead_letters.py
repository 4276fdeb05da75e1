"""Jobs that failed through no fault of their image, and their second chance."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import pytest
from typer.testing import CliRunner

from nevus.cli import build_app
from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1 import job_pb2
from nevus.v1.analysis_service_pb2_grpc import AnalysisServiceStub
from nevus_core.records import Failure
from nevus_core.settings import ServerSettings
from nevus_server.main import serving
from support.channels import target
from support.errors import refusal_of
from support.scripted_worker import ScriptedWorker


async def dead_letter(analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes) -> str:
    """Returns the name of a job that failed with a fault of ours."""
    options = job_pb2.AnalysisOptions(priority=job_pb2.JOB_PRIORITY_STAT, labels={"a": "b"})
    name = (await analysis.SubmitJob(pb.SubmitJobRequest(image=png, options=options))).job.name
    failure = Failure(code="INTERNAL", reason="INTERNAL", message="Made up.")
    worker.store.settle_failed(worker.claim(name), failure)
    return name


async def test_a_dead_letter_becomes_a_new_job(
    analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes
) -> None:
    """Same image and options, another name; the old job stays as it was; a repeat with the request id is the same."""
    letter = await dead_letter(analysis, worker, png)
    request = pb.ResubmitJobRequest(name=letter, request_id=str(uuid.uuid4()))
    again = (await analysis.ResubmitJob(request)).job
    assert again.name != letter
    old = (await analysis.GetJob(pb.GetJobRequest(name=letter))).job
    assert (again.options, again.image) == (old.options, old.image)
    assert old.state == job_pb2.JOB_STATE_FAILED
    worker.do(again.name)
    done = (await analysis.GetJob(pb.GetJobRequest(name=again.name))).job
    assert done.state == job_pb2.JOB_STATE_SUCCEEDED


async def test_what_is_no_dead_letter_is_refused(
    analysis: AnalysisServiceStub, worker: ScriptedWorker, png: bytes
) -> None:
    """A job that succeeded, that waits, or whose image was at fault has no image to try again."""
    names = [(await analysis.SubmitJob(pb.SubmitJobRequest(image=png))).job.name for _ in range(3)]
    worker.do(names[0])
    worker.fail(worker.claim(names[1]))
    for name in names:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await analysis.ResubmitJob(pb.ResubmitJobRequest(name=name))
        refusal = refusal_of(error.value)
        assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "NO_DEAD_LETTER")


async def test_the_command_submits_dead_letters_again(
    settings: ServerSettings, worker: ScriptedWorker, png: bytes
) -> None:
    """`nevus list --state failed` finds them, `nevus resubmit` prints the new names; one that is none fails alone."""
    async with serving(settings) as port, grpc.aio.insecure_channel(target(port)) as channel:
        letter = await dead_letter(AnalysisServiceStub(channel), worker, png)

        def nevus(*words: str) -> tuple[int, str]:
            answer = CliRunner().invoke(build_app(), [*words, "--target", target(port)])
            return answer.exit_code, answer.stdout

        code, listed = await asyncio.to_thread(nevus, "list", "--state", "failed")
        assert code == 0
        assert letter in listed
        code, printed = await asyncio.to_thread(nevus, "resubmit", letter, "jobs/0123")
        assert code == 1
        (new,) = [line for line in printed.splitlines() if line.startswith("jobs/")]
        assert new != letter
