"""A real front end on loopback, real gRPC to it, a real broker behind it, and a worker that does what a test says."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from nevus.v1.analysis_service_pb2_grpc import AnalysisServiceStub
from nevus.v1.model_service_pb2_grpc import ModelServiceStub
from nevus_core.settings import ServerSettings, load_settings
from nevus_server.main import serving
from support import made_up
from support.images import drawn_png
from support.scripted_worker import ScriptedWorker


@pytest.fixture
def settings(broker_url: str, key_prefix: str) -> ServerSettings:
    """The front end's settings; a test's module may override this fixture."""
    return load_settings(
        ServerSettings,
        {},
        listen="127.0.0.1:0",
        redis_url=broker_url,
        key_prefix=key_prefix,
        default_model=made_up.CARD.name,
        drain_s=2.0,
        probe_period_s=0.0,
        wait_cap_s=5.0,
        worker_grace_s=1.0,
        reflection=True,
        log_level="error",
    )


@pytest.fixture
def worker(settings: ServerSettings) -> Iterator[ScriptedWorker]:
    """A live worker that waits for the test's word."""
    with ScriptedWorker(settings.redis_url, settings.key_prefix) as scripted:
        yield scripted


@pytest.fixture
async def channel(settings: ServerSettings, worker: ScriptedWorker) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a front end that has seen the worker."""
    async with serving(settings) as port, open_channel(port) as opened:
        yield opened


@contextlib.asynccontextmanager
async def open_channel(port: int) -> AsyncIterator[grpc.aio.Channel]:
    """Opens a channel that may send messages as large as the server takes."""
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as opened:
        yield opened


@pytest.fixture
def analysis(channel: grpc.aio.Channel) -> AnalysisServiceStub:
    """AnalysisService."""
    return AnalysisServiceStub(channel)


@pytest.fixture
def models(channel: grpc.aio.Channel) -> ModelServiceStub:
    """ModelService."""
    return ModelServiceStub(channel)


@pytest.fixture(scope="session")
def png() -> bytes:
    """A small valid image."""
    return drawn_png(200, 100)
