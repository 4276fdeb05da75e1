"""The store on a real broker: every move, every refusal, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import redis
from redis import asyncio as aioredis

from nevus_core.broker import CONNECTION
from nevus_core.errors import Fenced, QuotaExceeded, RequestIdReused, Suspect, Unavailable
from nevus_core.front_store import FrontStore, Sweep
from nevus_core.functions import version
from nevus_core.records import Artifact, Failure, Priority
from nevus_core.states import Stage, State
from nevus_core.work_store import Claim, WorkStore
from support import made_up
from support.clock import ManualClock
from support.limits import LIMITS
from support.made_up import new_job

FAILURE = Failure(code="INVALID_ARGUMENT", reason="CORRUPT_IMAGE", message="Made up.")


def sweep_now(front: FrontStore, *, by: str = "s", lost_ms: int = 30_000, leases: bool = True) -> Awaitable[Sweep]:
    """Sweeps with an attempts limit of 3 and no lock to speak of."""
    return front.sweep(by, lock_ms=1, max_attempts=3, lost_ms=lost_ms, leases=leases)


async def claimed(front: FrontStore, work: WorkStore, job_id: str = "a", **changes: object) -> Claim:
    """Accepts a job and claims it."""
    await front.accept(new_job(job_id, **changes), b"bytes")
    claim = await asyncio.to_thread(work.claim, f"default/{job_id}")
    assert claim is not None
    return claim


async def test_an_accepted_job_reads_back_as_it_was_answered(front: FrontStore) -> None:
    """What acceptance answers equals what the record holds."""
    answered = await front.accept(new_job("a", labels={"k": "v"}), b"bytes")
    assert answered == await front.get("default/a")
    assert (answered.state, answered.revision) == (State.QUEUED, 1)


async def test_a_whole_life_leaves_one_event_a_move(front: FrontStore, work: WorkStore) -> None:
    """Claim, two stages, success: revisions 1 to 5 without a gap, regions before the class, bytes gone at the end."""
    claim = await claimed(front, work)
    assert (claim.attempt, claim.data) == (1, b"bytes")
    assert work.advance(claim, Stage.SEGMENTING)
    assert work.advance(claim, Stage.CLASSIFYING, made_up.REGIONS)
    before = await front.get("default/a")
    assert before is not None
    assert (before.regions, before.result) == (made_up.REGIONS, None)
    work.settle_succeeded(claim, made_up.result(), {}, 1000)
    job = await front.get("default/a")
    assert job is not None
    assert [event.revision for event in job.events] == [1, 2, 3, 4, 5]
    assert [event.stage for event in job.events] == ["", "DECODING", "SEGMENTING", "CLASSIFYING", ""]
    assert job.state is State.SUCCEEDED
    assert job.result == made_up.result()
    assert job.expire_ms == job.finished_ms + 10_000


async def test_a_second_delivery_goes_home(front: FrontStore, work: WorkStore) -> None:
    """Only one claim of a queued job succeeds; one of a finished or unknown job does nothing either."""
    claim = await claimed(front, work)
    assert work.claim("default/a") is None
    work.settle_failed(claim, FAILURE)
    assert work.claim("default/a") is None
    assert work.claim("default/nowhere") is None


async def test_of_many_claims_at_once_one_wins(front: FrontStore, work: WorkStore) -> None:
    """Twenty threads reach for the same job; one gets it."""
    await front.accept(new_job("a"), b"bytes")
    with ThreadPoolExecutor(20) as threads:
        claims = list(threads.map(work.claim, ["default/a"] * 20))
    assert sum(claim is not None for claim in claims) == 1


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
        assert swept.resend == ((("default/a", "suspect"),) if attempt < 3 else ())
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
    assert (await sweep_now(front)).resend == (("default/a", "suspect"),)
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
    assert (await sweep_now(front, lost_ms=2000)).resend == ()
    clock.advance(1)
    assert (await sweep_now(front, lost_ms=2000)).resend == (("default/a", "routine"),)
    assert (await sweep_now(front, lost_ms=2000)).resend == ()
    raw.lpush(f"{key_prefix}:celery:{key_prefix}.routine", "a message that waits")
    clock.advance(60_000)
    assert (await sweep_now(front, lost_ms=2000)).resend == ()  # a long queue is no loss


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
    assert (await sweep_now(front, lost_ms=2000)).resend == (("default/early", "routine"),)


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


async def test_bytes_held_are_bounded(front: FrontStore, work: WorkStore, raw: redis.Redis, key_prefix: str) -> None:
    """Per tenant and in all; what ends gives its bytes back."""
    claim = await claimed(front, work, "a")
    await front.accept(new_job("b"), bytes(490))
    with pytest.raises(QuotaExceeded):
        await front.accept(new_job("c"), bytes(10))
    await front.accept(new_job("d", tenant="other"), bytes(500))
    with pytest.raises(Unavailable) as refused:
        await front.accept(new_job("e", tenant="third"), bytes(10))
    assert refused.value.reason == "STORE_FULL"
    assert raw.hget(f"{key_prefix}:bytes", "*") == b"995"
    work.settle_succeeded(claim, made_up.result(), {}, 1000)
    await front.cancel("default/b")
    await front.delete("other/d")
    assert raw.hgetall(f"{key_prefix}:bytes") == {}
    await front.accept(new_job("e", tenant="third"), bytes(10))


async def test_a_draining_worker_keeps_its_leases_and_leaves_the_list(front: FrontStore, work: WorkStore) -> None:
    """A beat without a description takes the worker off the list, but what it holds stays its own."""
    claim = await claimed(front, work)
    work.heartbeat(made_up.worker_info("w1"), [claim], 4000)
    assert [worker.id for worker in await front.workers()] == ["w1"]
    assert work.heartbeat(None, [claim], 4000) == set()
    assert await front.workers() == []


async def test_cancelling(front: FrontStore, work: WorkStore) -> None:
    """Queued: certain, it never runs. Running: a wish that the worker hears of. Finished: too late. Unknown: gone."""
    await front.accept(new_job("queued"), b"bytes")
    assert await front.cancel("default/queued") == "CANCELLED"
    assert await front.cancel("default/queued") == "CANCELLED"
    assert work.claim("default/queued") is None
    claim = await claimed(front, work, "running")
    assert await front.cancel("default/running") == "CANCELLING"
    assert await front.cancel("default/running") == "CANCELLING"
    assert not work.advance(claim, Stage.SEGMENTING)
    work.settle_cancelled(claim)
    done = await claimed(front, work, "done")
    work.settle_failed(done, FAILURE)
    assert await front.cancel("default/done") == "FINISHED"
    assert await front.cancel("default/nowhere") == "GONE"


async def test_a_job_that_finishes_before_it_sees_the_wish_keeps_its_result(front: FrontStore, work: WorkStore) -> None:
    """CANCELLING to SUCCEEDED is allowed: the work was done."""
    claim = await claimed(front, work)
    assert await front.cancel("default/a") == "CANCELLING"
    work.settle_succeeded(claim, made_up.result(), {}, 1000)
    job = await front.get("default/a")
    assert job is not None
    assert job.state is State.SUCCEEDED


async def test_request_ids(front: FrontStore) -> None:
    """Same id and content: the same job. Same id, other content: refused. Another tenant's id is another id."""
    first = await front.accept(new_job("a", request_id="r", digest="x"), b"bytes")
    assert await front.accept(new_job("b", request_id="r", digest="x"), b"bytes") == first
    with pytest.raises(RequestIdReused, match="jobs/a"):
        await front.accept(new_job("c", request_id="r", digest="y"), b"bytes")
    other = await front.accept(new_job("d", tenant="other", request_id="r", digest="y"), b"bytes")
    assert other.id == "d"
    assert await front.get("default/b") is None


