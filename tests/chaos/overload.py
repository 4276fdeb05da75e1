"""The third proof: ten times as much work as can be done is refused in good order, and nothing grows.

Open loop, retries off: every image sent is either accepted or refused with a delay, and all are counted. Large, smooth
images make the workers slow, so that ten times their pace is still easy to send.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from bisect import bisect
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from chaos.backstage import Backstage
from chaos.gauges import MIB, Gauges
from chaos.report import print_failures, say, stated_settings
from chaos.stage import Stage
from nevus import AsyncClient, NevusError, RetryPolicy
from nevus_core.records import Job
from support.lesions import lesion_bgr

BOUNDS = {"MAX_QUEUED": "60", "RESULT_TTL_S": "5", "MAX_BATCH": "2", "THREADS": "4"}
FACTOR = 10
PACE_JOBS = 60
SLACK = 1.2
"""Messages of two front ends, and jobs in hand together, may change places a little."""
GROWTH_LIMIT = 0.10
GROWTH_LIMIT_MIB = 16.0
"""Allowed growth of a resident set from the first third of the flood to its last: the larger of the two."""


@dataclass(slots=True)
class Flood:
    """What became of everything that was sent."""

    accepted: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    delays_s: list[float] = field(default_factory=list)
    answer_s: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    sent: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)


def overload(*, seconds: float, settings: Mapping[str, str] | None = None, folder: Path | None = None) -> list[str]:
    """Runs it and prints its figures. Returns what must not be; empty if it holds."""
    changed = {**BOUNDS, **(settings or {})}
    with Stage(workers=1, settings=changed, folder=folder) as stage:
        image = _slow_image()
        per_s = _pace(stage, image)
        say(f"\nOverload: {per_s:.1f} jobs/s are possible; {FACTOR * per_s:.0f}/s are offered for {seconds:g} s")
        before = stage.backstage.stats().get("accepted", 0)
        gauges = Gauges(stage)
        flood, records = asyncio.run(_flood(stage, image, FACTOR * per_s, seconds))
        gauges.close()
        counted = stage.backstage.stats()["accepted"] - before
        ended = stage.unwanted_ends()
    drain_per_s = _drain_per_s(records)
    bound = int(changed["MAX_QUEUED"]) + int(changed["THREADS"])
    bound_s = bound / drain_per_s
    overtaken = _most_done_meanwhile(records)
    took_s = sorted((job.finished_ms - job.created_ms) / 1000 for job in records.values())
    p99_s = took_s[int(0.99 * (len(took_s) - 1))] if took_s else 0.0
    say(f"  most jobs done between a job's acceptance and its outcome: {overtaken}; queued and in hand are {bound}")
    _print(flood, took_s, p99_s, drain_per_s, bound_s)
    found = _growth(gauges)
    if flood.sent != len(flood.accepted) + sum(flood.refused.values()):
        found.append(f"sent {flood.sent}, accepted {len(flood.accepted)}, refused {sum(flood.refused.values())}")
    if counted != len(flood.accepted):
        found.append(f"the store counts {counted} accepted, clients {len(flood.accepted)}")
    if len(records) != len(flood.accepted) or any(job.state != "SUCCEEDED" for job in records.values()):
        found.append(f"outcomes: {Counter(str(job.state) for job in records.values())} of {len(flood.accepted)}")
    if overtaken > SLACK * bound:
        found.append(f"a job saw {overtaken} others done before it; the queue holds {bound}")
    if not flood.refused:
        found.append("nothing was refused")
    found += [f"broken: {one}" for one in flood.broken] + [f"ended by itself: {one}" for one in ended]
    say(f"settings: {stated_settings(changed)}")
    print_failures(found)
    return found


def _pace(stage: Stage, image: bytes) -> float:
    """Returns how many such images a second get done."""

    async def measure() -> float:
        async with AsyncClient(stage.target) as client:
            await asyncio.gather(*[client.analyze(image) for _ in range(8)])
            began = time.monotonic()
            await asyncio.gather(*[client.analyze(image) for _ in range(PACE_JOBS)])
            return PACE_JOBS / (time.monotonic() - began)

    return asyncio.run(measure())


async def _flood(stage: Stage, image: bytes, per_s: float, seconds: float) -> tuple[Flood, dict[str, Job]]:
    """Sends at a fixed rate, whatever comes back; collects each accepted job's record before it expires."""
    flood, records = Flood(), {}
    async with (
        AsyncClient(stage.target, retry_policy=RetryPolicy(retry_for_s=0)) as client,
        asyncio.TaskGroup() as all_,
    ):
        collector = asyncio.create_task(_collect(stage.backstage, flood, records))
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            while flood.sent < now * per_s:
                flood.sent += 1
                all_.create_task(_send(client, image, flood))
            await asyncio.sleep(0.005)
    flood.over.set()
    async with asyncio.timeout(60):
        await collector
    return flood, records


