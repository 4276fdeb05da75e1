"""The fifth proof: after many jobs every process is as large as after the first few, and the broker is empty again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from chaos.gauges import MIB, Gauges, Reading
from chaos.report import print_failures, say, stated_settings
from chaos.stage import Stage
from nevus import AsyncClient, NevusError
from support.lesions import lesion_jpeg

SHORT_LIVES = {"RESULT_TTL_S": "3", "DEAD_LETTER_TTL_S": "3"}
PICTURES = 40
STREAMS = 3
IN_FLIGHT = 16
SETTLE_S = 6.0
WARM_UP = 300
DESCRIPTORS = 16
"""How many more descriptors a process may hold at the end: connection pools grow with the largest crowd so far, which
STREAMS x IN_FLIGHT bounds. A leak would be one for every so many jobs."""


def soak(
    *,
    jobs: int,
    growth_limit: float = 0.05,
    settings: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> list[str]:
    """Runs it and prints its figures.

    Args:
        jobs: How many.
        growth_limit: Largest growth of a resident set, as a part of what it was after the first tenth.
        settings: Over the defaults.
        folder: Keeps logs and data.

    Returns:
        What must not be; empty if it holds.
    """
    changed = {**SHORT_LIVES, **(settings or {})}
    with Stage(settings=changed, folder=folder) as stage:
        asyncio.run(_do(stage.target, 0, WARM_UP))
        idle = _keys_once_quiet(stage)
        gauges = Gauges(stage)
        began = time.monotonic()
        done = asyncio.run(_do(stage.target, 0, jobs // 10))
        early = _at_rest(gauges)
        done += asyncio.run(_do(stage.target, jobs // 10, jobs))
        took_s = time.monotonic() - began - SETTLE_S
        late = _at_rest(gauges)
        gauges.close()
        left = _keys_once_quiet(stage)
        ended = stage.unwanted_ends()
    say(f"\nSoak: {done} of {jobs} jobs succeeded, {jobs / took_s:.0f}/s")
    found = [f"ended by itself: {one}" for one in ended]
    for name in early:
        found += _compare(name, early[name], late[name], growth_limit, gauges)
    say(f"  keys at rest: {sum(idle.values())} -> {sum(left.values())}")
    if any(left[kind] > idle[kind] for kind in left):
        found.append(f"keys left behind: {dict(left - idle)}")
    if done != jobs:
        found.append(f"{jobs - done} jobs did not succeed")
    say(f"settings: {stated_settings(changed)}")
    print_failures(found)
    return found


async def _do(target: str, begin: int, end: int) -> int:
    """Returns how many of the images from one number to another succeeded."""
    pictures = [lesion_jpeg(seed) for seed in range(PICTURES)]

    async def stream(client: AsyncClient, numbers: Iterator[int]) -> int:
        items = ((number, pictures[number % PICTURES]) for number in numbers)
        done = 0
        async for _, event in client.analyze_many(items, in_flight=IN_FLIGHT):
            done += not isinstance(event, NevusError) and event.state == "SUCCEEDED"
        return done

    async with AsyncClient(target) as client:
        shares = [iter(range(begin + share, end, STREAMS)) for share in range(STREAMS)]
        return sum(await asyncio.gather(*[stream(client, share) for share in shares]))


def _at_rest(gauges: Gauges) -> dict[str, Reading]:
    """Returns what every process holds once nothing is asked of it."""
    time.sleep(SETTLE_S)
    return {name: gauges.typical(name, gauges.count - 6) for name in gauges.readings}


def _keys_once_quiet(stage: Stage):  # noqa: ANN202  # a Counter
    """Returns the broker's keys by kind once every job has expired."""
    stage.wait(lambda: not stage.backstage.keys()["nevus:job"], 60, "jobs did not expire")
    time.sleep(1)
    return stage.backstage.keys()


def _compare(name: str, early: Reading, late: Reading, growth_limit: float, gauges: Gauges) -> list[str]:
    growth = late.rss_bytes / early.rss_bytes - 1
    say(
        f"  {name:<9} RSS {early.rss_bytes / MIB:6.1f} -> {late.rss_bytes / MIB:6.1f} MiB ({growth:+.1%}), "
        f"peak {gauges.peak_mib(name):.1f}; descriptors {early.descriptors} -> {late.descriptors}"
    )
    found = []
    if growth > growth_limit and name != "broker":
        found.append(f"{name} grew by {growth:.1%}")
    if late.descriptors > early.descriptors + DESCRIPTORS * (4 if name == "broker" else 1):  # it serves four processes
        found.append(f"{name} holds {late.descriptors} descriptors, {early.descriptors} before")
    return found
