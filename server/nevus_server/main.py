"""The front end's life: `serve` reads from top to bottom, and is undone in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import grpc
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from redis import asyncio as aioredis

from nevus.v1.analysis_service_pb2_grpc import add_AnalysisServiceServicer_to_server
from nevus.v1.model_service_pb2_grpc import add_ModelServiceServicer_to_server
from nevus_core.broker import CONNECTION
from nevus_core.errors import SettingsError
from nevus_core.front_store import FrontStore, Limits
from nevus_core.heaps import arrange_heaps
from nevus_core.logs import configure_logs, get_logger
from nevus_core.settings import ServerSettings, broker_url, redacted
from nevus_server.analysis_servicer import AnalysisServicer
from nevus_server.events import EventHub
from nevus_server.fleet import Fleet
from nevus_server.health import HealthServicer
from nevus_server.identity import everybody_is_default
from nevus_server.intake import Intake
from nevus_server.interceptor import CallInterceptor
from nevus_server.messages import Messages
from nevus_server.metrics import CallEnded, Metrics
from nevus_server.model_servicer import ModelServicer
from nevus_server.pace import Pace
from nevus_server.reflection import enable_reflection
from nevus_server.sweeper import Sweeper
from nevus_server.watching import Watching

log = get_logger("server")

MESSAGE_MARGIN_BYTES = 16 * 2**20
"""Received messages may be so much larger than the inline limit, so that our own refusal answers, with details."""


def run(settings: ServerSettings) -> None:
    """Serves until SIGTERM or SIGINT, then drains."""
    arrange_heaps()
    configure_logs(settings)
    log.info("settings", **redacted(settings))
    if sys.platform == "win32":
        asyncio.run(_run(settings))
    else:
        import uvloop  # a tenth less processor time a job, client included (docs/performance.md)

        uvloop.run(_run(settings))


async def _run(settings: ServerSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(settings):
        _collect_seldom()
        await stop.wait()


def _collect_seldom() -> None:
    """Makes full garbage collections rare: each walks every open watch (80 objects) while all events wait.

    Nothing here makes cycles of any size; what was made until now stays for ever and is not walked at all.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 20, 500)


@contextlib.asynccontextmanager
async def serving(settings: ServerSettings) -> AsyncIterator[int]:
    """Runs a front end while the context lasts; yields the port it listens on. Leaving drains it.

    Raises:
        SettingsError: One of the addresses can't be listened on.
    """
    async with contextlib.AsyncExitStack() as undo:
        store = FrontStore.connect(settings, _limits(settings))
        undo.push_async_callback(store.close)
        messages = Messages(settings)
        stream_client = aioredis.Redis.from_url(broker_url(settings), **CONNECTION)
        undo.push_async_callback(stream_client.aclose)

        hub = EventHub(stream_client, store.keys.events)
        await undo.enter_async_context(_background(hub.run))
        fleet = Fleet(store, settings.worker_grace_s)
        health = HealthServicer(fleet, settings.default_model)
        await fleet.poll()
        await undo.enter_async_context(_background(fleet.run))
        await undo.enter_async_context(_background(Sweeper(store, messages, settings).run))
        pace = Pace(store)
        await undo.enter_async_context(_background(pace.run))
        call_ended = await _expose(settings, Metrics(store, stream_client, hub), undo)

        intake = Intake(store, messages, fleet, pace, settings)
        watching = Watching(store, hub)
        server = _grpc_server(settings, call_ended)
        add_AnalysisServiceServicer_to_server(AnalysisServicer(store, intake, watching, settings), server)
        add_ModelServiceServicer_to_server(ModelServicer(fleet), server)
        add_HealthServicer_to_server(health, server)
        if settings.reflection:
            enable_reflection(server)
        port = _listen(server, settings.listen)
        await server.start()
        log.info("serving", port=port)
        try:
            yield port
        finally:
            log.info("draining")
            health.drain()
            await asyncio.sleep(settings.probe_period_s)
            intake.drain()
            hub.close()
            health.close()
            await server.stop(settings.drain_s)
            log.info("stopped")


async def _expose(settings: ServerSettings, metrics: Metrics, undo: contextlib.AsyncExitStack) -> CallEnded:
    """Serves the metrics if the settings ask for it; returns what to tell of each call."""
    if not settings.metrics_listen:
        return lambda _method, _code, _seconds: None
    await metrics.refresh()
    await undo.enter_async_context(metrics.served(settings.metrics_listen))
    await undo.enter_async_context(_background(metrics.run))
    return metrics.call_ended


def _limits(settings: ServerSettings) -> Limits:
    return Limits(
        max_queued=settings.max_queued,
        max_queued_per_tenant=settings.max_queued_per_tenant,
        max_held_bytes=settings.max_held_bytes,
        max_held_bytes_per_tenant=settings.max_held_bytes_per_tenant,
        result_ttl_ms=round(settings.result_ttl_s * 1000),
        letter_ttl_ms=round(settings.dead_letter_ttl_s * 1000),
    )


def _grpc_server(settings: ServerSettings, call_ended: CallEnded) -> grpc.aio.Server:
    limit = settings.inline_limit_bytes + MESSAGE_MARGIN_BYTES
    return grpc.aio.server(
        interceptors=[CallInterceptor(everybody_is_default, call_ended)],
        options=[
            ("grpc.max_receive_message_length", limit),
            ("grpc.max_send_message_length", limit),
            ("grpc.so_reuseport", 0),  # a port in use is an error, not a silent sharing
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
        ],
    )


def _listen(server: grpc.aio.Server, address: str) -> int:
    try:
        return int(server.add_insecure_port(address))
    except RuntimeError as error:
        raise SettingsError(
            f"Can't listen on {address}: it is in use or not an address of this machine. Choose another with --listen."
        ) from error


@contextlib.asynccontextmanager
async def _background(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Runs `work` while the context lasts."""
    task = asyncio.create_task(_keep_running(work))
    try:
        yield
    finally:
        # More than once: redis-py 8.1 swallows a cancellation that meets it while it connects (seen on Python 3.11).
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=0.2)


async def _keep_running(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A fault in the background is loud, but must not take the calls of everybody with it."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("background_task_failed")
        await asyncio.sleep(1)
