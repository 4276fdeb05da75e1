"""AnalyzeMany over a sync channel: a generator for the caller, a sender in gRPC's own thread, the books between them.

gRPC takes requests from an iterator in a thread of its own. That thread waits for room in the window, takes the
caller's next image and reads its file; the caller's thread reads responses. A large image ends the stream, is uploaded
once everything before it has its outcome, and the next stream goes on from there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
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


class ManyRun(Generic[K]):
    """One run of `Client.analyze_many`.

    Args:
        items: The caller's keys and images; taken one at a time, as there is room.
        options: For every image.
        in_flight: Most images on the way at a time.
        final_only: Whether only final events are yielded.
        policy: Retries.
        open_stream: Opens an AnalyzeMany call on an iterator of requests.
        follow_large: Uploads one image (with its request id) and yields its events.
        to_error: Makes our error of a grpc.RpcError.
    """

    def __init__(
        self,
        items: Iterable[tuple[K, Image]],
        *,
        options: job_pb2.AnalysisOptions,
        in_flight: int,
        final_only: bool,
        policy: RetryPolicy,
        open_stream: Callable[[Iterator[pb.AnalyzeManyRequest]], Any],
        follow_large: Callable[[Image, str], Iterator[Event]],
        to_error: Callable[[grpc.RpcError], NevusError],
    ) -> None:
        self._source = iter(items)
        self._ledger: Ledger[K] = Ledger(options, in_flight, policy, final_only=final_only)
        self._policy = policy
        self._open_stream = open_stream
        self._follow_large = follow_large
        self._to_error = to_error
        self._changed = threading.Condition()
        self._source_lock = threading.Lock()
        # A sender whose stream is gone may still sit in the caller's iterator; the number tells it that it is late.
        self._stream_number = 0

    def events(self) -> Iterator[tuple[K, Event | NevusError]]:
        """Yields every image's events and its outcome.

        Raises:
            NevusError: The stream failed for good; images without an outcome may still be worked on.
            Exception: Whatever the caller's iterable raised.
        """
        while (item := self._first_waiting()) is not None:
            yield from self._ledger.failed_here()
            yield from self._upload(item) if item.large else self._one_stream()
        yield from self._ledger.failed_here()
        if self._ledger.source_error is not None:
            raise self._ledger.source_error

    def _one_stream(self) -> Iterator[tuple[K, Event | NevusError]]:
        """Yields what one stream brings; returns when it ends well or can be followed by another."""
        error: NevusError | None = None
        with self._changed:
            self._stream_number += 1
            pause_s = self._ledger.pause_s()
        self._policy.sleep(pause_s or 0.0)
        call = self._open_stream(self._requests(self._stream_number))
        try:
            for response in call:
                with self._changed:
                    update = self._ledger.accept(response)
                    self._changed.notify_all()
                yield from self._ledger.failed_here()
                if update is not None:
                    yield update
        except grpc.RpcError as failure:
            error = self._to_error(failure)
        finally:
            call.cancel()
            with self._changed:
                self._stream_number += 1
                error = error or (ended_early() if self._ledger.pending else None)
                self._ledger.cut()
                self._changed.notify_all()
        if error is not None and not self._ledger.finished():
            self._ledger.backoff.pause(error)

    def _upload(self, item: Item[K]) -> Iterator[tuple[K, Event | NevusError]]:
        """Yields the events of one large image."""
        self._ledger.waiting.popleft()
        try:
            for event in self._follow_large(item.image, item.request_id):
                if self._ledger.wanted(event):
                    yield item.key, event
        except NevusError as error:
            yield item.key, error

    def _requests(self, stream_number: int) -> Iterator[pb.AnalyzeManyRequest]:
        """Yields what to send on one stream; returns, which half-closes it, when nothing more goes on this one."""
        while True:
            with self._changed:
                pause_s = self._ledger.pause_s()
                if self._stream_number != stream_number:
                    return
                if pause_s is None or pause_s > 0:
                    self._changed.wait(pause_s)
                    continue
                started = self._ledger.start() if self._ledger.waiting else None
                if started is None and (self._ledger.waiting or self._ledger.exhausted):
                    return
            if started is None:
                self._pull()
            elif (request := self._ledger.request(*started)) is not None:
                yield request

    def _first_waiting(self) -> Item[K] | None:
        """Returns the image to go on with, or None when all have been sent. Called while no stream is open."""
        while True:
            with self._changed:
                if self._ledger.waiting:
                    return self._ledger.waiting[0]
                if self._ledger.exhausted:
                    return None
            self._pull()

    def _pull(self) -> None:
        """Takes one image from the caller's iterable into the books, unless another thread just did."""
        with self._source_lock:
            with self._changed:
                if self._ledger.waiting or self._ledger.exhausted:
                    return
            try:
                key, image = next(self._source)
            except StopIteration:
                self._ledger.end_of_source()
            except Exception as error:  # noqa: BLE001 -- gRPC's thread must not die of it; `events` raises it
                self._ledger.end_of_source(error)
            else:
                with self._changed:
                    self._ledger.add(key, image)
