"""grpc.health.v1 that tells the truth: SERVING only while a job could be done.

Our own servicer, because the asyncio one of grpcio-health-checking (1.81.1) forgets its second watcher when the first
one leaves (see grpc/grpc#43403). Names: "" for the whole, each service's full name, and `model/<name>`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthServicer as HealthServicerBase

from nevus_server.fleet import Fleet

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

SERVICES = ("", "nevus.v1.AnalysisService", "nevus.v1.ModelService")


class HealthServicer(HealthServicerBase):  # type: ignore[misc]  # the stub is untyped
    """Statuses by service name, each with any number of watchers.

    Args:
        fleet: What is served; asked after every poll.
        default_model: Without a worker for it the whole is NOT_SERVING.
    """

    def __init__(self, fleet: Fleet, default_model: str) -> None:
        self._fleet = fleet
        self._default_model = default_model
        self._statuses: dict[str, int] = dict.fromkeys(SERVICES, NOT_SERVING)
        self._changed: dict[asyncio.Event, None] = {}
        self._draining = False
        self._closed = False
        fleet.on_poll(self.refresh)

    def refresh(self) -> None:
        """Works out every status anew and wakes the watchers if one has changed."""
        live = {model.card.name for model in self._fleet.live()} if self._fleet.broker_answers else set()
        ready = bool(live) and self._fleet.serves(self._default_model) and not self._draining
        statuses: dict[str, int] = dict.fromkeys(self._statuses, NOT_SERVING)
        statuses.update(dict.fromkeys(SERVICES, SERVING if ready else NOT_SERVING))
        if not self._draining:
            statuses.update({f"model/{name}": SERVING for name in live})
        if statuses != self._statuses:
            self._statuses = statuses
            for changed in self._changed:
                changed.set()

    def drain(self) -> None:
        """Says NOT_SERVING from now on."""
        self._draining = True
        self.refresh()

    def close(self) -> None:
        """Ends every watch; one that stays open would hold the server for its whole grace."""
        self._closed = True
        for changed in self._changed:
            changed.set()

    async def Check(self, request: Any, context: Any) -> Any:
        """Returns a service's status; NOT_FOUND for a name that is not known."""
        if request.service not in self._statuses:
            await context.abort(grpc.StatusCode.NOT_FOUND, "Unknown service.")
        return health_pb2.HealthCheckResponse(status=self._statuses[request.service])

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Streams a service's status, now and whenever it changes."""
        changed = asyncio.Event()
        self._changed[changed] = None
        told = None
        try:
            while True:
                changed.clear()
                status = self._statuses.get(request.service, UNKNOWN)
                if status != told:
                    told = status
                    yield health_pb2.HealthCheckResponse(status=status)
                if self._closed:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "This front end is shutting down.")
                await changed.wait()
        finally:
            del self._changed[changed]