async def test_of_racing_retries_one_makes_a_job(front: FrontStore) -> None:
    """Ten submissions with one request id at the same time give one job."""
    jobs = await asyncio.gather(
        *(front.accept(new_job(f"j{number}", request_id="r", digest="x"), b"bytes") for number in range(10))
    )
    assert len({job.id for job in jobs}) == 1
    assert (await front.stats())["accepted"] == 1


async def test_bounds(front: FrontStore, raw: redis.Redis, key_prefix: str) -> None:
    """A tenant's quota and the whole queue's bound refuse, and a refused image leaves nothing behind."""
    for number in range(10):
        await front.accept(new_job(f"a{number}"), b"bytes")
    with pytest.raises(QuotaExceeded):
        await front.accept(new_job("one-more"), b"bytes")
    for number in range(10):
        await front.accept(new_job(f"b{number}", tenant="other"), b"bytes")
    with pytest.raises(Unavailable) as refused:
        await front.accept(new_job("another", tenant="third"), b"bytes")
    assert refused.value.reason == "QUEUE_FULL"
    assert not raw.keys(f"{key_prefix}:*one-more*")
    assert not raw.keys(f"{key_prefix}:*another*")
    assert raw.ttl(f"{key_prefix}:image:default/a0") == -1  # an accepted image does not time out