async def _send(client: AsyncClient, image: bytes, flood: Flood) -> None:
    began = time.monotonic()
    try:
        flood.accepted.append((await client.submit(image)).name)
    except NevusError as error:
        if error.code in {"UNAVAILABLE", "RESOURCE_EXHAUSTED"} and error.retry_after_s is not None:
            flood.refused[error.reason] += 1
            flood.delays_s.append(error.retry_after_s)
        else:
            flood.broken.append(f"{error.code} {error.reason}: {error}")
    flood.answer_s.append(time.monotonic() - began)


async def _collect(backstage: Backstage, flood: Flood, records: dict[str, Job]) -> None:
    while not flood.over.is_set() or len(records) < len(flood.accepted):
        await asyncio.sleep(0.5)
        open_names = [name for name in flood.accepted if name not in records]
        found = await asyncio.to_thread(backstage.records, open_names)
        records.update({name: job for name, job in found.items() if job.state.final})


def _drain_per_s(records: dict[str, Job]) -> float:
    """Returns how many jobs a second were done while the flood lasted."""
    ends = sorted(job.finished_ms for job in records.values())
    return (len(ends) - 1) / (ends[-1] - ends[0]) * 1000 if len(ends) > 1 else 1.0


def _most_done_meanwhile(records: dict[str, Job]) -> int:
    """Returns how many outcomes the unluckiest job saw while it waited: what bounds its wait at any pace."""
    ends = sorted(job.finished_ms for job in records.values())
    return max((bisect(ends, job.finished_ms) - bisect(ends, job.created_ms) for job in records.values()), default=0)


def _growth(gauges: Gauges) -> list[str]:
    """Prints every process's memory and returns those that grew."""
    found = []
    third = gauges.count // 3
    for name in gauges.readings:
        early, late = gauges.typical(name, third // 2, third), gauges.typical(name, 2 * third)
        grown_mib = (late.rss_bytes - early.rss_bytes) / MIB
        say(
            f"  {name:<9} RSS {early.rss_bytes / MIB:6.1f} -> {late.rss_bytes / MIB:6.1f} MiB "
            f"(peak {gauges.peak_mib(name):.1f}), descriptors {early.descriptors} -> {late.descriptors}"
        )
        if grown_mib > max(GROWTH_LIMIT_MIB, GROWTH_LIMIT * early.rss_bytes / MIB):
            found.append(f"{name} grew by {grown_mib:.1f} MiB")
    return found


def _print(flood: Flood, took_s: list[float], p99_s: float, drain_per_s: float, bound_s: float) -> None:
    delays = sorted(flood.delays_s) or [0.0]
    answers = sorted(flood.answer_s)
    say(
        f"  sent {flood.sent} = accepted {len(flood.accepted)} + refused {dict(flood.refused)}; "
        f"broken {len(flood.broken)}\n"
        f"  accepted jobs: median {statistics.median(took_s or [0]):.1f} s, p99 {p99_s:.1f} s; "
        f"the queue's bound over {drain_per_s:.1f} jobs/s done meanwhile is {bound_s:.1f} s\n"
        f"  told to wait {delays[0]:.1f} to {delays[-1]:.1f} s, median {statistics.median(delays):.1f} s\n"
        f"  answers took p99 {answers[int(0.99 * (len(answers) - 1))]:.2f} s"
    )


def _slow_image() -> bytes:
    """Returns a smooth JPEG of 7 megapixels and some 100 kB."""
    large = cv2.resize(cv2.GaussianBlur(lesion_bgr(3), (9, 9), 0), (3072, 2304), interpolation=cv2.INTER_LINEAR)
    ok, data = cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, 60])
    assert ok
    return data.tobytes()
