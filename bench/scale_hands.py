"""A worker without a network, in a process of its own: it takes messages as they come, so many a second.

Each job takes the way of a real one (message, claim, two stages, the second with regions, outcome) with a short pause
before every step, so that the events of a second are spread over it. The monotonic clock is the machine's: stamps taken
here compare with those of the watchers' processes.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import redis

from bench.scale_stand import PREFIX, work_store
from nevus_core.broker import CONNECTION
from nevus_core.keys import Keys
from nevus_core.records import Priority
from nevus_core.states import Stage
from nevus_core.work_store import Claim, WorkStore
from support import made_up

STEP_PAUSE_S = 0.01
STEPS = 4


@dataclass(frozen=True, slots=True)
class Told:
    """When a worker's call that moved a job began and had its answer, monotonic nanoseconds."""

    job_id: str
    revision: int
    began_ns: int
    ended_ns: int


def work(pipe: Connection, url: str, jobs: int, per_s: float) -> None:
    """Waits for a word on the pipe, then does so many jobs at that rate, and sends the list of `Told`.

    Args:
        pipe: Takes anything to begin; gives the list, then ends.
        url: The broker's.
        jobs: How many.
        per_s: How many a second.
    """
    store, client = work_store(url), redis.Redis.from_url(url, **CONNECTION)
    told: list[Told] = []
    lock = threading.Lock()
    pipe.recv()
    began_s = time.monotonic()

    def one(number: int) -> None:
        time.sleep(max(0.0, began_s + number / per_s - time.monotonic()))
        job_id = next_message(client)
        if job_id is None:
            return
        stamps = _do(store, job_id)
        with lock:
            told.extend(stamps)

    # Twice the threads that the pauses need at this rate: the calls themselves take a few milliseconds more.
    threads = max(4, round(per_s * STEP_PAUSE_S * STEPS * 2))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, range(jobs)))
    pipe.send([(stamp.job_id, stamp.revision, stamp.began_ns, stamp.ended_ns) for stamp in told])
    pipe.close()


def next_message(client: redis.Redis) -> str | None:
    """Takes the oldest Celery message and returns its job's id; None where there is none."""
    raw: Any = client.rpop(Keys(PREFIX).messages(Priority.ROUTINE))
    if raw is None:
        return None
    ((ref,), *_) = json.loads(base64.b64decode(json.loads(raw)["body"]))
    return str(ref).partition("/")[2]


def _do(store: WorkStore, job_id: str) -> list[Told]:
    """Does one job; revision 1 was its acceptance."""
    claims: list[Claim] = []

    def claim() -> None:
        found = store.claim(f"default/{job_id}")
        assert found is not None
        claims.append(found)

    steps: list[Callable[[], object]] = [
        claim,
        lambda: store.advance(claims[0], Stage.SEGMENTING),
        lambda: store.advance(claims[0], Stage.CLASSIFYING, made_up.REGIONS),
        lambda: store.settle_succeeded(claims[0], made_up.result(), {}, 60_000),
    ]
    stamps = []
    for number, step in enumerate(steps):
        began_ns = time.monotonic_ns()
        step()
        stamps.append(Told(job_id, number + 2, began_ns, time.monotonic_ns()))
        if number + 1 < STEPS:
            time.sleep(STEP_PAUSE_S)
    return stamps
