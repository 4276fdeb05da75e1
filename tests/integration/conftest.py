"""Both halves of the store on one real broker, with a clock that tests turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import redis
from redis import asyncio as aioredis

from nevus_core.broker import CONNECTION
from nevus_core.front_store import FrontStore
from nevus_core.work_store import WorkStore
from support.clock import ManualClock
from support.limits import LIMITS

LEASE_MS = 4000


@pytest.fixture
def clock() -> ManualClock:
    """Time as the test says."""
    return ManualClock()


@pytest.fixture
async def front(broker_url: str, key_prefix: str, clock: ManualClock) -> AsyncIterator[FrontStore]:
    """The front end's half."""
    store = FrontStore(aioredis.Redis.from_url(broker_url, **CONNECTION), key_prefix, LIMITS, clock)
    yield store
    await store.close()


@pytest.fixture
def work(broker_url: str, key_prefix: str, clock: ManualClock) -> Iterator[WorkStore]:
    """A worker's half."""
    store = WorkStore(
        redis.Redis.from_url(broker_url, **CONNECTION), key_prefix, "w1", LEASE_MS, ["notebook-cnn@1"], clock
    )
    yield store
    store.close()


@pytest.fixture
def raw(broker_url: str) -> Iterator[redis.Redis]:
    """The broker itself."""
    client = redis.Redis.from_url(broker_url, protocol=2)
    yield client
    client.close()
