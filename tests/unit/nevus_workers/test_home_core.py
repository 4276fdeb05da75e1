"""A busy process keeps to its core; one with a single image runs anywhere."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from nevus_core.machine import core_numbers
from nevus_workers.home_core import SETTLED, HomeCore, keep_threads_to

ANYWHERE = set(core_numbers())
HOME = min(ANYWHERE)


@pytest.fixture
def moves() -> list[set[int]]:
    """Where the threads were moved to."""
    return []


def test_batch_after_batch_brings_it_home_once(moves: list[set[int]]) -> None:
    """Proves that it moves after so many in a row, and not again."""
    home = HomeCore(HOME, moves.append)
    for _ in range(SETTLED - 1):
        home.batch()
    assert moves == []
    for _ in range(SETTLED):
        home.batch()
    assert moves == [{HOME}]


def test_an_image_alone_lets_it_go(moves: list[set[int]]) -> None:
    """Proves that it is let go at once, only where it was at home, and that the batches count anew."""
    home = HomeCore(HOME, moves.append)
    home.alone()
    for _ in range(SETTLED - 1):
        home.batch()
    home.alone()
    assert moves == []
    for _ in range(SETTLED):
        home.batch()
    home.alone()
    home.alone()
    for _ in range(SETTLED - 1):
        home.batch()
    assert moves == [{HOME}, ANYWHERE]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or len(ANYWHERE) < 2, reason="needs two cores, on Linux")
def test_every_thread_moves() -> None:
    """Proves that threads which exist move there and back, and that later ones start where their maker is."""
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(3)]
    for thread in threads:
        thread.start()

    def places() -> list[set[int]]:
        return [os.sched_getaffinity(int(task.name)) for task in Path("/proc/self/task").iterdir()]

    try:
        keep_threads_to({HOME})
        late = threading.Thread(target=stop.wait)
        late.start()
        threads.append(late)
        assert len(places()) > len(threads)
        assert all(place == {HOME} for place in places())
    finally:
        keep_threads_to(ANYWHERE)
        found = places()
        stop.set()
        for thread in threads:
            thread.join()
    assert all(place == ANYWHERE for place in found)
