"""The micro-batcher: who shares a pass, who waits for whom, and what a failing image costs its neighbours."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from nevus_core.errors import Unavailable
from nevus_workers.models.answers import Answers
from nevus_workers.models.batcher import Batcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

LONG_S = 60.0
"""Longer than any test may take: whoever waits this out has failed."""


class Gate:
    """A model that answers a tenth of each item, notes its batches, and can be held in the middle of a pass."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()
        self.open.set()
        self.poison: set[int] = set()

    def __call__(self, batch: NDArray[Any]) -> Answers:
        """Answers a batch of items (n, 1)."""
        numbers = [int(value) for value in batch[:, 0]]
        self.batches.append(numbers)
        self.entered.release()
        assert self.open.wait(LONG_S)
        if self.poison.intersection(numbers):
            message = "poison"
            raise ValueError(message)
        return Answers((batch[:, 0] / 10).astype(np.float32))

    def hold(self, batcher: Batcher) -> None:
        """Occupies the model with item 0, so that what comes next has to queue up."""
        self.open.clear()
        batcher.submit(item(0))
        assert self.entered.acquire(timeout=LONG_S)


def item(number: int) -> NDArray[np.float32]:
    """One item."""
    return np.array([number], np.float32)


@pytest.fixture
def gate() -> Gate:
    """An open gate."""
    return Gate()


@pytest.fixture
def make(gate: Gate) -> Iterator[Callable[..., Batcher]]:
    """Makes batchers before the gate and closes them at the end."""
    made: list[Batcher] = []

    def new(max_batch: int = 4, max_wait_s: float = LONG_S) -> Batcher:
        made.append(Batcher(gate, max_batch, max_wait_s))
        return made[-1]

    yield new
    gate.open.set()
    for batcher in made:
        batcher.close()


def test_one_item_alone(make: Callable[..., Batcher]) -> None:
    """Proves that an item goes at once where nobody else is announced, however long the wait may be."""
    prediction = make().submit(item(3)).result(LONG_S)
    assert prediction.probability == pytest.approx(0.3)
    assert prediction.batch_size == 1


def test_what_queued_up_shares_a_pass(make: Callable[..., Batcher], gate: Gate) -> None:
    """Proves that items that came during a pass go together, up to max_batch, in order, each with its own answer."""
    batcher = make(max_batch=4)
    gate.hold(batcher)
    futures = [batcher.submit(item(number)) for number in range(1, 7)]
    gate.open.set()
    answers = [future.result(LONG_S) for future in futures]
    assert gate.batches == [[0], [1, 2, 3, 4], [5, 6]]
    assert [answer.batch_size for answer in answers] == [4, 4, 4, 4, 2, 2]
    assert [answer.probability for answer in answers] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


def test_waits_for_an_announced_item(make: Callable[..., Batcher], gate: Gate) -> None:
    """Proves that an item waits for one on its way, and that handing that in ends the wait."""
    batcher = make()
    with batcher.expected() as announced:
        first = batcher.submit(item(1))
        second = announced.submit(item(2))
        assert first.result(LONG_S / 2).batch_size == 2
        assert second.result(LONG_S / 2).batch_size == 2
    assert gate.batches == [[1, 2]]


def test_withdrawn_announcement_ends_the_wait(make: Callable[..., Batcher]) -> None:
    """Proves that a job that fails on its way does not keep others waiting."""
    batcher = make()
    futures = []

    def fail_on_the_way() -> None:
        with batcher.expected():
            futures.append(batcher.submit(item(1)))
            raise KeyError

    with pytest.raises(KeyError):
        fail_on_the_way()
    assert futures[0].result(LONG_S / 2).batch_size == 1


def test_full_batch_does_not_wait(make: Callable[..., Batcher]) -> None:
    """Proves that a full batch leaves although another item is announced."""
    batcher = make(max_batch=2)
    with batcher.expected(), batcher.expected():
        futures = [batcher.submit(item(number)) for number in (1, 2)]
        assert [future.result(LONG_S / 2).batch_size for future in futures] == [2, 2]


def test_wait_is_bounded(make: Callable[..., Batcher]) -> None:
    """Proves that an announced item that never comes holds others up for max_wait_s only."""
    batcher = make(max_wait_s=0.001)
    with batcher.expected():
        assert batcher.submit(item(1)).result(LONG_S).batch_size == 1


@pytest.mark.parametrize("bad", [1, 2, 3, 4])
def test_poison_hurts_nobody_else(make: Callable[..., Batcher], gate: Gate, bad: int) -> None:
    """Proves that only the item on which the model fails gets the exception, wherever it stands in the batch."""
    batcher = make(max_batch=4)
    gate.poison = {bad}
    gate.hold(batcher)
    futures = {number: batcher.submit(item(number)) for number in range(1, 5)}
    gate.open.set()
    for number, future in futures.items():
        if number == bad:
            with pytest.raises(ValueError, match="poison"):
                future.result(LONG_S)
        else:
            assert future.result(LONG_S).probability == pytest.approx(number / 10)


