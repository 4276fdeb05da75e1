"""How many pixels are in hand at a time."""

from __future__ import annotations

import threading

from nevus_workers.room import Room

LIMIT_S = 5.0


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
