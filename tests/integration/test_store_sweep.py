"""What the sweeper does when time has passed: leases, deadlines, lost messages, dead letters, purges."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import redis
from redis import asyncio as aioredis

from nevus_core.broker import CONNECTION
from nevus_core.errors import Fenced, Suspect
from nevus_core.front_store import FrontStore
from nevus_core.records import Artifact, Failure, Priority
from nevus_core.states import Stage, State
from nevus_core.work_store import WorkStore
from support import made_up
from support.clock import ManualClock
from support.limits import LIMITS
from support.made_up import new_job
from support.store_steps import FAILURE, claimed, sweep_now


async def test_a_late_answer_is_fenced_off(front: FrontStore, work: WorkStore, clock: ManualClock) -> None:
    """When a lease ran out and another attempt holds the job, the first one can't move, finish, or leave pictures."""
    late = await claimed(front, work)
    clock.advance(5000)
    await sweep_now(front)
    current = await asyncio.to_thread(work.claim, "default/a", alone=True)
    assert current is not None
    assert current.attempt == 2
    with pytest.raises(Fenced):
        work.advance(late, Stage.SEGMENTING)
    with pytest.raises(Fenced):
        work.settle_succeeded(late, made_up.result(), {Artifact.MASK: b"late"}, 1000)
    work.settle_succeeded(current, made_up.result(artifacts=(Artifact.MASK,)), {Artifact.MASK: b"right"}, 1000)
    job = await front.get("default/a")
    assert job is not None
    assert await front.artifact(job, Artifact.MASK) == b"right"
    assert (await front.stats())["fenced"] == 2


async def test_a_heartbeat_renews_leases_and_tells_what_is_lost(
    front: FrontStore, work: WorkStore, clock: ManualClock
) -> None:
    """A beat keeps a job over many lease times; after the lease was taken away, the beat says so."""
    claim = await claimed(front, work)
    for _ in range(3):
        clock.advance(3000)
        assert work.heartbeat(made_up.worker_info(), [claim], 4000) == set()
        assert (await sweep_now(front)).requeued == 0
    clock.advance(5000)
    assert (await sweep_now(front)).requeued == 1
    assert work.heartbeat(made_up.worker_info(), [claim], 4000) == {"default/a"}


async def test_attempts_are_limited(front: FrontStore, work: WorkStore, clock: ManualClock) -> None:
    """A job whose worker dies every time fails after three attempts, with the reason WORKER_LOST."""
    await front.accept(new_job("a", priority=Priority.STAT), b"bytes")
    for attempt in (1, 2, 3):
        claim = await asyncio.to_thread(work.claim, "default/a", alone=attempt > 1)
        assert claim is not None
        assert claim.attempt == attempt
        clock.advance(5000)
        swept = await sweep_now(front)
        assert swept.sent == ((("default/a", "suspect"),) if attempt < 3 else ())
    job = await front.get("default/a")
    assert job is not None
    assert job.failure is not None
    assert (job.state, job.failure.reason) == (State.FAILED, "WORKER_LOST")


async def test_deadlines_and_timeouts(front: FrontStore, work: WorkStore, clock: ManualClock) -> None:
    """A job nobody starts expires; one that runs too long fails although its worker beats."""
    await front.accept(new_job("slow", queue_ttl_ms=2000), b"bytes")
    await front.accept(new_job("unswept", queue_ttl_ms=2000), b"bytes")
    claim = await claimed(front, work, "long", execution_timeout_ms=2500)
    clock.advance(2000)
    assert work.claim("default/unswept") is None  # also where the sweeper did not come by
    clock.advance(500)
    work.heartbeat(made_up.worker_info(), [claim], 4000)
    swept = await sweep_now(front)
    assert (swept.expired, swept.timed_out) == (1, 1)
    reasons = {}
    for job_id in ("slow", "unswept", "long"):
        job = await front.get(f"default/{job_id}")
        assert job is not None
        assert job.failure is not None
        reasons[job_id] = (job.state, job.failure.reason)
    assert reasons == {
        "slow": (State.EXPIRED, "QUEUE_TTL_EXPIRED"),
        "unswept": (State.EXPIRED, "QUEUE_TTL_EXPIRED"),
        "long": (State.FAILED, "EXECUTION_TIMEOUT"),
    }


