"""A closed loop: always the same number of images in flight, the next one sent the moment that one is answered.

`nevus.cli._lanes` sends them. Nothing is retried, so that a refusal is seen as one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

from nevus.aio import AsyncClient
from nevus.cli._figures import Figures, Tally
from nevus.cli._lanes import Answer, CallLane, Calls, Lane, StreamLane
from nevus.cli._session import NO_SERVER, exit_code
from nevus.errors import NevusError
from nevus.jobs import JobState, Options

DRAIN_S = 30.0
"""How long the last answers are waited for; what is still on the way then has failed."""


class Load:
    """Sends images, again and again in their order, for as long as it is told.

    Args:
        client: Should retry nothing.
        images: Whole files; already in memory, so that no disk is measured.
        options: For every image.
        calls: Which way they travel.
        events: Whether every event is streamed, the boxes among them, or the outcome alone is waited for; not on one
            stream for all.

    Attributes:
        succeeded: Images answered within a window.
        failed: Images that got no result, those before and after the windows included.
        failed_within: Those within the windows alone.
        server_missed: Whether any failed because no server could take it.
    """

    def __init__(
        self, client: AsyncClient, images: Sequence[bytes], options: Options, *, calls: Calls, events: bool
    ) -> None:
        self._client = client
        self._images = images
        self._options = options
        self._calls = calls
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
            lanes = {group.create_task(self._drive(lane)): lane for lane in self._lanes(in_flight)}
            yield
            self._on = False
            _, late = await asyncio.wait(lanes, timeout=DRAIN_S)
            for task in late:
                for _ in range(lanes[task].under_way):
                    self._note("NO_ANSWER")
                task.cancel()

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

    def _lanes(self, in_flight: int) -> list[Lane]:
        """Returns the lanes that keep so many images on the way together."""
        images = self._turns()
        several = in_flight > 1 and not self._events
        if self._calls is Calls.MANY or (self._calls is Calls.AUTO and several):
            return [StreamLane(self._client, images, self._options, in_flight)]
        return [CallLane(self._client, images, self._options, events=self._events) for _ in range(in_flight)]

    def _turns(self) -> Iterator[bytes]:
        """Yields the next image's turn until the load is told to stop."""
        while self._on:
            self._sent += 1
            yield self._images[(self._sent - 1) % len(self._images)]

    async def _drive(self, lane: Lane) -> None:
        async for answer in lane.answers():
            self._take(answer)

    def _take(self, answer: Answer) -> None:
        job = answer.outcome
        if isinstance(job, NevusError):
            self.server_missed |= exit_code(job) == NO_SERVER
            self._note(job.reason or job.code)
        elif job is None or job.state is not JobState.SUCCEEDED:
            self._note(job.error.reason if job and job.error else "NO_OUTCOME")
        else:
            self._tally.answer(job, answer.latency_s, answer.lead_s)

    def _note(self, reason: str) -> None:
        self.failed += 1
        self._tally.errors[reason] += 1
