"""How many pixels are in hand at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from nevus_workers.room import Room

LIMIT_S = 5.0


def until(met: Callable[[], bool]) -> None:
    """Waits for a condition, not for ever; what comes next says whether it was met."""
    deadline = time.monotonic() + LIMIT_S
    while not met() and time.monotonic() < deadline:
        time.sleep(0.001)


def test_who_finds_no_room_waits_for_it() -> None:
    """Sixty and forty fit into a hundred; one more waits until one of them has left."""
    room, entered, leave = Room(9, 100), threading.Event(), threading.Event()

    def third() -> None:
        with room.of(50):
            entered.set()

    def hold(pixels: int, inside: threading.Event) -> None:
        with room.of(pixels):
            inside.set()
            leave.wait(LIMIT_S)

    marks = [threading.Event(), threading.Event()]
    threads = [threading.Thread(target=hold, args=(p, m)) for p, m in zip((60, 40), marks, strict=True)]
    for thread, mark in zip(threads, marks, strict=True):
        thread.start()
        assert mark.wait(LIMIT_S)
    threads.append(threading.Thread(target=third))
    threads[-1].start()
    assert not entered.wait(0.05)
    leave.set()
    for thread in threads:
        thread.join(LIMIT_S)
    assert entered.is_set()


def test_one_larger_than_the_room_comes_in_alone() -> None:
    """It would wait for ever otherwise."""
    room = Room(9, 100)
    for _ in range(2):
        with room.of(1000):
            pass


def test_no_more_images_than_there_are_places() -> None:
    """However small they are; all get their turn."""
    room, lock, inside, most = Room(2), threading.Lock(), [0], [0]

    def visit() -> None:
        with room.of(1):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            together.wait(LIMIT_S)
            with lock:
                inside[0] -= 1

    together = threading.Barrier(2)  # passed by two at a time: fewer places would break it
    threads = [threading.Thread(target=visit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert most == [2]


def test_a_pass_goes_before_the_images_that_wait() -> None:
    """It shares the places with the images; nobody who came later overtakes it."""
    room, order, come, go = Room(1), [], threading.Semaphore(0), threading.Event()

    def image() -> None:
        with room.of(1):
            order.append("image")

    def network() -> None:
        with room.of_a_pass(LIMIT_S):
            order.append("pass")

    def first() -> None:
        with room.of(1):
            come.release()
            go.wait(LIMIT_S)

    holder = threading.Thread(target=first)
    holder.start()
    assert come.acquire(timeout=LIMIT_S)
    threads = [threading.Thread(target=image), threading.Thread(target=network), threading.Thread(target=image)]
    for thread in threads:
        thread.start()
    until(lambda: room.waiting == 3)
    assert order == []
    go.set()
    for thread in [holder, *threads]:
        thread.join(LIMIT_S)
    assert order == ["pass", "image", "image"]


def test_a_pass_does_not_wait_for_ever() -> None:
    """A huge image that is being decoded keeps it as long as its patience lasts; its place is not counted twice."""
    room = Room(1)
    with room.of(1), room.of_a_pass(0.001):
        pass
    with room.of(1):
        pass
    with room.of_a_pass(LIMIT_S):
        pass


def test_images_come_in_as_they_came() -> None:
    """Nobody is overtaken, a large one by small ones that would fit neither."""
    room, order, threads = Room(2, 100), [], []

    def image(number: int, pixels: int) -> None:
        with room.of(pixels):
            order.append(number)

    with room.of(90):
        for number, pixels in enumerate((100, 5, 5)):
            threads.append(threading.Thread(target=image, args=(number, pixels)))
            threads[-1].start()
            until(lambda: room.waiting == len(threads))
        assert order == []
    for thread in threads:
        thread.join(LIMIT_S)
    assert order[0] == 0
    assert sorted(order) == [0, 1, 2]
