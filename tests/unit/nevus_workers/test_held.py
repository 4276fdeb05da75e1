"""What a process holds, attempt by attempt."""

from __future__ import annotations

from nevus_core.work_store import Claim
from nevus_workers.jobs import Held
from support import made_up


def claim(attempt: int) -> Claim:
    """Returns one attempt of the same job."""
    return Claim("default/a", attempt, 1, 2, made_up.image_info(), b"", made_up.options())


def test_the_end_of_an_old_attempt_does_not_let_go_of_the_new_one() -> None:
    """A process that slept past its lease may hold the second attempt when the first one wakes and ends."""
    held, first, second = Held(), claim(1), claim(2)
    held.add(first)
    held.add(second)
    held.remove(first)
    held.remove(first)
    assert held.all() == [second]
    assert held.models() == {"notebook-cnn@1"}
    held.remove(second)
    assert held.models() == set()
