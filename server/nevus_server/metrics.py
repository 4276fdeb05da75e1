"""Metrics for Prometheus: what this front end counts itself, and what workers and broker say, over HTTP.

The event loop takes a snapshot every second; the HTTP server answers from the latest one, in threads of its own, so
that no scrape ever waits for the loop or the loop for a scrape. docs/metrics.md lists all names.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from redis import asyncio as aioredis

from nevus_core.backlog import read_backlog
from nevus_core.errors import SettingsError, Unavailable
from nevus_core.front_store import FrontStore
from nevus_core.logs import get_logger
from nevus_server.events import EventHub
from nevus_server.metric_families import Snapshot, families

log = get_logger("metrics")

CallEnded = Callable[[str, str, float], None]
"""Told of a call when it ends: its method's bare name, the name of its gRPC code, its seconds."""

REFRESH_S = 1.0
STALE_S = 10.0
"""A snapshot older than this (a broker that hangs, a loop that hangs) counts as a broker that is away."""

RPC_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Bounds for calls: a submission takes milliseconds, an analysis tenths of a second, a watch up to an hour."""


class Metrics(Collector):
    """Everything that one front end exposes.

    Args:
        store: Reads what workers say, and the counters.
        client: Reads what lies in the broker; does not decode replies.
        hub: Knows the open watches.
        monotonic: Instead of `time.monotonic`.
    """

    def __init__(
        self,
        store: FrontStore,
        client: aioredis.Redis,
        hub: EventHub,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._client = client
        self._hub = hub
        self._monotonic = monotonic
        self._latest: tuple[float, Snapshot] = (monotonic(), Snapshot())
        # Each counter would bring a second series, its time of birth.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._rpcs = Counter("nevus_rpcs", "Calls that ended.", ["method", "code"], registry=self.registry)
        self._rpc_seconds = Histogram(
            "nevus_rpc_seconds",
            "Duration of calls, streams included.",
            ["method"],
            buckets=RPC_SECONDS,
            registry=self.registry,
        )
        self.registry.register(self)

    def call_ended(self, method: str, code: str, seconds: float) -> None:
        """Counts a call, as `CallEnded` says."""
        self._rpcs.labels(method, code).inc()
        self._rpc_seconds.labels(method).observe(seconds)

    async def run(self) -> None:
        """Takes snapshots for ever."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_S)

    async def refresh(self) -> None:
        """Takes a snapshot; one of a broker that is away holds nothing of broker and workers."""
        try:
            workers = await self._store.workers()
            counters = await self._store.stats()
            backlog = await read_backlog(self._client, self._store.keys)
        except Unavailable:
            snapshot = Snapshot(watches=self._hub.watchers)
        else:
            snapshot = Snapshot(self._hub.watchers, workers, counters, backlog)
        self._latest = (self._monotonic(), snapshot)

    def collect(self) -> Iterable[Metric]:
        """Returns the latest snapshot as Prometheus' families; called in threads of the HTTP server."""
        at_s, snapshot = self._latest
        if self._monotonic() - at_s > STALE_S:
            snapshot = Snapshot(watches=snapshot.watches)
        return families(snapshot)

    @contextlib.asynccontextmanager
    async def served(self, listen: str) -> AsyncIterator[None]:
        """Answers GET /metrics while the context lasts.

        Args:
            listen: HOST:PORT; an IPv6 host in brackets.

        Raises:
            SettingsError: It is no such thing, not an address of this machine, or in use.
        """
        host, port = _host_and_port(listen)
        try:
            server, thread = await asyncio.to_thread(start_http_server, port, host, self.registry)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "it is no port"
            raise SettingsError(
                f"Can't serve metrics on {listen}: {reason}. Choose another address with NEVUS_METRICS_LISTEN, "
                "or none by leaving it empty."
            ) from error
        log.info("metrics", listen=listen)
        try:
            yield
        finally:
            await asyncio.to_thread(server.shutdown)
            server.server_close()
            thread.join()


def _host_and_port(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise SettingsError(f"NEVUS_METRICS_LISTEN={listen}: must be HOST:PORT, for example 127.0.0.1:9464.")
    return host.strip("[]"), int(port)
