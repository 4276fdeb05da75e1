"""The micro-batcher: many task threads hand in one image each, one model thread answers them together.

It never waits for the sake of waiting: a batch leaves as soon as the model is free, unless another job has announced
that its image is on its way, and then at most `max_wait_s` later. Where passes share a core with the decoding they take
turns with it (`turn`), for side by side they drive each other's data out of its caches. A batch that fails is split, so
that only the image that makes the model fail loses its answer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nevus_core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from nevus_workers.models.answers import Answers


@dataclass(frozen=True, slots=True)
class Prediction:
    """One image's answer.

    Attributes:
        probability: Of the positive class, 0..1.
        batch_size: How many images shared the pass.
        map: float32 (rows, columns), 0..1: for each cell of the whole image the probability that it belongs to a
            lesion; its own copy, so that it does not keep the batch's. None of a network that gives no map.
    """

    probability: float
    batch_size: int
    map: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    item: NDArray[Any]
    since_s: float
    future: Future[Prediction] = field(default_factory=Future)


class Announcement:
    """A job that is on its way to the model; made by `Batcher.expected`."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._open = True

    def submit(self, item: NDArray[Any]) -> Future[Prediction]:
        """Hands in the image that was announced, in one step with ending the announcement; see `Batcher.submit`."""
        self._open = False
        return self._batcher._accept(item, arrived=1)  # noqa: SLF001 - the two are one mechanism

    def withdraw(self) -> None:
        """Ends the announcement without an image; nothing happens where it was handed in."""
        if self._open:
            self._open = False
            self._batcher._withdraw()  # noqa: SLF001


class Batcher:
    """One model thread behind a queue.

    Args:
        predict: Takes items stacked (n, ...), gives their answers. Called by the model thread only.
        max_batch: Most items a call, at least 1.
        max_wait_s: Longest time that a batch which could leave waits for announced items; 0 to never wait.
        clock: Monotonic seconds.
        on_pass: Told of every pass that was answered, before its answers go out: how long each image had waited for it,
            and how long it took, seconds. Called by the model thread.
        turn: Gives what is entered for a pass; told whether it is that of one image with no other on its way, which
            gains by running beside what else is done with that image.
    """

    def __init__(
        self,
        predict: Callable[[NDArray[Any]], Answers],
        max_batch: int,
        max_wait_s: float,
        clock: Callable[[], float] = time.monotonic,
        on_pass: Callable[[Sequence[float], float], None] = lambda _waits, _seconds: None,
        turn: Callable[[bool], AbstractContextManager[None]] = lambda _alone: nullcontext(),
    ) -> None:
        self._turn = turn
        self._on_pass = on_pass
        self._predict = predict
        self._max_batch = max_batch
        self._max_wait_s = max_wait_s
        self._clock = clock
        self._waiting: deque[_Entry] = deque()
        self._announced = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    @contextmanager
    def expected(self) -> Iterator[Announcement]:
        """Announces an image: a batch may wait for it until it is handed in or the block is left.

        Use it around decoding and segmenting and the wait for them, and hand in the image with the announcement's own
        `submit`.
        """
        with self._changed:
            self._announced += 1
        announcement = Announcement(self)
        try:
            yield announcement
        finally:
            announcement.withdraw()

    def submit(self, item: NDArray[Any]) -> Future[Prediction]:
        """Returns at once the future of one item's answer; it raises what `predict` raised for this item alone.

        Args:
            item: One prepared image, as the engine's `prepare` makes it; not copied until its batch leaves.

        Raises:
            Unavailable: DRAINING, after `close`.
        """
        return self._accept(item, arrived=0)

    def close(self) -> None:
        """Takes nothing more, answers everything that was handed in, and ends the model thread. May be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _accept(self, item: NDArray[Any], arrived: int) -> Future[Prediction]:
        entry = _Entry(item, self._clock())
        with self._changed:
            self._announced -= arrived
            self._changed.notify_all()
            if self._closed:
                message = "The worker is shutting down."
                raise Unavailable(message, reason="DRAINING")
            self._waiting.append(entry)
        return entry.future

    def _withdraw(self) -> None:
        with self._changed:
            self._announced -= 1
            self._changed.notify_all()

    def _run(self) -> None:
        """The model thread: takes batches until it is closed and the queue is empty."""
        while entries := self._take():
            claimed = [entry for entry in entries if entry.future.set_running_or_notify_cancel()]
            if claimed:
                with self._turn(self._alone(claimed)):
                    self._answer(claimed)

    def _take(self) -> list[_Entry]:
        """Returns the next batch, waiting for one; empty when all is done."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            latest = self._clock() + self._max_wait_s
            while self._worth_waiting() and (left_s := latest - self._clock()) > 0:
                self._changed.wait(left_s)
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), self._max_batch))]

    def _alone(self, entries: list[_Entry]) -> bool:
        return len(entries) == 1 and not self._announced

    def _worth_waiting(self) -> bool:
        return 0 < len(self._waiting) < self._max_batch and self._announced > 0 and not self._closed

    def _answer(self, entries: list[_Entry]) -> None:
        """Answers every entry; halves the batch where the model fails on it."""
        began_s = self._clock()
        try:
            answers = self._answers(entries)
        except Exception as error:  # noqa: BLE001 - whatever the backend raises belongs to the jobs, not to this thread
            if len(entries) == 1:
                entries[0].future.set_exception(error)
                return
            middle = len(entries) // 2
            self._answer(entries[:middle])
            self._answer(entries[middle:])
            return
        self._on_pass([began_s - entry.since_s for entry in entries], self._clock() - began_s)
        for index, entry in enumerate(entries):
            lesion_map = None if answers.maps is None else answers.maps[index].copy()
            entry.future.set_result(Prediction(float(answers.probabilities[index]), len(entries), lesion_map))

    def _answers(self, entries: list[_Entry]) -> Answers:
        """Returns one answer for each entry, all numbers finite; raises where the model gives anything else."""
        answers = self._predict(np.stack([entry.item for entry in entries]))
        if not answers.suit(len(entries)):
            message = "The model answered with something that is no probability."
            raise ArithmeticError(message)
        return answers
