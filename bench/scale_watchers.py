"""Thousands of WatchJob streams in one client process: raw stubs, a few channels, and a stamp for every event."""

from __future__ import annotations

import asyncio
import contextlib
import time
from multiprocessing.connection import Connection
from typing import Any

import grpc

from bench.scale_stand import blank_png
from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1.analysis_service_pb2_grpc import AnalysisServiceStub

CHANNELS = 2
OPENING = 100
"""Watches that are being opened at a time."""

Heard = tuple[int, int, int, int, int]
"""Number of the watch, revision, monotonic nanoseconds and wall milliseconds at receipt, the event's own time in ms."""


class Watchers:
    """All watches of one process.

    Args:
        names: One job a watch.
        renewals: So many watches that end are followed by another one, of a job submitted then: the number of open
            watches stays the same for that long.
    """

    def __init__(self, names: list[str], renewals: int) -> None:
        self.names = names
        self._renewals = renewals
        self._image = blank_png()
        self.heard: list[Heard] = []
        self.broken: list[str] = []
        self._waiting = len(names)
        self._all_open = asyncio.Event()
        self._opening = asyncio.Semaphore(OPENING)

    async def run(self, target: str, pipe: Connection) -> None:
        """Opens every watch, says "open", and follows each to its end."""
        async with contextlib.AsyncExitStack() as stack:
            stubs = []
            for _ in range(CHANNELS):
                # Without its own pool every channel to one address would share one connection.
                channel = grpc.aio.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)])
                await stack.enter_async_context(channel)
                stubs.append(AnalysisServiceStub(channel))  # type: ignore[no-untyped-call]  # generated
            watches = [
                asyncio.create_task(self._watch(stubs[number % CHANNELS], number)) for number in range(len(self.names))
            ]
            await self._all_open.wait()
            pipe.send("open")
            await asyncio.gather(*watches)

    async def _watch(self, stub: Any, number: int) -> None:
        await self._opening.acquire()
        opened = False
        try:
            async for response in stub.WatchJob(pb.WatchJobRequest(name=self.names[number])):
                self._note(number, response.event)
                if not opened:
                    opened = True
                    self._open_one()
        except grpc.aio.AioRpcError as error:
            self.broken.append(f"{error.code()}: {error.details()}")
        if not opened:
            self._open_one()
        if self._renewals:
            self._renewals -= 1
            await self._renew(stub)

    async def _renew(self, stub: Any) -> None:
        number = len(self.names)
        self.names.append("")
        self.names[number] = (await stub.SubmitJob(pb.SubmitJobRequest(image=self._image))).job.name
        self._waiting += 1
        await self._watch(stub, number)

    def _open_one(self) -> None:
        self._opening.release()
        self._waiting -= 1
        if not self._waiting:
            self._all_open.set()

    def _note(self, number: int, event: Any) -> None:
        at_ms = event.event_time.seconds * 1000 + event.event_time.nanos // 1_000_000
        self.heard.append((number, event.revision, time.monotonic_ns(), time.time_ns() // 1_000_000, at_ms))


def watch(pipe: Connection, target: str) -> None:
    """Takes job names and a number of renewals from the pipe, says "open" once all are watched.

    At the end it sends the names of all jobs that were watched, what was heard of them, and what broke.
    """
    watchers = Watchers(*pipe.recv())
    asyncio.run(watchers.run(target, pipe))
    pipe.send((watchers.names, watchers.heard, watchers.broken))
    pipe.close()
