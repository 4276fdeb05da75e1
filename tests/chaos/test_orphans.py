"""Thousands of jobs of every outcome, and not one key of theirs stays behind."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace

import pytest
import redis
from redis import asyncio as aioredis

from nevus_core.broker import CONNECTION
from nevus_core.errors import Fenced, QuotaExceeded, RequestIdReused, Unavailable
from nevus_core.front_store import FrontStore, Sweep
from nevus_core.records import Artifact, Failure
from nevus_core.states import Stage, State
from nevus_core.work_store import Claim, WorkStore
from support import made_up
from support.clock import ManualClock
from support.limits import LIMITS

JOBS = int(os.environ.get("CHAOS_ORPHAN_JOBS", "1000"))
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(60 + JOBS // 10)]

LEASE_MS = 4000
LETTER_MS = 5000
IMAGE = b"image"
SERVED = (f"{made_up.CARD.name}@{made_up.CARD.version}",)
KEPT = {"events", "stats", "reached", "sweeper"}
"""Keys that belong to the whole system; receipts of deletions stay for a day by promise."""


@dataclass
class House:
    """Both halves of the store, on a clock that the test turns."""

    front: FrontStore
    work: WorkStore
    clock: ManualClock
    key_prefix: str
    raw: redis.Redis

    async def accept(self, job_id: str, **changes: object) -> str:
        """Accepts a job; returns its ref."""
        return (await self.front.accept(made_up.new_job(job_id, **changes), IMAGE)).ref

    def claim(self, ref: str, *, alone: bool = False) -> Claim:
        """Takes a job."""
        claim = self.work.claim(ref, alone=alone)
        assert claim is not None
        return claim

    async def sweep(self, *, later_ms: int = 0) -> Sweep:
        """Sweeps after some time."""
        self.clock.advance(later_ms)
        return await self.front.sweep("test", lock_ms=10_000, max_attempts=3, lost_ms=2000)

    def succeed(self, claim: Claim) -> None:
        """Settles with both pictures."""
        pictures = {Artifact.OVERLAY: b"overlay", Artifact.MASK: b"mask"}
        self.work.settle_succeeded(claim, made_up.result(artifacts=tuple(pictures)), pictures, 60_000)

    def fail(self, claim: Claim, code: str) -> None:
        """Settles without a result."""
        self.work.settle_failed(claim, Failure(code=code, reason="MADE_UP", message="Made up."))


@pytest.fixture
async def house(broker_url: str, key_prefix: str) -> AsyncIterator[House]:
    """An empty house."""
    clock = ManualClock()
    limits = replace(LIMITS, letter_ttl_ms=LETTER_MS)
    front = FrontStore(aioredis.Redis.from_url(broker_url, **CONNECTION), key_prefix, limits, clock)
    work = WorkStore(redis.Redis.from_url(broker_url, **CONNECTION), key_prefix, "w1", LEASE_MS, SERVED, clock)
    raw = redis.Redis.from_url(broker_url, protocol=2)
    yield House(front, work, clock, key_prefix, raw)
    await front.close()
    work.close()
    raw.close()


async def _succeeds(house: House, job: str) -> State:
    claim = house.claim(await house.accept(job, request_id=f"r{job}", artifacts=(Artifact.OVERLAY, Artifact.MASK)))
    assert house.work.advance(claim, Stage.SEGMENTING)
    assert house.work.advance(claim, Stage.CLASSIFYING, made_up.REGIONS)
    house.succeed(claim)
    return State.SUCCEEDED


async def _fails_for_its_image(house: House, job: str) -> State:
    house.fail(house.claim(await house.accept(job)), "INVALID_ARGUMENT")
    return State.FAILED


async def _becomes_a_dead_letter(house: House, job: str) -> State:
    house.fail(house.claim(await house.accept(job)), "INTERNAL")
    return State.FAILED


async def _is_submitted_again(house: House, job: str) -> State:
    ref = await house.accept(job)
    house.fail(house.claim(ref), "INTERNAL")
    assert await house.front.image(ref) == IMAGE
    await house.front.drop_letter(ref)
    return State.FAILED


async def _is_cancelled_in_the_queue(house: House, job: str) -> State:
    assert await house.front.cancel(await house.accept(job, request_id=f"r{job}")) == "CANCELLED"
    return State.CANCELLED


async def _is_cancelled_at_work(house: House, job: str) -> State:
    claim = house.claim(await house.accept(job))
    assert await house.front.cancel(claim.ref) == "CANCELLING"
    assert not house.work.advance(claim, Stage.SEGMENTING)
    house.work.settle_cancelled(claim)
    return State.CANCELLED


async def _loses_its_worker_while_cancelling(house: House, job: str) -> State:
    claim = house.claim(await house.accept(job))
    await house.front.cancel(claim.ref)
    await house.sweep(later_ms=LEASE_MS + 1)
    return State.CANCELLED


async def _expires_in_the_queue(house: House, job: str) -> State:
    await house.accept(job, queue_ttl_ms=1000)
    assert (await house.sweep(later_ms=1001)).expired == 1
    return State.EXPIRED


async def _expires_at_the_claim(house: House, job: str) -> State:
    ref = await house.accept(job, queue_ttl_ms=1000)
    house.clock.advance(1001)
    assert house.work.claim(ref) is None
    return State.EXPIRED


async def _takes_too_long(house: House, job: str) -> State:
    claim = house.claim(await house.accept(job, execution_timeout_ms=500))
    assert (await house.sweep(later_ms=501)).timed_out == 1
    with pytest.raises(Fenced):
        house.succeed(claim)
    return State.FAILED


async def _loses_every_worker(house: House, job: str) -> State:
    ref = await house.accept(job, request_id=f"r{job}")
    for attempt in range(3):
        house.claim(ref, alone=attempt > 0)
        await house.sweep(later_ms=LEASE_MS + 1)
    return State.FAILED


async def _is_done_by_the_second_worker(house: House, job: str) -> State:
    late = house.claim(await house.accept(job, artifacts=(Artifact.OVERLAY, Artifact.MASK)))
    assert (await house.sweep(later_ms=LEASE_MS + 1)).requeued == 1
    claim = house.claim(late.ref, alone=True)
    with pytest.raises(Fenced):
        house.succeed(late)
    house.succeed(claim)
    return State.SUCCEEDED


async def _is_deleted_in_the_queue(house: House, job: str) -> None:
    assert await house.front.delete(await house.accept(job, request_id=f"r{job}")) is not None


async def _is_deleted_at_work(house: House, job: str) -> None:
    claim = house.claim(await house.accept(job, artifacts=(Artifact.OVERLAY, Artifact.MASK)))
    assert await house.front.delete(claim.ref) is not None
    with pytest.raises(Fenced):
        house.succeed(claim)


async def _is_deleted_with_its_result(house: House, job: str) -> None:
    ref = await house.accept(job, artifacts=(Artifact.OVERLAY, Artifact.MASK))
    house.succeed(house.claim(ref))
    assert await house.front.delete(ref, f"d{job}") is not None


async def _is_deleted_as_a_dead_letter(house: House, job: str) -> None:
    ref = await house.accept(job)
    house.fail(house.claim(ref), "INTERNAL")
    assert await house.front.delete(ref) is not None


async def _is_sent_twice(house: House, job: str) -> State:
    first = await house.accept(job, request_id=f"r{job}")
    assert await house.accept(f"{job}b", request_id=f"r{job}") == first
    with pytest.raises(RequestIdReused):
        await house.accept(f"{job}c", request_id=f"r{job}", digest="other")
    house.succeed(house.claim(first))
    return State.SUCCEEDED


async def _is_refused(house: House, job: str) -> None:
    full = made_up.new_job(job, request_id=f"r{job}")
    for bound, error in (("max_queued", Unavailable), ("max_held_bytes_per_tenant", QuotaExceeded)):
        limits = replace(LIMITS, **{bound: 0})
        strict = FrontStore(house.front._client, house.key_prefix, limits, house.clock)
        with pytest.raises(error):
            await strict.accept(full, IMAGE)
        await strict._line.close()


LIVES: tuple[Callable[[House, str], Awaitable[State | None]], ...] = (
    _succeeds, _fails_for_its_image, _becomes_a_dead_letter, _is_submitted_again, _is_cancelled_in_the_queue,
    _is_cancelled_at_work, _loses_its_worker_while_cancelling, _expires_in_the_queue, _expires_at_the_claim,
    _takes_too_long, _loses_every_worker, _is_done_by_the_second_worker, _is_deleted_in_the_queue, _is_deleted_at_work,
    _is_deleted_with_its_result, _is_deleted_as_a_dead_letter, _is_sent_twice, _is_refused,
)  # fmt: skip


async def test_nothing_stays_behind(house: House) -> None:
    """Every way in which a job can go, many times over; when all have expired only the system's own keys are left."""
    outcomes: Counter[str] = Counter()
    for number, life in zip(range(JOBS), _again_and_again(LIVES), strict=False):
        job = f"{number:08}"
        state = await life(house, job)
        seen = await house.front.get(f"default/{job}")
        assert (seen.state if seen else None) == state, life.__name__
        outcomes[state.value if state else "gone"] += 1
        await house.sweep()
    assert set(outcomes) == {"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "gone"}

    house.clock.advance(LIMITS.result_ttl_ms + LETTER_MS + 1)
    while (await house.sweep()).purged:
        pass
    left = {key.decode().removeprefix(f"{house.key_prefix}:") for key in house.raw.scan_iter(f"{house.key_prefix}:*")}
    receipts = {key for key in left if ":delete:" in key}
    assert left - receipts == KEPT
    assert all(house.raw.pttl(f"{house.key_prefix}:{key}") > 0 for key in receipts)
    assert house.raw.hlen(f"{house.key_prefix}:bytes") == 0


def _again_and_again(lives: tuple) -> Iterator:
    while True:
        yield from lives