async def test_deletion_leaves_a_receipt_and_nothing_else(
    front: FrontStore, work: WorkStore, raw: redis.Redis, key_prefix: str
) -> None:
    """Record, pictures, indexes and request id go; a repeat with the request id gets the first receipt."""
    claim = await claimed(front, work, request_id="r")
    work.settle_succeeded(claim, made_up.result(), {Artifact.MASK: b"m", Artifact.OVERLAY: b"o"}, 60_000)
    receipt = await front.delete("default/a", "d")
    assert receipt is not None
    assert (receipt.objects, receipt.sha256) == (3, made_up.image_info().sha256)
    assert await front.delete("default/a", "d") == receipt
    assert await front.delete("default/a", "e") is None
    left = {key.decode().removeprefix(key_prefix) for key in raw.keys(f"{key_prefix}:*")}
    assert left == {":events", ":stats", ":reached", ":request:default:delete:d"}


async def test_a_deleted_job_can_not_be_finished(front: FrontStore, work: WorkStore) -> None:
    """A worker that holds a job which is deleted meanwhile is fenced off; nothing comes back to life."""
    claim = await claimed(front, work)
    await front.delete("default/a")
    with pytest.raises(Fenced):
        work.settle_succeeded(claim, made_up.result(), {}, 1000)
    assert await front.get("default/a") is None


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


async def test_large_regions_stay_out_of_the_stream(
    front: FrontStore, work: WorkStore, raw: redis.Redis, key_prefix: str
) -> None:
    """The stream is capped by count, so an entry must stay small; the record has the regions all the same."""
    claim = await claimed(front, work)
    work.advance(claim, Stage.SEGMENTING)
    regions = made_up.REGIONS * 200
    work.advance(claim, Stage.CLASSIFYING, regions)
    entries = [fields for _, fields in raw.xrange(f"{key_prefix}:events")]
    assert all(b"regions" not in fields for fields in entries)
    job = await front.get("default/a")
    assert job is not None
    assert job.regions == regions


async def test_functions_are_loaded_again_when_the_broker_lost_them(
    front: FrontStore, work: WorkStore, raw: redis.Redis
) -> None:
    """A broker that came back with an empty disk knows no functions; the next call brings them."""
    await front.accept(new_job("a"), b"bytes")
    raw.function_delete(f"nevus_{version()}")
    assert await asyncio.to_thread(work.claim, "default/a") is not None
    raw.function_delete(f"nevus_{version()}")
    await front.accept(new_job("b"), b"bytes")


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


async def test_a_broker_that_is_away_is_unavailable() -> None:
    """Both halves say BROKER_UNAVAILABLE, retryably."""
    nowhere = "unix:///nowhere/at/all.sock"
    front = FrontStore(aioredis.Redis.from_url(nowhere), "x", LIMITS)
    with pytest.raises(Unavailable) as refused:
        await front.get("default/a")
    assert refused.value.reason == "BROKER_UNAVAILABLE"
    work = WorkStore(redis.Redis.from_url(nowhere), "x", "w", 1)
    with pytest.raises(Unavailable):
        work.claim("default/a")


async def test_events_are_json_that_anyone_can_read(front: FrontStore, raw: redis.Redis, key_prefix: str) -> None:
    """Times come as whole numbers, not in a float's notation."""
    await front.accept(new_job("a"), b"bytes")
    ((_, fields),) = raw.xrange(f"{key_prefix}:events")
    event = json.loads(fields[b"event"])
    assert event == {"revision": 1, "state": "QUEUED", "stage": "", "attempt": 0, "at_ms": 1_700_000_000_000}
