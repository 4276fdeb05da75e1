"""How many pixels are in hand at a time."""

from __future__ import annotations

import threading

from nevus_workers.room import Room

LIMIT_S = 5.0


def test_who_finds_no_room_waits_for_it() -> None:
    """Sixty and forty fit into a hundred; one more waits until one of them has left."""
    room, entered, leave = Room(100), threading.Event(), threading.Event()

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
    with Room(100).of(1000):
        pass
    room = Room(100)
    with room.of(1000):
        assert room._used == 1000
    assert room._used == 0
