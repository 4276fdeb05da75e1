"""How many workers `nevus up` starts by itself."""

from __future__ import annotations

import pytest

from nevus_core.machine import cores
from nevus_server.up import core_share, worker_count

GB = 10**9


@pytest.mark.parametrize(
    ("cores", "memory", "gpus", "count"),
    [(2, 24 * GB, 0, 2), (64, 24 * GB, 0, 16), (4, GB, 0, 1), (4, 0, 0, 4), (16, 128 * GB, 1, 1), (16, 128 * GB, 4, 4)],
)
def test_one_a_card_or_one_a_core_as_memory_allows(cores: int, memory: int, gpus: int, count: int) -> None:
    """At least one, whatever the machine says."""
    assert worker_count(cores, memory, gpus) == count


def test_workers_are_told_their_share_of_the_cores() -> None:
    """At least one each; what somebody set stays."""
    assert core_share(1, {}) == {"NEVUS_OWN_CORES": str(cores())}
    assert core_share(1000, {}) == {"NEVUS_OWN_CORES": "1"}
    assert core_share(1, {"NEVUS_OWN_CORES": "3"}) == {}