async def test_a_suspect_is_given_only_to_a_worker_that_is_alone(
    front: FrontStore, work: WorkStore, clock: ManualClock
) -> None:
    """After its worker died, a job is not claimed beside others, and its messages go to the suspects' queue."""
    await claimed(front, work)
    clock.advance(5000)
    assert (await sweep_now(front)).sent == (("default/a", "suspect"),)
    with pytest.raises(Suspect):
        work.claim("default/a")
    claim = await asyncio.to_thread(work.claim, "default/a", alone=True)
    assert claim is not None
    assert claim.attempt == 2


async def test_a_lost_message_is_sent_again(
    front: FrontStore, raw: redis.Redis, key_prefix: str, clock: ManualClock
) -> None:
    """A job whose queue is empty although it waits has lost its message; it is rung for again, once a period."""
    await front.accept(new_job("a"), b"bytes")
    clock.advance(1999)
    assert (await sweep_now(front, lost_ms=2000)).sent == ()
    clock.advance(1)
    assert (await sweep_now(front, lost_ms=2000)).sent == (("default/a", "routine"),)
    assert (await sweep_now(front, lost_ms=2000)).sent == ()
    raw.lpush(f"{key_prefix}:celery:{key_prefix}.routine", "a message that waits")
    clock.advance(60_000)
    assert (await sweep_now(front, lost_ms=2000)).sent == ()  # a long queue is no loss


async def test_an_overtaken_message_counts_as_lost(
    front: FrontStore, work: WorkStore, raw: redis.Redis, key_prefix: str, clock: ManualClock
) -> None:
    """Queues are first in, first out: when a later job of the queue was claimed, the earlier message is gone."""
    raw.lpush(f"{key_prefix}:celery:{key_prefix}.routine", "others wait here")
    await front.accept(new_job("early"), b"bytes")
    await front.accept(new_job("other-queue", priority=Priority.BULK), b"bytes")
    clock.advance(2500)
    await claimed(front, work, "late")
    raw.lpush(f"{key_prefix}:celery:{key_prefix}.bulk", "and here")
    assert (await sweep_now(front, lost_ms=2000)).sent == (("default/early", "routine"),)


async def test_one_sweeper_at_a_time(front: FrontStore, clock: ManualClock) -> None:
    """While one front end holds the lock, another's sweep does nothing; it takes over when the lock has ended."""
    await front.accept(new_job("a", queue_ttl_ms=1), b"bytes")
    await front.sweep("first", lock_ms=300, max_attempts=3, lost_ms=1000)
    clock.advance(10)
    assert (await front.sweep("second", lock_ms=300, max_attempts=3, lost_ms=1000)).expired == 0
    assert (await front.sweep("first", lock_ms=20, max_attempts=3, lost_ms=1000)).expired == 1
    await asyncio.sleep(0.05)  # the lock's expiry is the broker's own time
    await front.accept(new_job("b", queue_ttl_ms=1), b"bytes")
    clock.advance(10)
    assert (await front.sweep("second", lock_ms=1, max_attempts=3, lost_ms=1000)).expired == 1


async def test_leases_are_left_alone_after_the_broker_was_away(
    front: FrontStore, work: WorkStore, clock: ManualClock
) -> None:
    """Heartbeats could not get through either; workers get time to be heard again."""
    claim = await claimed(front, work, execution_timeout_ms=600_000)
    clock.advance(60_000)
    assert (await sweep_now(front, leases=False)).requeued == 0
    work.heartbeat(made_up.worker_info(), [claim], 4000)
    assert (await sweep_now(front)).requeued == 0


async def test_a_dead_letter_keeps_its_image_for_a_while(
    broker_url: str, key_prefix: str, work: WorkStore, raw: redis.Redis, clock: ManualClock
) -> None:
    """A failure that is not the image's fault leaves the image for another try; one that is does not."""
    client = aioredis.Redis.from_url(broker_url, **CONNECTION)
    front = FrontStore(client, key_prefix, replace(LIMITS, letter_ttl_ms=5000), clock)
    work.settle_failed(await claimed(front, work, "corrupt"), FAILURE)
    work.settle_failed(await claimed(front, work, "ours"), Failure(code="INTERNAL", reason="INTERNAL", message="x"))
    assert await front.image("default/corrupt") is None
    assert await front.image("default/ours") == b"bytes"
    assert raw.hgetall(f"{key_prefix}:bytes") == {b"*": b"5", b"default": b"5"}
    clock.advance(5000)
    await sweep_now(front)
    assert await front.image("default/ours") is None
    assert raw.hgetall(f"{key_prefix}:bytes") == {}
    await front.close()


