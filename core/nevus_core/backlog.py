"""What lies in the broker now: jobs that wait, jobs that are held, images. Read for the metrics, changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from redis import asyncio as aioredis

from nevus_core.broker import Clock, broker_troubles, text
from nevus_core.keys import SUSPECTS, Keys
from nevus_core.records import Priority

QUEUES = (SUSPECTS, *map(str, Priority))
"""In the order in which they are drained."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """One look at the broker.

    Attributes:
        queued: Jobs that wait, by queue ("suspect", "stat", "routine", "bulk").
        oldest_s: Seconds since the acceptance of the job at the head of each queue, by the broker's clock; 0 where
            nothing waits.
        running: Jobs that workers hold.
        dead_letters: Failed jobs whose image is kept for ResubmitJob.
        image_bytes: Of all images that are held.
    """

    queued: Mapping[str, int]
    oldest_s: Mapping[str, float]
    running: int
    dead_letters: int
    image_bytes: int


async def read_backlog(client: aioredis.Redis, keys: Keys, clock: Clock | None = None) -> Backlog:
    """Returns what lies in the broker. Two round trips, each of constant cost however much waits.

    Args:
        client: Does not decode replies.
        keys: Where to look.
        clock: Instead of the broker's own clock (tests).

    Raises:
        Unavailable: The broker can't be reached.
    """
    waiting = [f"{keys.prefix}:queued:{queue}" for queue in QUEUES]
    first = await _ask(
        client,
        *[("ZCARD", name) for name in waiting],
        *[("ZRANGE", name, 0, 0) for name in waiting],
        ("ZCARD", f"{keys.prefix}:leases"),
        ("ZCARD", f"{keys.prefix}:letters"),
        ("HGET", f"{keys.prefix}:bytes", "*"),
    )
    queues = len(QUEUES)
    counts, heads, (running, letters, image_bytes) = first[:queues], first[queues : 2 * queues], first[2 * queues :]
    refs = [text(head[0]) if head else "" for head in heads]
    *created, now = await _ask(client, *[("HGET", keys.job(ref), "created_ms") for ref in refs], ("TIME",))
    now_ms = clock() if clock else int(now[0]) * 1000 + int(now[1]) // 1000
    ages_s = [max(now_ms - int(at), 0) / 1000 if at else 0.0 for at in created]
    return Backlog(
        queued=dict(zip(QUEUES, counts, strict=True)),
        oldest_s=dict(zip(QUEUES, ages_s, strict=True)),
        running=running,
        dead_letters=letters,
        image_bytes=int(image_bytes or 0),
    )


async def _ask(client: aioredis.Redis, *commands: tuple[object, ...]) -> list[Any]:
    with broker_troubles():
        async with client.pipeline(transaction=False) as pipe:
            for words in commands:
                pipe.execute_command(*cast("tuple[Any, ...]", words))
            return await pipe.execute()
