"""How an AnalyzeMany stream ends when something else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from msgspec.structs import replace

from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1.analysis_service_pb2_grpc import AnalysisServiceStub
from nevus_core.settings import ServerSettings
from nevus_server.main import serving
from support.channels import target
from support.errors import refusal_of
from support.scripted_worker import ScriptedWorker


async def test_a_drain_ends_it_with_unavailable(settings: ServerSettings, worker: ScriptedWorker, png: bytes) -> None:
    """The caller is told to resume elsewhere, not that something broke."""
    async with serving(settings) as port:
        channel = grpc.aio.insecure_channel(target(port))
        requests = [pb.AnalyzeManyRequest(key=str(number), image=png) for number in range(3)]
        call = AnalysisServiceStub(channel).AnalyzeMany(iter(requests))
        await call.read()
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await _read_all(call)
    refusal = refusal_of(error.value)
    assert (refusal.code, refusal.reason) == ("UNAVAILABLE", "DRAINING")
    await channel.close()


async def test_a_caller_that_leaves_without_reading_leaves_nothing_behind(
    settings: ServerSettings, worker: ScriptedWorker, png: bytes
) -> None:
    """Its handler ends although its outbox is full; no task of it stays."""
    worker.work_in_background()
    before = len(asyncio.all_tasks())
    async with serving(replace(settings, many_window=2)) as port, grpc.aio.insecure_channel(target(port)) as channel:
        idle = len(asyncio.all_tasks())

        async def offers() -> AsyncIterator[pb.AnalyzeManyRequest]:
            for number in range(100):
                yield pb.AnalyzeManyRequest(key=str(number), image=png)

        call = AnalysisServiceStub(channel).AnalyzeMany(offers())
        await call.read()
        call.cancel()
        async with asyncio.timeout(5):
            while len(asyncio.all_tasks()) > idle:  # noqa: ASYNC110  # tasks end when they end
                await asyncio.sleep(0.02)
    assert len(asyncio.all_tasks()) <= before + 1


async def _read_all(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass
