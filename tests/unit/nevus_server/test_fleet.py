"""Which model a request gets, and when it is told that there is none."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nevus_core.errors import FailedPrecondition, InvalidRequest, NotFound, Unavailable
from nevus_core.records import WorkerInfo
from nevus_server.fleet import Fleet, version_key
from support import made_up


class Reports:
    """Stands in for the store: what workers say now, or a broker that is away."""

    def __init__(self) -> None:
        self.now: list[WorkerInfo] | None = []

    async def workers(self) -> list[WorkerInfo]:
        """Returns the reports."""
        if self.now is None:
            raise Unavailable("away", reason="BROKER_UNAVAILABLE")
        return self.now


class Watch:
    """A monotonic clock that stands still."""

    seconds = 0.0

    def __call__(self) -> float:
        """Returns the time."""
        return self.seconds


OLD = made_up.CARD
NEW = replace(OLD, version="1.10")
MIDDLE = replace(OLD, version="1.9")
OTHER = replace(OLD, name="other")


async def fleet_of(*workers: WorkerInfo) -> tuple[Fleet, Reports, Watch]:
    """Returns a fleet that has polled these workers, with 30 s of grace."""
    reports, watch = Reports(), Watch()
    reports.now = list(workers)
    fleet = Fleet(reports, 30.0, watch)  # type: ignore[arg-type]
    await fleet.poll()
    return fleet, reports, watch


async def test_the_newest_version_is_chosen_by_number_not_by_text() -> None:
    """1.10 is newer than 1.9; a version that is asked for is the one that is given."""
    fleet, _, _ = await fleet_of(made_up.worker_info("a", (MIDDLE, OTHER)), made_up.worker_info("b", (NEW, OLD)))
    assert fleet.choose("notebook-cnn").version == "1.10"
    assert fleet.choose("notebook-cnn@1").version == "1"
    assert [model.card.key for model in fleet.live()] == [
        "notebook-cnn@1.10",
        "notebook-cnn@1.9",
        "notebook-cnn@1",
        "other@1",
    ]
    assert version_key("1.10") > version_key("1.9") > version_key("1")


async def test_what_is_not_served_is_told_apart() -> None:
    """Unknown name, unknown version of a known name, and nobody there at all are three different errors."""
    fleet, _, _ = await fleet_of(made_up.worker_info("a", (OLD,)))
    with pytest.raises(InvalidRequest, match="served now: notebook-cnn"):
        fleet.choose("nosuch")
    with pytest.raises(FailedPrecondition, match="served now: 1"):
        fleet.choose("notebook-cnn@2")
    with pytest.raises(NotFound):
        fleet.card("notebook-cnn", "2")
    nobody, _, _ = await fleet_of()
    with pytest.raises(Unavailable) as refused:
        nobody.choose("notebook-cnn")
    assert refused.value.reason == "NO_WORKER"


async def test_a_model_counts_for_a_while_after_its_last_worker() -> None:
    """Jobs are accepted during a restart of all workers, and refused once nobody came back."""
    fleet, reports, watch = await fleet_of(made_up.worker_info("a", (OLD,)))
    reports.now = []
    watch.seconds = 29.0
    await fleet.poll()
    assert fleet.live() == []
    assert fleet.choose("notebook-cnn") == OLD
    watch.seconds = 31.0
    await fleet.poll()
    with pytest.raises(Unavailable):
        fleet.choose("notebook-cnn")


async def test_a_broker_that_is_away_leaves_the_models_as_they_were() -> None:
    """The fleet says that it can't see, calls its listeners, and recovers by itself."""
    fleet, reports, _ = await fleet_of(made_up.worker_info("a", (OLD,)))
    seen = []
    fleet.on_poll(lambda: seen.append(fleet.broker_answers))
    known, reports.now = reports.now, None
    await fleet.poll()
    reports.now = known
    await fleet.poll()
    assert seen == [False, True]
    assert [model.card for model in fleet.live()] == [OLD]


async def test_latest_is_the_newest_that_is_announced_now() -> None:
    """A version that is being taken away is chosen by its number only; with no worker left the newest one counts."""
    fleet, reports, watch = await fleet_of(made_up.worker_info("a", (NEW, OLD)))
    assert fleet.choose("notebook-cnn@latest") == NEW
    reports.now = [made_up.worker_info("a", (OLD,))]
    watch.seconds = 10.0
    await fleet.poll()
    assert fleet.choose("notebook-cnn") == fleet.choose("notebook-cnn@latest") == OLD
    assert fleet.choose("notebook-cnn@1.10") == NEW
    assert [fleet.serves(f"notebook-cnn{version}") for version in ("", "@latest", "@1", "@1.10")] == [True] * 3 + [
        False
    ]
    assert not fleet.serves("other")
    reports.now = []
    await fleet.poll()
    assert fleet.choose("notebook-cnn@latest") == NEW
    assert not fleet.serves("notebook-cnn")
