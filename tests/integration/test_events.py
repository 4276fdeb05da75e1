"""The event hub: nothing is missed, whatever happens to its connection or its watchers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import redis
from redis import asyncio as aioredis

from nevus_core.broker import CONNECTION
from nevus_core.errors import Unavailable
from nevus_core.front_store import FrontStore
from nevus_core.records import JobEvent
from nevus_core.states import Stage, State
from nevus_core.work_store import WorkStore
from nevus_server.events import BATCH, MAILBOX, EventHub, Subscription
from nevus_server.watching import Watching
from support import made_up
from support.made_up import new_job


@pytest.fixture
async def hub(broker_url: str, key_prefix: str) -> AsyncIterator[EventHub]:
    """A hub that reads."""
    client = aioredis.Redis.from_url(broker_url, **CONNECTION)
    hub = EventHub(client, f"{key_prefix}:events")
    reading = asyncio.create_task(hub.run())
    yield hub
    while not reading.done():
        reading.cancel()
        await asyncio.wait({reading}, timeout=0.2)
    await client.aclose()


def event(revision: int) -> JobEvent:
    """Returns some event."""
    return JobEvent(revision=revision, state=State.RUNNING, at_ms=1)


async def test_watchers_miss_nothing_when_every_connection_is_cut(
    hub: EventHub, front: FrontStore, work: WorkStore, raw: redis.Redis
) -> None:
    """Forty jobs live and end while the broker's connections are killed again and again; each watcher sees 1 to 5."""
    watching = Watching(front, hub)

    async def watch(ref: str) -> list[int]:
        seen: list[int] = []
        while not seen or seen[-1] < 5:
            with contextlib.suppress(Unavailable):  # what a client's retry would hide
                async for move in watching.follow(ref, seen[-1] if seen else 0):
                    seen.append(move.event.revision)  # noqa: PERF401  # what was seen before a cut counts
        return seen

    refs = [f"default/j{number}" for number in range(10)]
    for ref in refs:
        await front.accept(new_job(ref.partition("/")[2]), b"bytes")
    watchers = [asyncio.create_task(watch(ref)) for ref in refs for _ in range(4)]
    for ref in refs:
        await asyncio.to_thread(_live_and_end, work, ref)
        raw.client_kill_filter(_type="normal", skipme=True)
    async with asyncio.timeout(20):
        assert await asyncio.gather(*watchers) == [[1, 2, 3, 4, 5]] * 40


def _live_and_end(work: WorkStore, ref: str) -> None:
    steps = [
        lambda claim: work.advance(claim, Stage.SEGMENTING),
        lambda claim: work.advance(claim, Stage.CLASSIFYING, made_up.REGIONS),
        lambda claim: work.settle_succeeded(claim, made_up.result(), {}, 1000),
    ]
    claim = work.claim(ref)
    assert claim is not None
    for step in steps:
        step(claim)


async def test_a_full_mailbox_becomes_stale_instead_of_growing() -> None:
    """A watcher that does not read costs no memory; it is told to read the record, and goes on from there."""
    mailbox = Subscription()
    for revision in range(MAILBOX + 10):
        mailbox.put(event(revision))
    assert await mailbox.next() is None
    mailbox.put(event(99))
    assert await mailbox.next() == event(99)


async def test_a_closed_mailbox_says_draining() -> None:
    """Also for one that is opened after the hub was closed."""
    mailbox = Subscription()
    mailbox.close()
    with pytest.raises(Unavailable) as drained:
        await mailbox.next()
    assert drained.value.reason == "DRAINING"


async def test_a_reader_behind_a_trimmed_stream_makes_its_watchers_read_again(
    broker_url: str, key_prefix: str, raw: redis.Redis
) -> None:
    """When the stream was cut before the reader's place, events are gone; watchers hear that, not silence."""
    client = aioredis.Redis.from_url(broker_url, **CONNECTION)
    hub = EventHub(client, f"{key_prefix}:events")
    with hub.subscribe("default/a") as mailbox:
        hub._last_id = "1-1"
        with raw.pipeline() as pipe:
            for number in range(BATCH):
                pipe.xadd(f"{key_prefix}:events", {"ref": "default/other", "event": "{}"}, id=f"{number + 5}-1")
            pipe.execute()
        await hub._read_once()
        assert await mailbox.next() is None
    await hub._wire.close()
    await client.aclose()
    assert hub.watchers == 0


async def test_following_starts_where_asked_and_copes_with_a_revision_of_the_future(
    hub: EventHub, front: FrontStore, work: WorkStore
) -> None:
    """A client that claims to have seen more than there is (a broker that lost its last second) still gets the rest."""
    watching = Watching(front, hub)
    await front.accept(new_job("a"), b"bytes")
    with hub.subscribe("default/a") as mailbox:
        ahead = watching.follow_from(await watching.read("default/a"), mailbox, 7)
        await asyncio.to_thread(_live_and_end, work, "default/a")
        assert [move.event.revision async for move in ahead] == [1, 2, 3, 4, 5]
