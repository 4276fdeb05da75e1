"""The ways in which a load's images travel: a call an image, or all over one stream. Each yields what came of them.

What an integrator would write, with `nevus.AsyncClient`: `analyze`, or `stream` to see every event, or `analyze_many`.
The next image is taken the moment that one is answered, as long as there are any.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from nevus.aio import AsyncClient
from nevus.errors import NevusError
from nevus.jobs import Event, Job, Options

PAUSE_S = 0.1
"""After a refusal that names no delay."""


class Calls(StrEnum):
    """Which way images travel. AUTO: MANY where there are several in flight and no events are asked for."""

    AUTO = "auto"
    MANY = "many"
    SINGLE = "single"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one image.

    Attributes:
        outcome: Its job as the final event tells of it, None where that told nothing; or why it was not accepted.
        latency_s: From handing it over for sending to its outcome.
        lead_s: From the event with the boxes to the final one; None where that is not known.
    """

    outcome: Job | NevusError | None
    latency_s: float
    lead_s: float | None = None


class Lane(Protocol):
    """A way on which images travel."""

    @property
    def under_way(self) -> int:
        """How many images have no outcome yet."""

    def answers(self) -> AsyncIterator[Answer]:
        """Yields what comes of the images; ends when there are no more and all have their outcome."""


class CallLane:
    """One Analyze call an image, one image at a time. After a refusal it pauses, or it would do nothing but ask.

    Args:
        client: Should retry nothing, so that a refusal is seen as one.
        images: Where the next one is taken from; shared with other lanes.
        options: For every image.
        events: Whether every event is streamed, or the outcome alone is waited for.
    """

    def __init__(self, client: AsyncClient, images: Iterator[bytes], options: Options, *, events: bool) -> None:
        self._client = client
        self._images = images
        self._options = options
        self._events = events
        self.under_way = 0

    async def answers(self) -> AsyncIterator[Answer]:
        """Yields an answer a call."""
        for image in self._images:
            self.under_way = 1
            began_s = time.perf_counter()
            try:
                answer = await self._one(image, began_s)
            except NevusError as error:
                answer = Answer(error, time.perf_counter() - began_s)
            self.under_way = 0
            yield answer
            if isinstance(answer.outcome, NevusError):
                await _pause(answer.outcome)

    async def _one(self, image: bytes, began_s: float) -> Answer:
        """Returns what comes of an image whose call begins now.

        Raises:
            NevusError: It was not accepted, or the call broke.
        """
        if not self._events:
            job = await self._client.analyze(image, **self._options)
            return Answer(job, time.perf_counter() - began_s)
        regions_s, last = None, None
        async for last in self._client.stream(image, **self._options):
            if last.regions is not None:
                regions_s = time.perf_counter()
        ended_s = time.perf_counter()
        return Answer(
            last.snapshot if last and last.final else None,
            ended_s - began_s,
            None if regions_s is None else ended_s - regions_s,
        )


class StreamLane:
    """All images over one AnalyzeMany stream, whose window keeps so many of them in flight; final events only.

    An image that is refused has its answer, and the next one goes. A stream that fails fails for all that are on it;
    after a pause the next one is opened.

    Args:
        client: Should retry nothing, so that a refusal is seen as one.
        images: Where the next one is taken from.
        options: For every image.
        in_flight: Most images on the way at a time.
    """

    def __init__(self, client: AsyncClient, images: Iterator[bytes], options: Options, in_flight: int) -> None:
        self._client = client
        self._images = images
        self._options = options
        self._in_flight = in_flight
        self._numbers = itertools.count()
        self._began_s: dict[int, float] = {}

    @property
    def under_way(self) -> int:
        """How many images have no outcome yet."""
        return len(self._began_s)

    async def answers(self) -> AsyncIterator[Answer]:
        """Yields answers as the stream brings them, and an answer for each image that a broken stream leaves."""
        while True:
            updates = self._client.analyze_many(
                self._items(), in_flight=self._in_flight, final_only=True, **self._options
            )
            try:
                async for number, update in updates:
                    yield self._answer(number, update)
            except NevusError as error:
                for number in tuple(self._began_s):
                    yield self._answer(number, error)
                await _pause(error)
            else:
                return

    def _items(self) -> Iterator[tuple[int, bytes]]:
        """Yields images under their numbers; the library takes one when there is room, and sends it at once."""
        for image in self._images:
            number = next(self._numbers)
            self._began_s[number] = time.perf_counter()
            yield number, image

    def _answer(self, number: int, update: Event | NevusError) -> Answer:
        """Returns the answer for an image that has come to its outcome."""
        latency_s = time.perf_counter() - self._began_s.pop(number)
        return Answer(update if isinstance(update, NevusError) else update.snapshot, latency_s)


async def _pause(error: NevusError) -> None:
    await asyncio.sleep(error.retry_after_s or PAUSE_S)
