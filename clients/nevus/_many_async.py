"""AnalyzeMany over a grpc.aio channel: `nevus._many` for asyncio.

One task writes, the caller's `async for` reads; both stand on the same `nevus._ledger`. All runs on one event loop, so
there are no locks; an Event tells the writer that an outcome made room. Files are read in threads. Images in memory and
iterables that are not async are taken on the loop: a task or a thread for each image would cost more than they do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Any, Generic, TypeVar

import grpc

from nevus._ledger import Item, Ledger, ended_early
from nevus._requests import Image
from nevus._retry import RetryPolicy
from nevus.errors import NevusError
from nevus.jobs import Event
from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1 import job_pb2

K = TypeVar("K")


class AsyncManyRun(Generic[K]):
    """One run of `AsyncClient.analyze_many`. Arguments as `nevus._many.ManyRun`; `items` may be async as well."""

    def __init__(
        self,
        items: Iterable[tuple[K, Image]] | AsyncIterable[tuple[K, Image]],
        *,
        options: job_pb2.AnalysisOptions,
        in_flight: int,
        final_only: bool,
        policy: RetryPolicy,
        open_stream: Callable[[], Any],
        follow_large: Callable[[Image, str], AsyncIterator[Event]],
        to_error: Callable[[grpc.aio.AioRpcError], NevusError],
    ) -> None:
        self._source = aiter(items) if isinstance(items, AsyncIterable) else None
        self._plain_source = None if isinstance(items, AsyncIterable) else iter(items)
        self._ledger: Ledger[K] = Ledger(options, in_flight, policy, final_only=final_only)
        self._policy = policy
        self._open_stream = open_stream
        self._follow_large = follow_large
        self._to_error = to_error
        self._room = asyncio.Event()
        self._pulling: asyncio.Task[None] | None = None

    async def events(self) -> AsyncIterator[tuple[K, Event | NevusError]]:
        """Yields every image's events and its outcome.

        Raises:
            NevusError: The stream failed for good; images without an outcome may still be worked on.
            Exception: Whatever the caller's iterable raised.
        """
        try:
            while (item := await self._first_waiting()) is not None:
                for outcome in self._ledger.failed_here():
                    yield outcome
                async for update in self._upload(item) if item.large else self._one_stream():
                    yield update
            for outcome in self._ledger.failed_here():
                yield outcome
            if self._ledger.source_error is not None:
                raise self._ledger.source_error
        finally:
            if self._pulling is not None:
                self._pulling.cancel()

    async def _one_stream(self) -> AsyncIterator[tuple[K, Event | NevusError]]:
        """Yields what one stream brings; returns when it ends well or can be followed by another."""
        error: NevusError | None = None
        await self._policy.sleep_async(self._ledger.pause_s() or 0.0)
        call = self._open_stream()
        writer = asyncio.create_task(self._write(call))
        try:
            async for response in call:
                update = self._ledger.accept(response)
                self._room.set()
                for outcome in self._ledger.failed_here():
                    yield outcome
                if update is not None:
                    yield update
        except grpc.aio.AioRpcError as failure:
            error = self._to_error(failure)
        finally:
            writer.cancel()
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            error = error or (ended_early() if self._ledger.pending else None)
            self._ledger.cut()
        if error is not None and not self._ledger.finished():
            await self._ledger.backoff.pause_async(error)

    async def _upload(self, item: Item[K]) -> AsyncIterator[tuple[K, Event | NevusError]]:
        """Yields the events of one large image."""
        self._ledger.waiting.popleft()
        try:
            async for event in self._follow_large(item.image, item.request_id):
                if self._ledger.wanted(event):
                    yield item.key, event
        except NevusError as error:
            yield item.key, error

    async def _write(self, call: Any) -> None:
        """Sends images as there is room; half-closes when nothing more goes on this stream.

        A broken stream ends it quietly: the reader sees the same break and says why.
        """
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                self._room.clear()
                pause_s = self._ledger.pause_s()
                if pause_s is None or pause_s > 0:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._room.wait(), pause_s)
                    continue
                started = self._ledger.start() if self._ledger.waiting else None
                if started is not None:
                    request = await self._request(*started)
                    if request is not None:
                        await call.write(request)
                elif self._ledger.waiting or self._ledger.exhausted:
                    # Where the stream breaks at this moment, grpc.aio lets out an error of its own that is not public.
                    with contextlib.suppress(Exception):
                        await call.done_writing()
                    return
                else:
                    await self._pull()

    async def _request(self, wire_key: str, item: Item[K]) -> pb.AnalyzeManyRequest | None:
        """Returns `Ledger.request`, which is called in a thread where it reads a file."""
        if item.in_memory:
            return self._ledger.request(wire_key, item)
        return await asyncio.to_thread(self._ledger.request, wire_key, item)

    async def _first_waiting(self) -> Item[K] | None:
        """Returns the image to go on with, or None when all have been sent. Called while no stream is open."""
        while not self._ledger.waiting:
            if self._ledger.exhausted:
                return None
            await self._pull()
        return self._ledger.waiting[0]

    async def _pull(self) -> None:
        """Takes one image from the caller's iterable into the books.

        From an async one in a task that outlives a cut: cancelling it would end the caller's async generator.
        """
        if self._source is not None:
            if self._pulling is None:
                self._pulling = asyncio.create_task(self._pull_async(self._source))
            await asyncio.shield(self._pulling)
        elif self._plain_source is not None:
            self._ledger.take(self._plain_source)
            if not self._ledger.waiting:
                await asyncio.sleep(0)  # unreadable; a row of those must not hold up the loop

    async def _pull_async(self, source: AsyncIterator[tuple[K, Image]]) -> None:
        try:
            key, image = await anext(source)
        except StopAsyncIteration:
            self._ledger.end_of_source()
        except Exception as error:  # noqa: BLE001 -- the writer must not die of it; `events` raises it
            self._ledger.end_of_source(error)
        else:
            self._ledger.add(key, image)
        finally:
            self._pulling = None
