"""Following one job: the past from its record, the coming from the hub, without a gap and without a repeat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from nevus_core.errors import NotFound
from nevus_core.front_store import FrontStore
from nevus_core.records import Job, JobEvent, job_name
from nevus_core.states import Stage, State
from nevus_server.events import EventHub, Subscription


@dataclass(frozen=True, slots=True)
class Move:
    """One event for a watcher; `job` is the whole job, on a stream's first move and on the final one."""

    event: JobEvent
    job: Job | None


class Watching:
    """Follows jobs for streams and long polls."""

    def __init__(self, store: FrontStore, hub: EventHub) -> None:
        self._store = store
        self._hub = hub

    def subscribe(self, ref: str, *, final_only: bool = False) -> AbstractContextManager[Subscription]:
        """Opens a mailbox before a job exists, so that `follow_from` and `outcome` need no first read."""
        return self._hub.subscribe(ref, final_only=final_only)

    async def read(self, ref: str) -> Job:
        """Returns the job as it stands.

        Raises:
            NotFound: There is no such job for this tenant.
            Unavailable: The broker can't be reached.
        """
        job = await self._store.get(ref)
        if job is None:
            raise job_not_found(ref.partition("/")[2])
        return job

    async def follow(self, ref: str, after_revision: int = 0) -> AsyncIterator[Move]:
        """Yields every move after a revision, and ends after the final one.

        Raises:
            NotFound: There is no such job, or it was deleted meanwhile.
            Unavailable: The broker can't be reached, or this front end drains.
        """
        with self._hub.subscribe(ref) as mailbox:
            async for move in self.follow_from(await self.read(ref), mailbox, after_revision):
                yield move

    async def follow_from(self, job: Job, mailbox: Subscription, after_revision: int = 0) -> AsyncIterator[Move]:
        """Does the same from a job that was read after `mailbox` was opened.

        Raises:
            NotFound: The job was deleted meanwhile.
            Unavailable: The broker can't be reached, or this front end drains.
        """
        seen, first = after_revision, True
        while True:
            if job.revision < seen:  # a broker that failed over lost moves: what stands now is told again
                seen = job.revision - 1
            for event in job.events:
                if event.revision > seen:
                    seen = event.revision
                    yield Move(_with_regions(event, job), job if first or event.state.final else None)
                    first = False
            if job.state.final:
                return
            async for event in _live(mailbox, seen):
                seen = event.revision
                if event.state.final:
                    yield Move(event, job.succeeded(event))
                    return
                yield Move(event, job if first else None)
                first = False
            job = await self.read(job.ref)

    def moves(self, job: Job, mailbox: Subscription | None, *, final_only: bool) -> AsyncIterator[Move]:
        """Returns an iterator over the moves of a job that was just accepted, or over the final one alone.

        Args:
            job: As it was accepted.
            mailbox: Opened before that; None for the job of an earlier request.
            final_only: As `mailbox` was opened with.

        Raises:
            NotFound: While iterating: the job was deleted meanwhile.
            Unavailable: While iterating: the broker can't be reached, or this front end drains.
        """
        if final_only:
            return self._final_move(job, mailbox)
        return self.follow(job.ref) if mailbox is None else self.follow_from(job, mailbox)

    async def _final_move(self, job: Job, mailbox: Subscription | None) -> AsyncIterator[Move]:
        if mailbox is None:
            with self._hub.subscribe(job.ref, final_only=True) as own:
                done = await self._outcome(await self.read(job.ref), own)
        else:
            done = await self._outcome(job, mailbox)
        event = JobEvent(revision=done.revision, state=done.state, attempt=done.attempt, at_ms=done.finished_ms)
        yield Move(event, done)

    async def _outcome(self, job: Job, mailbox: Subscription) -> Job:
        while not job.state.final:
            event = await mailbox.next()
            if event is not None and event.result is not None:
                return job.succeeded(event)
            if event is None or event.state.final:
                job = await self.read(job.ref)
        return job

    async def wait(self, ref: str, after_revision: int | None, timeout_s: float) -> Job:
        """Returns the job once its revision is greater (or, for None, once it is final), or as it is at the end.

        Raises:
            NotFound: There is no such job, or it was deleted meanwhile.
            Unavailable: The broker can't be reached, or this front end drains.
        """
        with self._hub.subscribe(ref) as mailbox:
            job = await self.read(ref)
            try:
                async with asyncio.timeout(timeout_s):
                    while not _arrived(job, after_revision):
                        event = await mailbox.next()
                        if event is not None and event.result is not None:
                            job = job.succeeded(event)
                        elif event is None or after_revision is not None or event.state.final:
                            job = await self.read(ref)
            except TimeoutError:
                job = await self.read(ref)
            return job


async def within(moves: AsyncIterator[Move], limit_s: float) -> AsyncIterator[Move]:
    """Yields the moves that come within a time.

    The time counts only while a move is waited for, not while the caller hands one on: a timeout that fires in the
    caller's own await would look like a cancellation there.

    Raises:
        TimeoutError: The time is up.
    """
    deadline = asyncio.get_running_loop().time() + limit_s
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                move = await anext(moves)
        except StopAsyncIteration:
            return
        yield move


def job_not_found(job_id: str) -> NotFound:
    """Returns the error for a job that does not exist for this caller."""
    name = job_name(job_id)
    return NotFound(
        "nevus/Job", name, f"There is no job {name}. It may have expired or been deleted.", reason="JOB_NOT_FOUND"
    )


async def _live(mailbox: Subscription, seen: int) -> AsyncIterator[JobEvent]:
    """Yields events while they follow one another and need nothing from the record; a result is the last."""
    while True:
        event = await mailbox.next()
        if event is None:
            return
        incomplete = (_tells_regions(event) and event.regions is None) or (event.state.final and event.result is None)
        if event.revision > seen + 1 or incomplete:
            return
        if event.revision <= seen:
            continue
        seen = event.revision
        yield event


def _with_regions(event: JobEvent, job: Job) -> JobEvent:
    if _tells_regions(event) and job.regions is not None:
        return event.with_regions(job.regions)
    return event


def _tells_regions(event: JobEvent) -> bool:
    return event.state is State.RUNNING and event.stage is Stage.CLASSIFYING


def _arrived(job: Job, after_revision: int | None) -> bool:
    return job.state.final or (after_revision is not None and job.revision > after_revision)
