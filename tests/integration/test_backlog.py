"""What lies in the broker, told by one look."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis import asyncio as aioredis

from nevus_core.backlog import Backlog, read_backlog
from nevus_core.broker import CONNECTION
from nevus_core.errors import Unavailable
from nevus_core.front_store import FrontStore
from nevus_core.keys import Keys
from nevus_core.records import Priority
from nevus_core.work_store import WorkStore
from support.clock import ManualClock
from support.limits import LIMITS
from support.made_up import new_job

NOTHING = {"suspect": 0, "stat": 0, "routine": 0, "bulk": 0}


@pytest.fixture
async def client(broker_url: str) -> AsyncIterator[aioredis.Redis]:
    """A client as the front end has it."""
    connected = aioredis.Redis.from_url(broker_url, **CONNECTION)
    yield connected
    await connected.aclose()


async def test_an_empty_broker(client: aioredis.Redis, key_prefix: str) -> None:
    """Everything is zero, nothing is missing."""
    backlog = await read_backlog(client, Keys(key_prefix))
    assert backlog == Backlog(NOTHING, NOTHING, running=0, dead_letters=0, image_bytes=0)


async def test_jobs_are_seen_where_they_are(
    front: FrontStore, work: WorkStore, client: aioredis.Redis, clock: ManualClock
) -> None:
    """Each queue has its depth and the age of its head; who is claimed waits no more, its image is still held."""
    await front.accept(new_job("a"), b"12345")
    clock.advance(1500)
    await front.accept(new_job("b"), b"12345")
    await front.accept(new_job("c", priority=Priority.BULK), b"12345")
    clock.advance(500)
    before = await read_backlog(client, front.keys, clock)
    assert before.queued == {**NOTHING, "routine": 2, "bulk": 1}
    assert before.oldest_s == {**NOTHING, "routine": 2.0, "bulk": 0.5}
    assert (before.running, before.image_bytes) == (0, 15)
    work.claim("default/a")
    after = await read_backlog(client, front.keys, clock)
    assert after.queued == {**NOTHING, "routine": 1, "bulk": 1}
    assert after.oldest_s == {**NOTHING, "routine": 0.5, "bulk": 0.5}
    assert (after.running, after.image_bytes) == (1, 15)


async def test_a_suspect_is_as_old_as_its_job(
    front: FrontStore, work: WorkStore, client: aioredis.Redis, clock: ManualClock
) -> None:
    """A job whose worker died waits in a queue of its own, and its age counts from acceptance."""
    await front.accept(new_job("a"), b"12345")
    work.claim("default/a")
    clock.advance(10_000)
    await front.sweep("s", lock_ms=1000, max_attempts=3, lost_ms=2000)
    backlog = await read_backlog(client, front.keys, clock)
    assert backlog.queued == {**NOTHING, "suspect": 1}
    assert backlog.oldest_s["suspect"] == 10.0


async def test_the_brokers_clock_gives_the_age(client: aioredis.Redis, broker_url: str, key_prefix: str) -> None:
    """Without a test's clock the age is small for a job that was accepted just now, and not negative."""
    front = FrontStore(aioredis.Redis.from_url(broker_url, **CONNECTION), key_prefix, LIMITS)
    await front.accept(new_job("a"), b"12345")
    backlog = await read_backlog(client, front.keys)
    assert 0.0 <= backlog.oldest_s["routine"] < 60.0
    await front.close()


async def test_a_broker_that_is_away_is_named() -> None:
    """As everywhere: Unavailable, not the client library's own error."""
    away = aioredis.Redis.from_url("redis://127.0.0.1:1/0", **CONNECTION)
    with pytest.raises(Unavailable):
        await read_backlog(away, Keys("nobody"))
    await away.aclose()
