"""grpc.health.v1 tells the truth, to every watcher."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1.analysis_service_pb2_grpc import AnalysisServiceStub
from nevus_core.settings import ServerSettings
from nevus_server.main import serving
from nevus_server.probe import ready
from support.channels import target
from support.errors import refusal_of
from support.scripted_worker import ScriptedWorker

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


def watch(stub: HealthStub, service: str) -> Any:
    """Opens a watch."""
    return stub.Watch(health_pb2.HealthCheckRequest(service=service))


async def test_serving_begins_and_ends_with_the_last_worker(settings: ServerSettings) -> None:
    """NOT_SERVING before any worker, SERVING with a warmed one, NOT_SERVING when it retires; per model too."""
    async with serving(settings) as port, grpc.aio.insecure_channel(target(port)) as channel:
        stub = HealthStub(channel)
        whole, model = watch(stub, ""), watch(stub, "model/notebook-cnn")
        assert (await whole.read()).status == NOT_SERVING
        assert (await model.read()).status == UNKNOWN
        worker = ScriptedWorker(settings.redis_url, settings.key_prefix)
        assert (await whole.read()).status == SERVING
        assert (await model.read()).status == SERVING
        assert await asyncio.to_thread(ready, f"127.0.0.1:{port}")
        worker.close()
        assert (await whole.read()).status == NOT_SERVING
        assert (await model.read()).status == NOT_SERVING
        assert not await asyncio.to_thread(ready, f"127.0.0.1:{port}")


async def test_a_second_watcher_still_hears_after_the_first_has_left(settings: ServerSettings) -> None:
    """The bug of grpcio's own asyncio servicer: cancelling one watch must not deafen the other."""
    async with serving(settings) as port, grpc.aio.insecure_channel(target(port)) as channel:
        stub = HealthStub(channel)
        first, second = watch(stub, ""), watch(stub, "")
        assert (await first.read()).status == (await second.read()).status == NOT_SERVING
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first.read()
        with ScriptedWorker(settings.redis_url, settings.key_prefix):
            assert (await second.read()).status == SERVING
        assert (await second.read()).status == NOT_SERVING


async def test_check_of_an_unknown_service_is_not_found(channel: grpc.aio.Channel) -> None:
    """As the health protocol asks."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="nosuch"))
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_draining_front_end_ends_streams_retryably_and_refuses(
    settings: ServerSettings, worker: ScriptedWorker, png: bytes
) -> None:
    """Watches end with UNAVAILABLE (resume elsewhere), and the job that was watched is still there."""
    async with serving(settings) as port:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        analysis = AnalysisServiceStub(channel)
        call = analysis.Analyze(pb.AnalyzeRequest(image=png))
        name = (await call.read()).event.job
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call.read()
    refusal = refusal_of(error.value)
    assert (refusal.code, refusal.reason) == ("UNAVAILABLE", "DRAINING")
    await channel.close()
    async with serving(settings) as port, grpc.aio.insecure_channel(target(port)) as channel:
        resumed = AnalysisServiceStub(channel).WatchJob(pb.WatchJobRequest(name=name, after_revision=1))
        worker.do(name)
        assert [response.event.revision async for response in resumed] == [2, 3, 4, 5]
