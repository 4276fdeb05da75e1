"""Taking the next job with an outcome, on a real broker: order, repeats, and what is left to Celery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis

from nevus_core.broker import CONNECTION
from nevus_core.errors import Fenced, Suspect
from nevus_core.front_store import FrontStore
from nevus_core.keys import SUSPECTS, Keys
from nevus_core.records import Priority
from nevus_core.settings import CommonSettings
from nevus_core.states import State
from nevus_core.work_store import Claim, WorkStore
from nevus_server.messages import Messages
from support import made_up
from support.clock import ManualClock
from support.made_up import new_job
from support.store_steps import FAILURE, claimed


@pytest.fixture
def messages(key_prefix: str) -> Messages:
    """Real messages, as the front end sends them."""
    return Messages(CommonSettings(key_prefix=key_prefix))


@pytest.fixture
def other(broker_url: str, key_prefix: str, clock: ManualClock) -> Iterator[WorkStore]:
    """A worker that holds another model."""
    store = WorkStore(redis.Redis.from_url(broker_url, **CONNECTION), key_prefix, "w2", 4000, ["other@1"], clock)
    yield store
    store.close()


async def queue(front: FrontStore, messages: Messages, job_id: str, priority: Priority = Priority.ROUTINE) -> None:
    """Accepts a job with its message."""
    new = new_job(job_id, priority=priority)
    await front.accept(replace(new, message=messages.message(new.ref, priority)), job_id.encode())


def waiting(raw: redis.Redis, key_prefix: str, name: str = "routine") -> int:
    """How many messages lie in a queue."""
    return int(raw.llen(Keys(key_prefix).messages(name)))  # type: ignore[arg-type]


def settled(work: WorkStore, claim: Claim) -> Claim | None:
    """Settles a job and takes the next one."""
    return work.settle_succeeded(claim, made_up.result(), {}, 1000, take=True)


async def test_jobs_are_taken_in_the_order_of_their_queues(
    front: FrontStore, work: WorkStore, messages: Messages, raw: redis.Redis, key_prefix: str
) -> None:
    """Stat before routine before bulk, the oldest first; each with its bytes, and its message is gone."""
    claim = await claimed(front, work)
    for job_id, priority in (("b", "bulk"), ("r1", "routine"), ("r2", "routine"), ("s", "stat")):
        await queue(front, messages, job_id, Priority(priority))
    taken = []
    following = settled(work, claim)
    while following is not None:
        taken.append((following.ref, following.data, following.attempt))
        following = work.settle_failed(following, FAILURE, take=True)
    assert taken == [(f"default/{job_id}", job_id.encode(), 1) for job_id in ("s", "r1", "r2", "b")]
    assert [waiting(raw, key_prefix, name) for name in ("stat", "routine", "bulk")] == [0, 0, 0]
    job = await front.get("default/r1")
    assert job is not None
    assert (job.state, job.worker) == (State.FAILED, "w1")


async def test_nothing_is_taken_unasked(front: FrontStore, work: WorkStore, messages: Messages) -> None:
    """Without `take` an outcome is an outcome."""
    claim = await claimed(front, work)
    await queue(front, messages, "b")
    assert work.settle_failed(claim, FAILURE) is None
    assert work.claim("default/b") is not None


async def test_a_repeated_call_is_answered_as_before(
    front: FrontStore, work: WorkStore, messages: Messages, raw: redis.Redis, key_prefix: str
) -> None:
    """The answer did not arrive: said again, the same outcome stands, and the same job comes, not a second one."""
    claim = await claimed(front, work)
    await queue(front, messages, "b")
    await queue(front, messages, "c")
    first, again = settled(work, claim), settled(work, claim)
    assert first is not None
    assert again == first
    assert waiting(raw, key_prefix) == 1
    settled(work, first)
    assert settled(work, claim) is None  # `b` has ended meanwhile: nothing is given a second time


async def test_cancelled_jobs_are_passed_over(
    front: FrontStore, work: WorkStore, messages: Messages, raw: redis.Redis, key_prefix: str
) -> None:
    """Their messages are still there; they go, and the first job that waits comes."""
    claim = await claimed(front, work)
    for job_id in "bcd":
        await queue(front, messages, job_id)
    await front.cancel("default/b")
    await front.delete("default/c")
    following = settled(work, claim)
    assert following is not None
    assert following.ref == "default/d"
    assert waiting(raw, key_prefix) == 0


async def test_a_suspect_stops_the_taking(
    front: FrontStore, work: WorkStore, messages: Messages, raw: redis.Redis, key_prefix: str, clock: ManualClock
) -> None:
    """It has to be alone, and comes before all others: threads have to come home to Celery for it."""
    await claimed(front, work, "poison")
    clock.advance(5000)
    sweep = await front.sweep("s", lock_ms=1, max_attempts=3, lost_ms=1000, form=messages.form)
    assert sweep.sent == (("default/poison", SUSPECTS),)
    claim = await claimed(front, work, "a")
    await queue(front, messages, "b")
    assert settled(work, claim) is None
    assert (waiting(raw, key_prefix), waiting(raw, key_prefix, SUSPECTS)) == (1, 1)
    with pytest.raises(Suspect):
        work.claim("default/poison")


async def test_what_this_worker_cannot_do_stays_where_it_is(
    front: FrontStore, work: WorkStore, other: WorkStore, messages: Messages, raw: redis.Redis, key_prefix: str
) -> None:
    """A job of another model, or a message that nobody knows: Celery's way deals with them."""
    await front.accept(new_job("o", model="other"), b"bytes")
    claim = other.claim("default/o")
    assert claim is not None
    await queue(front, messages, "b")
    await queue(front, messages, "c")
    assert settled(other, claim) is None
    assert waiting(raw, key_prefix) == 2
    following = settled(work, await claimed(front, work))
    assert following is not None
    assert following.ref == "default/b"  # in its old place
    raw.rpush(Keys(key_prefix).messages("routine"), b"{}")
    assert settled(work, following) is None
    assert waiting(raw, key_prefix) == 2


async def test_a_late_answer_takes_nothing(
    front: FrontStore, work: WorkStore, messages: Messages, raw: redis.Redis, key_prefix: str, clock: ManualClock
) -> None:
    """Its worker has lost the job; whoever holds it now goes on."""
    claim = await claimed(front, work)
    clock.advance(5000)
    await front.sweep("s", lock_ms=1, max_attempts=3, lost_ms=1000)
    await queue(front, messages, "b")
    with pytest.raises(Fenced):
        settled(work, claim)
    again = work.claim("default/a", alone=True)
    assert again is not None
    work.settle_failed(again, FAILURE)
    with pytest.raises(Fenced):
        settled(work, claim)
    assert waiting(raw, key_prefix) == 1
