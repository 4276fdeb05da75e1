"""The store on a real broker: claims, stages, outcomes, cancelling, events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from redis import asyncio as aioredis

from nevus_core.broker import CONNECTION
from nevus_core.errors import Fenced, OtherModel, Unavailable
from nevus_core.front_store import FrontStore
from nevus_core.functions import version
from nevus_core.records import Artifact
from nevus_core.states import Stage, State
from nevus_core.work_store import WorkStore
from support import made_up
from support.clock import ManualClock
from support.limits import LIMITS
from support.made_up import new_job
from support.store_steps import FAILURE, claimed


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


async def test_a_broker_that_is_away_is_unavailable() -> None:
    """Both halves say BROKER_UNAVAILABLE, retryably."""
    nowhere = "unix:///nowhere/at/all.sock"
    front = FrontStore(aioredis.Redis.from_url(nowhere), "x", LIMITS)
    with pytest.raises(Unavailable) as refused:
        await front.get("default/a")
    assert refused.value.reason == "BROKER_UNAVAILABLE"
    work = WorkStore(redis.Redis.from_url(nowhere), "x", "w", 1, [])
    with pytest.raises(Unavailable):
        work.claim("default/a")


async def test_events_are_json_that_anyone_can_read(
    front: FrontStore, work: WorkStore, raw: redis.Redis, key_prefix: str
) -> None:
    """Times come as whole numbers, not in a float's notation."""
    await front.accept(new_job("a"), b"bytes")
    assert work.claim("default/a") is not None
    ((_, fields),) = raw.xrange(f"{key_prefix}:events")  # of acceptance its answer tells
    event = json.loads(fields[b"event"])
    assert event == {"revision": 2, "state": "RUNNING", "stage": "DECODING", "attempt": 1, "at_ms": 1_700_000_000_000}


async def test_an_outcome_told_twice_is_one_outcome(front: FrontStore, work: WorkStore) -> None:
    """When the answer to an outcome is lost and it is written again, nothing is fenced and no picture goes."""
    claim = await claimed(front, work)
    done = made_up.result(artifacts=(Artifact.MASK,))
    for _ in range(2):
        work.settle_succeeded(claim, done, {Artifact.MASK: b"m"}, 60_000)
    job = await front.get("default/a")
    assert job is not None
    assert job.revision == 3
    assert await front.artifact(job, Artifact.MASK) == b"m"
    with pytest.raises(Fenced):
        work.settle_failed(claim, FAILURE)


async def test_a_worker_without_the_model_leaves_the_job_alone(
    broker_url: str, key_prefix: str, front: FrontStore, work: WorkStore, clock: ManualClock
) -> None:
    """The job stays queued, without an attempt used, for a worker that holds its model."""
    other = WorkStore(redis.Redis.from_url(broker_url, **CONNECTION), key_prefix, "w2", 4000, ["notebook-cnn@2"], clock)
    await front.accept(new_job("a"), b"bytes")
    with pytest.raises(OtherModel):
        other.claim("default/a")
    claim = await asyncio.to_thread(work.claim, "default/a")
    assert claim is not None
    assert claim.attempt == 1
    other.close()


async def test_the_models_of_a_worker_may_change(
    broker_url: str, key_prefix: str, front: FrontStore, clock: ManualClock
) -> None:
    """What it holds is asked anew for every claim."""
    models = ["notebook-cnn@2"]
    other = WorkStore(redis.Redis.from_url(broker_url, **CONNECTION), key_prefix, "w2", 4000, models, clock)
    await front.accept(new_job("a"), b"bytes")
    with pytest.raises(OtherModel):
        other.claim("default/a")
    models.append("notebook-cnn@1")
    assert await asyncio.to_thread(other.claim, "default/a") is not None
    other.close()


async def test_a_claim_said_twice_is_one_claim(
    front: FrontStore, work: WorkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to a claim is lost and it is made again: the worker gets the job, on the same attempt."""
    await front.accept(new_job("a"), b"bytes")
    ask, lost = work._line._ask, []

    def lose_the_first_answer(packed: Sequence[bytes]) -> list[object]:
        replies: list[object] = ask(packed)
        if not lost:
            lost.append(replies)
            raise redis.ConnectionError
        return replies

    monkeypatch.setattr(work._line, "_ask", lose_the_first_answer)
    claim = work.claim("default/a")
    assert claim is not None
    assert (claim.attempt, claim.data) == (1, b"bytes")
    assert lost
    assert work.claim("default/a") is None