def test_all_poison(make: Callable[..., Batcher], gate: Gate) -> None:
    """Proves that the model thread outlives a batch in which every item fails."""
    batcher = make()
    gate.poison = {1, 2, 3}
    gate.hold(batcher)
    futures = [batcher.submit(item(number)) for number in (1, 2, 3)]
    gate.open.set()
    for future in futures:
        with pytest.raises(ValueError, match="poison"):
            future.result(LONG_S)
    assert batcher.submit(item(4)).result(LONG_S).probability == pytest.approx(0.4)


def test_odd_shape_is_the_items_own_fault(make: Callable[..., Batcher], gate: Gate) -> None:
    """Proves that an item that can't be stacked with its neighbours does not take them along."""
    batcher = make()
    gate.hold(batcher)
    good = [batcher.submit(item(number)) for number in (1, 2)]
    odd = batcher.submit(np.zeros((2, 2), np.float32))
    gate.open.set()
    assert [future.result(LONG_S).probability for future in good] == pytest.approx([0.1, 0.2])
    with pytest.raises((ValueError, ArithmeticError, TypeError)):
        odd.result(LONG_S)


def test_answered_passes_are_told(gate: Gate) -> None:
    """Proves that each answered pass is told once, with its images' waits and its length, before the answers go out."""
    now, told = [100.0], []

    def predict(batch: NDArray[Any]) -> Answers:
        now[0] += 0.5
        return gate(batch)

    batcher = Batcher(predict, 4, 0, lambda: now[0], lambda waits, seconds: told.append((list(waits), seconds)))
    gate.hold(batcher)
    gate.poison = {2}
    first, second = batcher.submit(item(1)), batcher.submit(item(2))
    now[0] += 3.0
    gate.open.set()
    assert first.result(LONG_S).batch_size == 1
    assert told[1] == ([3.5], 0.5), "the pass of both failed: it took its time and counts for nothing"
    with pytest.raises(ValueError, match="poison"):
        second.result(LONG_S)
    batcher.close()
    assert [len(waits) for waits, _ in told] == [1, 1]


def test_passes_of_a_batch_take_their_turn(gate: Gate) -> None:
    """Proves that each pass leaves in a turn that knows whether its image is alone, with no other behind it either."""
    turns: list[tuple[int, bool]] = []

    @contextmanager
    def turn(alone: bool) -> Iterator[None]:
        turns.append((len(gate.batches), alone))
        yield

    with closing(Batcher(gate, 2, 0, turn=turn)) as batcher:
        gate.hold(batcher)
        assert turns == [(0, True)]
        futures = [batcher.submit(item(number)) for number in (2, 3)]
        gate.open.set()
        for future in futures:
            future.result(LONG_S)
        assert turns[1:] == [(1, False)], "taken before the second pass"
        with batcher.expected():
            batcher.submit(item(4)).result(LONG_S)
        assert turns[2:] == [(2, False)]


@pytest.mark.parametrize("answer", [[np.nan], [[0.5]], [0.5, 0.5]])
def test_answers_that_are_no_probabilities(answer: list[Any]) -> None:
    """Proves that NaN, or another number of answers than images, is an error, not a result."""
    batcher = Batcher(lambda _: Answers(np.array(answer, np.float32)), max_batch=1, max_wait_s=0)
    with pytest.raises(ArithmeticError):
        batcher.submit(item(1)).result(LONG_S)
    batcher.close()


def test_cancelled_items_are_not_computed(make: Callable[..., Batcher], gate: Gate) -> None:
    """Proves that an item whose job gave up before its pass costs nothing."""
    batcher = make()
    gate.hold(batcher)
    kept, dropped = batcher.submit(item(1)), batcher.submit(item(2))
    assert dropped.cancel()
    gate.open.set()
    assert kept.result(LONG_S).batch_size == 1
    assert gate.batches == [[0], [1]]
    with pytest.raises(CancelledError):
        dropped.result(LONG_S)


def test_close_answers_what_was_handed_in(make: Callable[..., Batcher], gate: Gate) -> None:
    """Proves that closing drains the queue, even while an announcement is open, and then refuses."""
    batcher = make(max_batch=1)
    gate.hold(batcher)
    with batcher.expected() as announced:
        futures = [batcher.submit(item(number)) for number in (1, 2)]
        gate.open.set()
        batcher.close()
        batcher.close()
        assert [future.result(0).probability for future in futures] == pytest.approx([0.1, 0.2])
        for submit in (batcher.submit, announced.submit):
            with pytest.raises(Unavailable) as caught:
                submit(item(3))
            assert caught.value.reason == "DRAINING"


def test_many_threads(make: Callable[..., Batcher], gate: Gate) -> None:
    """Proves that 400 items of 8 threads get their own answers, in no more passes than items."""
    batcher = make(max_batch=8, max_wait_s=0.001)
    wrong: list[int] = []

    def work(start: int) -> None:
        for number in range(start, start + 50):
            with batcher.expected() as announced:
                future = announced.submit(item(number))
            if abs(future.result(LONG_S).probability - number / 10) > 1e-3:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 400, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert wrong == []
    assert sorted(number for batch in gate.batches for number in batch) == list(range(400))
