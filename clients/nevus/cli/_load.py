"""A closed loop: always the same number of images in flight, the next one sent the moment that one is answered.

What an integrator would write: `nevus.AsyncClient.analyze`, or `stream` to see every event. Nothing is retried, so that
a refusal is seen as one; a lane that was refused pauses before it goes on, or it would do nothing but ask.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from nevus.aio import AsyncClient
from nevus.cli._figures import Figures, Tally
from nevus.cli._session import NO_SERVER, exit_code
from nevus.errors import NevusError
from nevus.jobs import Job, JobState, Options

PAUSE_S = 0.1
"""After a refusal that names no delay."""

DRAIN_S = 30.0
"""How long the last answers are waited for; what is still on the way then has failed."""


class Load:
    """Sends images, again and again in their order, for as long as it is told.

    Args:
        client: Should retry nothing.
        images: Whole files; already in memory, so that no disk is measured.
        options: For every image.
        events: Whether every event is streamed, the boxes among them, or the outcome alone is waited for.

    Attributes:
        succeeded: Images answered within a window.
        failed: Images that got no result, those before and after the windows included.
        failed_within: Those within the windows alone.
        server_missed: Whether any failed because no server could take it.
    """

    def __init__(self, client: AsyncClient, images: Sequence[bytes], options: Options, *, events: bool = False) -> None:
        self._client = client
        self._images = images
        self._options = options
        self._events = events
        self._sent = 0
        self._on = False
        self._in_flight = 0
        self._tally = Tally()
        self.succeeded = 0
        self.failed = 0
        self.failed_within = 0
        self.server_missed = False

    @asynccontextmanager
    async def running(self, in_flight: int) -> AsyncIterator[None]:
        """Keeps `in_flight` images on the way while the context lasts; its end waits for the last answers."""
        self._on, self._in_flight = True, in_flight
        async with asyncio.TaskGroup() as group:
            lanes = [group.create_task(self._lane()) for _ in range(in_flight)]
            yield
            self._on = False
            _, late = await asyncio.wait(lanes, timeout=DRAIN_S)
            for lane in late:
                self._note("NO_ANSWER")
                lane.cancel()

    async def window(self, seconds: float) -> Figures:
        """Returns the figures of what was answered within so many seconds from now."""
        tally = self._tally = Tally()
        began_s, cpu_s = time.perf_counter(), time.process_time()
        await asyncio.sleep(seconds)
        lasted_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
        self._tally = Tally()
        self.succeeded += len(tally.latencies_s)
        self.failed_within += tally.errors.total()
        return tally.figures(self._in_flight, lasted_s, cpu_s)

    async def _lane(self) -> None:
        while self._on:
            image = self._images[self._sent % len(self._images)]
            self._sent += 1
            try:
                await self._one(image)
            except NevusError as error:
                self.server_missed |= exit_code(error) == NO_SERVER
                self._note(error.reason or error.code)
                await asyncio.sleep(error.retry_after_s or PAUSE_S)

    async def _one(self, image: bytes) -> None:
        began_s, regions_s = time.perf_counter(), None
        job: Job | None = None
        if not self._events:
            job = await self._client.analyze(image, **self._options)
        else:
            async for event in self._client.stream(image, **self._options):
                if event.regions is not None:
                    regions_s = time.perf_counter()
                if event.final:
                    job = event.snapshot
        ended_s = time.perf_counter()
        if job is None or job.state is not JobState.SUCCEEDED:
            self._note(job.error.reason if job and job.error else "NO_OUTCOME")
            return
        self._tally.answer(job, ended_s - began_s, None if regions_s is None else ended_s - regions_s)

    def _note(self, reason: str) -> None:
        self.failed += 1
        self._tally.errors[reason] += 1
