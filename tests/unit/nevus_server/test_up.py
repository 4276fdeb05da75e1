"""How many workers `nevus up` starts by itself, and what it tells them of the machine."""

from __future__ import annotations

import pytest

from nevus_server.up import core_share, worker_count

GB = 10**9


@pytest.mark.parametrize(
    ("cores", "memory", "gpus", "count"),
    [(2, 24 * GB, 0, 2), (64, 24 * GB, 0, 16), (4, GB, 0, 1), (4, 0, 0, 4), (16, 128 * GB, 1, 1), (16, 128 * GB, 4, 4)],
)
def test_one_a_card_or_one_a_core_as_memory_allows(cores: int, memory: int, gpus: int, count: int) -> None:
    """At least one, whatever the machine says."""
    assert worker_count(cores, memory, gpus) == count


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process may use four cores, whose numbers begin at 2; no quota."""
    monkeypatch.setattr("nevus_server.up.core_numbers", lambda: [2, 3, 4, 5])
    monkeypatch.setattr("nevus_server.up.cores", lambda: 4)


@pytest.mark.usefixtures("four_cores")
def test_workers_are_told_their_share_of_the_cores() -> None:
    """At least one each; what somebody set stays."""
    assert core_share(0, 1, {}) == {"NEVUS_OWN_CORES": "4"}
    assert core_share(999, 1000, {}) == {"NEVUS_OWN_CORES": "1"}
    assert core_share(0, 1, {"NEVUS_OWN_CORES": "3"}) == {}


@pytest.mark.usefixtures("four_cores")
def test_workers_with_one_core_each_are_told_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """A different one each; none where several share one, where somebody chose, or under a quota."""
    homes = [core_share(number, 3, {})["NEVUS_HOME_CORE"] for number in range(3)]
    assert homes == ["2", "3", "4"]
    assert "NEVUS_HOME_CORE" not in core_share(0, 2, {}) | core_share(0, 5, {})
    assert core_share(0, 4, {"NEVUS_HOME_CORE": "5"}) == {"NEVUS_OWN_CORES": "1"}
    monkeypatch.setattr("nevus_server.up.cores", lambda: 3)
    assert core_share(0, 3, {}) == {"NEVUS_OWN_CORES": "1"}