async def test_a_draining_worker_keeps_its_leases_and_leaves_the_list(front: FrontStore, work: WorkStore) -> None:
    """A beat without a description takes the worker off the list, but what it holds stays its own."""
    claim = await claimed(front, work)
    work.heartbeat(made_up.worker_info("w1"), [claim], 4000)
    assert [worker.id for worker in await front.workers()] == ["w1"]
    assert work.heartbeat(None, [claim], 4000) == set()
    assert await front.workers() == []


async def test_nothing_is_left_when_outcomes_expire(
    front: FrontStore, work: WorkStore, raw: redis.Redis, key_prefix: str, clock: ManualClock
) -> None:
    """Jobs of every outcome are purged after their time; only events and counters stay."""
    work.settle_succeeded(
        await claimed(front, work, "a", request_id="r"), made_up.result(), {Artifact.MASK: b"m"}, 60_000
    )
    work.settle_failed(await claimed(front, work, "b"), FAILURE)
    await front.accept(new_job("c"), b"bytes")
    await front.cancel("default/c")
    await front.accept(new_job("d", queue_ttl_ms=1), b"bytes")
    clock.advance(2)
    await sweep_now(front)
    assert not raw.keys(f"{key_prefix}:image:*")
    clock.advance(10_000)
    assert (await sweep_now(front)).purged == 4
    left = {key.decode().removeprefix(key_prefix) for key in raw.keys(f"{key_prefix}:*")}
    assert left - {":sweeper"} == {":events", ":stats", ":reached"}


async def test_a_damaged_record_stops_nothing(
    front: FrontStore, raw: redis.Redis, key_prefix: str, clock: ManualClock
) -> None:
    """The table is enforced where the move is made; a record that somebody forced is counted and left, others go on."""
    await front.accept(new_job("forced", queue_ttl_ms=1), b"bytes")
    await front.accept(new_job("sound", queue_ttl_ms=1), b"bytes")
    raw.hset(f"{key_prefix}:job:default/forced", "state", "SUCCEEDED")
    raw.zadd(f"{key_prefix}:leases", {"default/forced": 0})
    clock.advance(1)
    swept = await sweep_now(front)
    assert (swept.damaged, swept.expired) == (1, 1)
    job = await front.get("default/forced")
    assert job is not None
    assert job.revision == 1


async def test_a_requeued_job_has_a_deadline_again(front: FrontStore, work: WorkStore, clock: ManualClock) -> None:
    """A job that lost its worker waits no longer than its queue_ttl either."""
    await claimed(front, work, queue_ttl_ms=2000)
    clock.advance(5000)
    assert (await sweep_now(front)).requeued == 1
    clock.advance(2000)
    assert (await sweep_now(front)).expired == 1


async def test_stale_index_entries_do_no_harm(
    front: FrontStore, raw: redis.Redis, key_prefix: str, clock: ManualClock
) -> None:
    """Entries without a record (somebody deleted it by hand) are dropped, and make no ghost of a job."""
    for index in ("leases", "timeouts", "deadlines", "letters", "expiry", "queued:bulk"):
        raw.zadd(f"{key_prefix}:{index}", {"default/ghost": 1})
    assert (await sweep_now(front, lost_ms=1000)).sent == ()
    left = {key.decode().removeprefix(key_prefix) for key in raw.keys(f"{key_prefix}:*")}
    assert left <= {":sweeper", ":stats", ":events"}


async def test_a_job_given_back_has_its_message_at_once(
    front: FrontStore, work: WorkStore, raw: redis.Redis, key_prefix: str, clock: ManualClock
) -> None:
    """In one step: no front end that dies between the two can leave a job without a message."""
    await claimed(front, work)
    clock.advance(5000)
    assert (await front.sweep("s", lock_ms=1, max_attempts=3, lost_ms=1000, form="@REF@ @QUEUE@ %1")).sent == (
        ("default/a", "suspect"),
    )
    waiting = raw.lrange(f"{key_prefix}:celery:{key_prefix}.suspect", 0, -1)
    assert waiting == [f"default/a {key_prefix}.suspect %1".encode()]
    clock.advance(500)
    assert (await sweep_now(front)).sent == ()
