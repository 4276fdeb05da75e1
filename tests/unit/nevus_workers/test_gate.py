"""The gate: many together, or one alone."""

from __future__ import annotations

import threading

from nevus_workers.gate import Gate

LIMIT_S = 5.0


def test_many_are_in_together() -> None:
    """Four threads meet inside; none waits for another to leave."""
    gate, meeting = Gate(), threading.Barrier(4)

    def stay() -> None:
        with gate.together():
            meeting.wait(LIMIT_S)

    threads = [threading.Thread(target=stay) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert not meeting.broken


def test_who_is_alone_waits_for_the_others_and_then_keeps_them_out() -> None:
    """Order of events: the first leaves, the lonely one has its time, only then the late one comes in."""
    gate, seen = Gate(), []
    first_in, first_may_go, lonely_may_go = threading.Event(), threading.Event(), threading.Event()
    lonely_in = threading.Event()

    def first() -> None:
        with gate.together():
            first_in.set()
            first_may_go.wait(LIMIT_S)
            seen.append("first")

    def lonely() -> None:
        with gate.alone():
            lonely_in.set()
            lonely_may_go.wait(LIMIT_S)
            seen.append("lonely")

    def late() -> None:
        with gate.together():
            seen.append("late")

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert first_in.wait(LIMIT_S)
    threads.append(threading.Thread(target=lonely))
    threads[1].start()
    while not gate._wanting_alone:
        threading.Event().wait(0.001)
    assert not lonely_in.is_set()
    threads.append(threading.Thread(target=late))
    threads[2].start()
    first_may_go.set()
    assert lonely_in.wait(LIMIT_S)
    lonely_may_go.set()
    for thread in threads:
        thread.join(LIMIT_S)
    assert seen == ["first", "lonely", "late"]


def test_an_error_inside_opens_the_gate_again() -> None:
    """Neither way in is blocked for ever by a job that raised."""
    gate = Gate()
    for way in (gate.alone, gate.together, gate.alone):
        try:
            with way():
                raise ValueError  # noqa: TRY301
        except ValueError:
            pass
    with gate.alone():
        assert gate._alone
