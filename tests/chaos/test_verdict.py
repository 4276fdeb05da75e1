"""The judge is no rubber stamp: every kind of broken promise shows in its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

import nevus
from chaos.backstage import Holding
from chaos.faults import Fault, Strike
from chaos.ledger import Ledger
from chaos.recovery import recoveries
from chaos.report import failures
from chaos.verdict import Verdict, judge
from nevus_core.records import Job, JobEvent
from nevus_core.states import State
from support import made_up

MOVES = (State.QUEUED, State.RUNNING, State.SUCCEEDED)


def record(job_id: str, *states: State, attempts: tuple[int, ...] = ()) -> Job:
    """Returns a record whose moves are a second apart."""
    events = tuple(
        JobEvent(revision=n + 1, state=state, attempt=attempts[n] if attempts else min(n, 1), at_ms=1000 * n)
        for n, state in enumerate(states)
    )
    return Job(
        tenant="default", id=job_id, state=states[-1], revision=len(states), attempt=events[-1].attempt, created_ms=0,
        updated_ms=0, image=made_up.image_info(), options=made_up.options(), events=events,
    )  # fmt: skip


@dataclass
class World:
    """A system of one's own making, in place of client, store and stream."""

    jobs: dict[str, Job] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    entries: int = 0

    def put(self, job: Job, told: int = 1) -> None:
        """Adds a job whose outcome the stream tells so many times."""
        self.jobs[job.name] = job
        self.outcomes[job.name] = told

    def list(self, **_: object) -> Iterator[nevus.Job]:
        """As the client's."""
        return iter([self.wait(name) for name in self.jobs])

    def wait(self, name: str, timeout_s: float = 0) -> nevus.Job:
        """As the client's."""
        if name not in self.jobs:
            raise nevus.NotFound("gone", code="NOT_FOUND", reason="JOB_NOT_FOUND")
        return nevus.Job(name, nevus.JobState(self.jobs[name].state))

    def records(self, names: list[str]) -> dict[str, Job]:
        """As the store's."""
        return {name: self.jobs[name] for name in names if name in self.jobs}

    def stats(self) -> dict[str, int]:
        """As the store's."""
        return {}

    def close(self) -> None:
        """As the stream's."""


@pytest.fixture
def world() -> World:
    """One good job, a."""
    world = World()
    world.put(record("a", *MOVES))
    return world


@pytest.fixture
def ledger() -> Ledger:
    """Its promise and its outcome."""
    ledger = Ledger()
    ledger.promise(0, "jobs/a")
    ledger.tell(nevus.Job("jobs/a", nevus.JobState.SUCCEEDED))
    return ledger


def verdict(world: World, ledger: Ledger) -> list[str]:
    """Returns what the judge finds."""
    return failures(judge(world, world, world, ledger, "run"))  # type: ignore[arg-type]


def test_a_good_run_passes(world: World, ledger: Ledger) -> None:
    """Nothing is found where nothing is wrong."""
    assert verdict(world, ledger) == []


def test_a_lost_job_shows(world: World, ledger: Ledger) -> None:
    """Promised and gone; promised and never finished."""
    ledger.promise(1, "jobs/gone")
    world.put(record("stuck", State.QUEUED), told=0)
    ledger.promise(2, "jobs/stuck")
    assert [one.partition(":")[2][:14] for one in verdict(world, ledger)] == [
        " jobs/gone: NO",
        " jobs/stuck: Q",
        " jobs/gone: no",
    ]


def test_two_outcomes_show(world: World, ledger: Ledger) -> None:
    """In the record, in the stream, in what clients saw."""
    world.put(record("twice", *MOVES, State.FAILED))
    world.put(record("told", *MOVES), told=2)
    for number, name in enumerate(("jobs/twice", "jobs/told"), 1):
        ledger.promise(number, name)
    ledger.tell(nevus.Job("jobs/a", nevus.JobState.FAILED))
    found = "\n".join(verdict(world, ledger))
    assert "twice: 2 outcomes in its record" in found
    assert "told: 2 outcomes in the event stream" in found
    assert "a: clients saw" in found


def test_two_jobs_for_one_image_show(world: World, ledger: Ledger) -> None:
    """A name that changes, a name that two images share, a job that nobody was told of."""
    ledger.promise(0, "jobs/b")
    ledger.promise(1, "jobs/a")
    world.put(record("c", *MOVES))
    found = "\n".join(verdict(world, ledger))
    assert "image 0 is jobs/a and jobs/b" in found
    assert "jobs/a stands for 2 images" in found
    assert "jobs/c: nobody was told of it" in found


def test_errors_and_ends_show() -> None:
    """A client's error, a process that ended by itself, a job that failed."""
    found = failures(Verdict(uncovered=["x"], ended=["front-1 (1)"], failed=Counter(WORKER_LOST=1)))
    assert found == ["not covered by retries: x", "ended by itself: front-1 (1)", "failed: WORKER_LOST x1"]


def test_recovery_counts_from_the_last_fault() -> None:
    """Killed at 1.2 s, broker away from 1.5 to 2 s, running at 3 s: 1.8 s in all, 1 s from the broker's return."""
    job = record(
        "a", State.QUEUED, State.RUNNING, State.QUEUED, State.RUNNING, State.SUCCEEDED, attempts=(0, 1, 1, 2, 2)
    )
    kill = Strike(Fault.KILL_WORKER, 1200, 1200, (Holding("default/a", 1),))
    outage = Strike(Fault.KILL_BROKER, 1500, 2000)
    ((alone,), _) = recoveries([kill], {job.name: job})
    assert (alone.whole_ms, alone.took_ms) == (1800, 1800)
    ((both,), _) = recoveries([kill, outage], {job.name: job})
    assert (both.whole_ms, both.took_ms, both.beside) == (1800, 1000, ("kill -9 of the broker +0.3 s",))
    assert recoveries([], {job.name: job}) == ([], ["jobs/a"])
