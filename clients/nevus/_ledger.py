"""The books of one `analyze_many`: what is to be sent, what is on the way, what came back. No I/O, no threads.

Every image is in one place at a time: still in the caller's iterable, `waiting` (to be sent, or to be sent again),
`pending` (sent, without outcome), or out. After a cut `pending` goes back to `waiting` and is sent again with the same
request ids, which the server answers with the same jobs; events that were handed on before are dropped by their
revision. So each image gets one outcome, whatever happens in between.

The drivers `nevus._many` and `nevus._many_async` bring the stream, and the lock where there are threads.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from nevus import _convert
from nevus._requests import Image, is_large, new_request_id, read_image
from nevus._retry import Backoff, RetryPolicy
from nevus._status import from_status
from nevus.errors import NevusError, Unavailable, UnreadableImage
from nevus.jobs import Event
from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1 import job_pb2

K = TypeVar("K")


@dataclass(slots=True)
class Item(Generic[K]):
    """One image without an outcome.

    Attributes:
        key: The caller's; stays here.
        image: Bytes or path.
        request_id: The same for every time it is sent.
        large: Whether it is over the inline limit and goes by upload.
        revision: Of the last event handed on.
    """

    key: K
    image: Image
    request_id: str
    large: bool
    revision: int = 0

    @property
    def in_memory(self) -> bool:
        """Whether the image is bytes, so that no disk can hold up whoever builds its request."""
        return isinstance(self.image, (bytes, bytearray, memoryview))


class Ledger(Generic[K]):
    """The books.

    Args:
        options: The same for every image.
        in_flight: Most images on the way at a time.
        policy: Retries; one `Backoff` serves the whole run and is reset by any progress.
        final_only: Whether to ask for, and hand on, each image's final event alone.
    """

    def __init__(
        self, options: job_pb2.AnalysisOptions, in_flight: int, policy: RetryPolicy, *, final_only: bool = False
    ) -> None:
        self.waiting: deque[Item[K]] = deque()
        self.pending: dict[str, Item[K]] = {}
        self.exhausted = False
        self.source_error: Exception | None = None
        self.backoff = Backoff(policy)
        # A deque, whose append and popleft need no lock: the sender fills it, the caller's thread empties it.
        self._failed_here: deque[tuple[K, NevusError]] = deque()
        self._options = options
        self._in_flight = max(1, in_flight)
        self._final_only = final_only
        self._clock = policy.clock
        self._resume_at = 0.0
        # The caller's keys never travel: they tend to be file names, which tend to hold names of people.
        self._wire_keys = map(str, itertools.count())

    def add(self, key: K, image: Image) -> None:
        """Takes up the caller's next image; an unreadable one gets its outcome at once."""
        try:
            large = is_large(image)
        except UnreadableImage as error:
            self._failed_here.append((key, error))
        else:
            self.waiting.append(Item(key, image, new_request_id(), large))

    def take(self, source: Iterator[tuple[K, Image]]) -> None:
        """Takes up the next image of the caller's iterator, or notes its end."""
        try:
            key, image = next(source)
        except StopIteration:
            self.end_of_source()
        except Exception as error:  # noqa: BLE001 -- the sender must not die of it; the run raises it at its end
            self.end_of_source(error)
        else:
            self.add(key, image)

    def end_of_source(self, error: Exception | None = None) -> None:
        """Notes that no more images will come, and with what exception the caller's iterable ended."""
        self.exhausted = True
        self.source_error = error

    def pause_s(self) -> float | None:
        """Returns how long the sender must wait: 0 to send now, None until an outcome makes room."""
        if len(self.pending) >= self._in_flight:
            return None
        return max(0.0, self._resume_at - self._clock())

    def start(self) -> tuple[str, Item[K]] | None:
        """Moves the next waiting image to pending and returns it with its wire key, or None where it must be uploaded.

        Raises:
            IndexError: Nothing is waiting.
        """
        if self.waiting[0].large:
            return None
        item = self.waiting.popleft()
        wire_key = next(self._wire_keys)
        self.pending[wire_key] = item
        return wire_key, item

    def request(self, wire_key: str, item: Item[K]) -> pb.AnalyzeManyRequest | None:
        """Returns the request that carries the image, or None where its file can't be read: then it has its outcome."""
        try:
            image = read_image(item.image)
        except UnreadableImage as error:
            if self.pending.pop(wire_key, None):
                self._failed_here.append((item.key, error))
            return None
        return pb.AnalyzeManyRequest(
            key=wire_key,
            image=image,
            options=self._options,
            request_id=item.request_id,
            final_only=self._final_only,
        )

    def failed_here(self) -> Iterator[tuple[K, NevusError]]:
        """Yields the outcomes that came about without the server, each once."""
        while self._failed_here:
            yield self._failed_here.popleft()

    def finished(self) -> bool:
        """Returns whether every image has been sent and has its outcome."""
        return self.exhausted and not self.waiting and not self.pending

    def accept(self, response: pb.AnalyzeManyResponse) -> tuple[K, Event | NevusError] | None:
        """Returns what to hand on for a response, or None where it was handed on before or is to be tried again."""
        item = self.pending.get(response.key)
        if item is None:
            return None
        if response.HasField("error"):
            return self._refused(response.key, item, from_status(response.error))
        if response.event.revision <= item.revision:
            return None
        event = _convert.event(response.event)
        item.revision = event.revision
        self.backoff.reset()
        if event.final:
            del self.pending[response.key]
        return (item.key, event) if self.wanted(event) else None

    def wanted(self, event: Event) -> bool:
        """Returns whether the caller asked for such an event. Uploads, and servers before `final_only`, tell of all."""
        return event.final or not self._final_only

    def cut(self) -> None:
        """Notes that the stream is gone: what has no outcome waits again, before what was never sent."""
        self.waiting.extendleft(reversed(self.pending.values()))
        self.pending.clear()

    def _refused(self, wire_key: str, item: Item[K], error: NevusError) -> tuple[K, NevusError] | None:
        """Returns the refusal as an outcome, unless the image should be sent again later.

        A full queue or an absent broker concerns the next images as well: the whole sender waits, once for all those
        refused together.
        """
        del self.pending[wire_key]
        if error.retryable and self._resume_at > self._clock():
            self.waiting.appendleft(item)
            return None
        delay = self.backoff.delay_s(error)
        if delay is None:
            return item.key, error
        self._resume_at = self._clock() + delay
        self.waiting.appendleft(item)
        return None


def ended_early() -> Unavailable:
    """Returns the error of a stream that ended well, but before every image had its outcome."""
    return Unavailable(
        "The server ended the stream before every image had its outcome. Repeat the call.",
        code="UNAVAILABLE",
        reason="STREAM_ENDED_EARLY",
    )
