"""A worker's thread goes on with the next job by itself, unless somebody else needs it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nevus_core.front_store import FrontStore
from nevus_core.records import Priority
from nevus_core.settings import CommonSettings
from nevus_core.states import State
from nevus_core.work_store import WorkStore
from nevus_server.messages import Messages
from nevus_workers.celery_worker import Waiting
from nevus_workers.jobs import Held, JobRunner
from nevus_workers.pipeline import Outcome, Pipeline
from nevus_workers.stats import Stats
from support import made_up
from support.made_up import new_job


def runner(work: WorkStore, waiting: Waiting) -> JobRunner:
    """Does every job at once, with the same result."""
    pipeline = SimpleNamespace(run=lambda *_: Outcome(made_up.result(), {}))
    return JobRunner(work, cast("Pipeline", pipeline), Held(), Stats(), waiting.any)


async def states(front: FrontStore, *job_ids: str) -> list[State]:
    """Where the jobs stand."""
    jobs: list[Any] = [await front.get(f"default/{job_id}") for job_id in job_ids]
    return [job.state for job in jobs]


@pytest.fixture
async def queued(front: FrontStore, key_prefix: str) -> None:
    """Three jobs with their messages."""
    messages = Messages(CommonSettings(key_prefix=key_prefix))
    for job_id in "abc":
        new = new_job(job_id, priority=Priority.ROUTINE)
        await front.accept(replace(new, message=messages.message(new.ref, "routine")), b"bytes")


@pytest.mark.usefixtures("queued")
async def test_a_thread_goes_on_until_nothing_waits(front: FrontStore, work: WorkStore) -> None:
    """One message from Celery, three jobs done: the first one's own message finds `a` taken, and passes on."""
    await asyncio.to_thread(runner(work, Waiting()).run, "default/a")
    assert await states(front, "a", "b", "c") == [State.SUCCEEDED] * 3


@pytest.mark.usefixtures("queued")
async def test_a_message_that_waits_for_a_thread_gets_it(front: FrontStore, work: WorkStore) -> None:
    """Celery has handed it out already: nobody else will come for it."""
    waiting = Waiting()
    waiting.add(sender=None, request=None)
    await asyncio.to_thread(runner(work, waiting).run, "default/a")
    assert await states(front, "a", "b", "c") == [State.SUCCEEDED, State.QUEUED, State.QUEUED]
    waiting.remove()
    await asyncio.to_thread(runner(work, waiting).run, "default/b")
    assert await states(front, "b", "c") == [State.SUCCEEDED] * 2


@pytest.mark.usefixtures("queued")
async def test_a_worker_that_stops_does_not_go_on(front: FrontStore, work: WorkStore) -> None:
    """What it has not begun is for others."""
    stopping = runner(work, Waiting())
    stopping.stop()
    await asyncio.to_thread(stopping.run, "default/a")
    assert await states(front, "a", "b") == [State.SUCCEEDED, State.QUEUED]
