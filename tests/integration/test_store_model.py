"""The store against a plain-Python model: any order of calls, with time passing, late answers and races for a job.

After every step all that the broker holds is compared with what the model expects: records, every index, every key.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from redis import asyncio as aioredis

from nevus_core.broker import CONNECTION
from nevus_core.codec import job_from_hash
from nevus_core.errors import Fenced, NevusError, RequestIdReused, Suspect
from nevus_core.front_store import FrontStore
from nevus_core.records import Artifact, Failure, Priority
from nevus_core.states import MOVES, Stage, State
from nevus_core.work_store import Claim, WorkStore
from support.clock import ManualClock
from support.made_up import new_job, result, worker_info
from support.store_model import LEASE_MS, LIMITS, LONG_MS, LOST_MS, MAX_ATTEMPTS, Known, Model

TENANTS = st.sampled_from(["default", "other"])
REQUEST_IDS = st.sampled_from(["", "", "r1", "r2"])
FAILURES = {code: Failure(code=code, reason="WHY", message="So.") for code in ("INVALID_ARGUMENT", "INTERNAL")}


class StoreMachine(RuleBasedStateMachine):
    """Calls both and compares."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.prefix = f"m{uuid.uuid4().hex[:10]}"
        self.clock = ManualClock()
        self.model = Model(self.clock)
        self.claims: list[Claim] = []
        self.number = 0
        self.raw = redis.Redis.from_url(url, protocol=2, decode_responses=True)
        self.loop = asyncio.Runner()
        self.front = FrontStore(aioredis.Redis.from_url(url, **CONNECTION), self.prefix, LIMITS, self.clock)
        self.stores = [
            WorkStore(
                redis.Redis.from_url(url, **CONNECTION), self.prefix, worker, LEASE_MS, ["notebook-cnn@1"], self.clock
            )
            for worker in ("w1", "w2")
        ]
        self.threads = ThreadPoolExecutor(4)

    def teardown(self) -> None:
        """Closes everything, and takes the keys away."""
        self.loop.run(self.front.close())
        self.loop.close()
        self.threads.shutdown()
        for store in self.stores:
            store.close()
        self.raw.delete(f"{self.prefix}:", *self.raw.keys(f"{self.prefix}:*"))
        self.raw.close()

    @rule(
        tenant=TENANTS, priority=st.sampled_from(["stat", "stat", *Priority]), size=st.integers(1, 15),
        request_id=REQUEST_IDS,
        digest=st.sampled_from("ab"), queue_ttl=st.sampled_from([2000, 9000, 60_000]),
        timeout=st.sampled_from([3000, 30_000, 30_000]), twice=st.booleans(),
        claimed=st.sampled_from([True, True, False]),
    )  # fmt: skip
    def accept(
        self, tenant: str, priority: str, size: int, request_id: str, digest: str, queue_ttl: int, timeout: int,
        *, twice: bool, claimed: bool,
    ) -> None:  # fmt: skip
        """A front end accepts a job, perhaps twice, for the answer was lost; mostly a worker takes it at once."""
        self.number += 1
        request = (tenant, request_id) if request_id else None
        verdict = self.model.verdict(tenant, size, request, digest)
        new = new_job(
            f"{self.number:04}", tenant=tenant, request_id=request_id, digest=digest, priority=Priority(priority),
            queue_ttl_ms=queue_ttl, execution_timeout_ms=timeout,
        )  # fmt: skip
        try:
            job = self.loop.run(self.front.accept(new, b"x" * size))
        except NevusError as error:
            refused = error.reason
        else:
            refused = ""
        assert refused == (verdict if verdict not in {"ACCEPTED", "REPEATED"} else "")
        if refused:
            return
        if verdict == "REPEATED":
            assert request is not None
            known = self.model.jobs[self.model.requests[request][1]]
            assert (job.ref, job.state, job.revision) == (known.ref, known.state, known.revision)
            return
        assert (job.ref, job.state, job.revision) == (new.ref, State.QUEUED, 1)
        now = self.clock()
        self.model.jobs[new.ref] = Known(
            new.ref, priority, size, request, queue_ttl, timeout, now, priority, now, now + queue_ttl
        )
        self.model.count("accepted")
        if request:
            self.model.requests[request] = (digest, new.ref)
        if twice:
            self.loop.run(self.front.accept(new, b"x" * size))
        if claimed:
            self._claim(self.model.jobs[new.ref], alone=False, racers=1)

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data(), alone=st.sampled_from([True, True, False]), racers=st.sampled_from([1, 1, 4]))
    def claim(self, data: st.DataObject, *, alone: bool, racers: int) -> None:
        """Workers ask for a job, perhaps several at the same moment."""
        self._claim(self._job(data, State.QUEUED), alone=alone, racers=racers)

    def _claim(self, job: Known, *, alone: bool, racers: int) -> None:
        start = threading.Barrier(racers)
        answers = list(
            self.threads.map(lambda number: _ask(self.stores[number % 2], job.ref, start, alone=alone), range(racers))
        )
        won = [answer for answer in answers if isinstance(answer, Claim)]
        if job.state is not State.QUEUED or (job.queue == "suspect" and not alone):
            assert not won
            assert ("SUSPECT" in answers) == (job.state is State.QUEUED)
        elif job.deadline is not None and job.deadline <= self.clock():
            assert not won
            self.model.finish(job, State.EXPIRED, letter=True)
        else:
            (claim,) = won
            self.model.claim(job)
            assert (claim.attempt, claim.data, claim.created_ms) == (job.attempt, b"x" * job.size, job.created)
            self.claims = [*self.claims[-5:], claim]

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), stage=st.sampled_from([Stage.SEGMENTING, Stage.CLASSIFYING]))
    def advance(self, data: st.DataObject, stage: Stage) -> None:
        """A worker, perhaps a late one, goes on to the next stage."""
        claim = self._claimed(data)
        regions = result().regions if stage is Stage.CLASSIFYING else None
        job = self.model.holds(claim)
        store = self._store(data)
        if job is None:
            self.model.count("fenced")
            with pytest.raises(Fenced):
                store.advance(claim, stage, regions)
            return
        assert store.advance(claim, stage, regions) == (job.state is State.RUNNING)
        if job.state is State.RUNNING:
            self.model.move(job, State.RUNNING, stage)

    @precondition(lambda self: self.claims)
    @rule(
        data=st.data(),
        how=st.sampled_from(["succeeded", "drawn", "drawn", *FAILURES, "cancelled"]),
        twice=st.booleans(),
    )
    def settle(self, data: st.DataObject, how: str, *, twice: bool) -> None:
        """A worker, perhaps a late one, says how it ended; perhaps twice, for the answer was lost."""
        claim = self._claimed(data)
        known = self.model.jobs.get(claim.ref)
        if how == "cancelled" and known is not None and known.state is State.RUNNING:
            return  # a worker says so only where it was asked to
        self._settle(claim, how, self._store(data))
        if twice:
            self._settle(claim, how, self._store(data))

    def _settle(self, claim: Claim, how: str, store: WorkStore) -> None:
        to = {"cancelled": State.CANCELLED, "succeeded": State.SUCCEEDED, "drawn": State.SUCCEEDED}.get(
            how, State.FAILED
        )
        pictures = {Artifact.OVERLAY: b"png"} if how == "drawn" else {}
        job, known = self.model.holds(claim), self.model.jobs.get(claim.ref)
        told_before = known is not None and (known.state, known.attempt) == (to, claim.attempt)
        if told_before and to is State.SUCCEEDED and known is not None and bool(known.artifacts) != bool(pictures):
            return  # a worker repeats itself word for word
        try:
            if to is State.SUCCEEDED:
                store.settle_succeeded(claim, result(artifacts=tuple(pictures)), pictures, LONG_MS)
            elif to is State.CANCELLED:
                store.settle_cancelled(claim)
            else:
                store.settle_failed(claim, FAILURES[how])
        except Fenced:
            assert job is None
            assert not told_before
            self.model.count("fenced")
            return
        assert job is not None or told_before
        if job is not None:
            job.artifacts = tuple(f"{claim.attempt}:{kind}" for kind in pictures)
            self.model.finish(job, to, letter=how == "INTERNAL")

    @rule(data=st.data())
    @precondition(lambda self: self.model.jobs)
    def cancel(self, data: st.DataObject) -> None:
        """A caller cancels."""
        job = self._job(data, State.QUEUED, State.RUNNING)
        reply = self.loop.run(self.front.cancel(job.ref))
        expected = {State.QUEUED: "CANCELLED", State.RUNNING: "CANCELLING"}.get(job.state, "FINISHED")
        assert reply == (job.state if job.state in {State.CANCELLING, State.CANCELLED} else expected)
        if job.state is State.QUEUED:
            self.model.finish(job, State.CANCELLED)
        elif job.state is State.RUNNING:
            self.model.move(job, State.CANCELLING, job.stage)

    @rule(data=st.data(), tenant=TENANTS, request_id=REQUEST_IDS)
    def delete(self, data: st.DataObject, tenant: str, request_id: str) -> None:
        """A caller deletes a job, perhaps one that is gone, perhaps with a request id that was used."""
        refs = [ref for ref in sorted(self.model.jobs) if ref.startswith(f"{tenant}/")]
        ref = data.draw(st.sampled_from([*refs, f"{tenant}/gone"]))
        receipt, before = (tenant, request_id), self.model.receipts.get((tenant, request_id))
        if before is not None and before != ref:
            with pytest.raises(RequestIdReused):
                self.loop.run(self.front.delete(ref, request_id))
            return
        answer = self.loop.run(self.front.delete(ref, request_id))
        job = self.model.jobs.get(ref)
        if before is None and job is None:
            assert answer is None
            return
        assert answer is not None
        assert answer.ref == ref
        if before is None and job is not None:
            assert answer.objects == 1 + job.image + len(job.artifacts)
            self.model.purge(job)
            self.model.count("deleted")
            if request_id:
                self.model.receipts[receipt] = ref

    @rule(data=st.data(), extra=st.sampled_from([-1, 0, 0, 1, 700]), swept=st.booleans())
    def wait(self, data: st.DataObject, extra: int, *, swept: bool) -> None:
        """Time passes, about until something is due; perhaps the sweeper comes just then."""
        due = self.model.appointments()[:2]
        self.clock.advance(max(0, data.draw(st.sampled_from(due)) - self.clock() + extra) if due else 100)
        if swept:
            self._sweep(leases=True)

    @precondition(lambda self: any(job.lease for job in self.model.jobs.values()))
    @rule(extra=st.sampled_from([-1, 0, 1]), again=st.booleans())
    def lose_a_worker(self, extra: int, *, again: bool) -> None:
        """A lease is not renewed, and runs out about when the sweeper comes; perhaps the job is tried again at once."""
        first = min(job.lease for job in self.model.jobs.values() if job.lease)
        self.clock.advance(max(0, first - self.clock() + extra))
        self._sweep(leases=True)
        for job in list(self.model.jobs.values()) if again else ():
            if job.queue == "suspect" and job.state is State.QUEUED:
                self._claim(job, alone=True, racers=1)

    @rule(leases=st.sampled_from([True, True, True, False]), other=st.booleans())
    def sweep(self, *, leases: bool, other: bool) -> None:
        """The sweeper sweeps; another one that comes while it holds the lock does nothing."""
        arguments = self._sweep(leases=leases)
        if other:
            assert not self.loop.run(self.front.sweep("s2", **arguments)).sent

    def _sweep(self, *, leases: bool) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "lock_ms": LONG_MS,
            "max_attempts": MAX_ATTEMPTS,
            "lost_ms": LOST_MS,
            "leases": leases,
        }
        swept = self.loop.run(self.front.sweep("s1", **arguments))
        sent, done = self.model.sweep(leases=leases)
        assert set(swept.sent) == sent
        assert len(swept.sent) == len(sent)
        assert {name: getattr(swept, name) for name in done} == done
        return arguments

    @rule(data=st.data(), number=st.integers(0, 1), leaves=st.booleans())
    def heartbeat(self, data: st.DataObject, number: int, *, leaves: bool) -> None:
        """A worker renews what it believes to hold."""
        held = data.draw(st.lists(st.sampled_from(self.claims), unique_by=id)) if self.claims else []
        info = None if leaves else worker_info(f"w{number + 1}")
        lost = self.stores[number].heartbeat(info, held, LONG_MS)
        assert lost == {claim.ref for claim in held if self.model.holds(claim) is None}
        for claim in held:
            if (job := self.model.holds(claim)) is not None:
                job.lease = self.clock() + LEASE_MS
        (self.model.spoken.discard if leaves else self.model.spoken.add)(f"w{number + 1}")
        self.model.workers.pop(f"w{number + 1}", None)
        if not leaves:
            self.model.workers[f"w{number + 1}"] = self.clock() + LONG_MS

    @rule(queue=st.sampled_from(["suspect", "stat"]))
    def fill_or_empty_a_list(self, queue: str) -> None:
        """Celery's list of a queue has messages, or has none."""
        name = f"{self.prefix}:celery:{self.prefix}.{queue}"
        if queue in self.model.filled:
            self.raw.delete(name)
            self.model.filled.remove(queue)
        else:
            self.raw.rpush(name, "message")
            self.model.filled.add(queue)

    @invariant()
    def broker_holds_what_the_model_expects(self) -> None:
        """Every key, every index, every record."""
        others = (":celery:", ":events")  # Celery's lists, and the capped stream that is there once a job has moved
        names = [name for name in self.raw.keys(f"{self.prefix}:*") if not any(part in name for part in others)]
        found = {name.removeprefix(f"{self.prefix}:"): self._value(name) for name in sorted(names)}
        assert found == self.model.broker()

    def _value(self, name: str) -> Any:
        kind = name.removeprefix(f"{self.prefix}:").partition(":")[0]
        if kind in {"artifact", "worker"} or ":delete:" in name:
            return True
        if kind == "job":
            return self._record(self.raw.hgetall(name))
        if kind in {"stats", "reached", "bytes"}:
            return {whose: int(value) for whose, value in self.raw.hgetall(name).items()}
        if kind in {"image", "request", "sweeper"}:
            assert kind == "sweeper" or self.raw.ttl(name) == -1
            return self.raw.get(name)
        return {member: int(score) for member, score in self.raw.zrange(name, 0, -1, withscores=True)}

    def _record(self, fields: dict[str, str]) -> tuple[Any, ...]:
        """Returns what the model knows of a record; its events must have no gap and only moves of the table."""
        job = job_from_hash("t/j", {name.encode(): value.encode() for name, value in fields.items()})
        revisions = [event.revision for event in job.events]
        assert revisions == list(range(1, job.revision + 1))
        for before, after in zip(job.events, job.events[1:], strict=False):
            assert after.state in MOVES[before.state]
        assert job.events[-1].state is job.state
        assert sum(event.state.final for event in job.events) == job.state.final
        return job.state, job.stage, job.revision, job.attempt, fields.get("artifacts", "")

    def _job(self, data: st.DataObject, *states: State) -> Known:
        """Returns a job, mostly one in these states."""
        every = [self.model.jobs[ref] for ref in sorted(self.model.jobs)]
        fitting = [job for job in every if job.state in states]
        suspects = [job for job in fitting if job.queue == "suspect"]
        return data.draw(st.sampled_from(data.draw(st.sampled_from([suspects, suspects, fitting, every])) or every))

    def _claimed(self, data: st.DataObject) -> Claim:
        """Returns a claim, mostly one that still holds its job."""
        holding = [claim for claim in self.claims if self.model.holds(claim)]
        return data.draw(st.sampled_from(data.draw(st.sampled_from([holding, holding, self.claims])) or self.claims))

    def _store(self, data: st.DataObject) -> WorkStore:
        return self.stores[data.draw(st.integers(0, 1))]


def _ask(store: WorkStore, ref: str, start: threading.Barrier, *, alone: bool) -> Claim | str | None:
    start.wait(10)
    try:
        return store.claim(ref, alone=alone)
    except Suspect:
        return "SUSPECT"


@pytest.mark.timeout(600)
def test_store_does_what_the_model_does(broker_url: str) -> None:
    """Sixty runs of up to a hundred calls: long ones, for lives of jobs are long."""
    run_state_machine_as_test(
        lambda: StoreMachine(broker_url),
        settings=settings(
            max_examples=60,
            stateful_step_count=100,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


async def test_claims_and_a_cancellation_at_the_same_moment(front: FrontStore, work: WorkStore) -> None:
    """Whoever comes first: one claim at most, one outcome, and the cancellation's answer says which it was."""
    answers = set()
    with ThreadPoolExecutor(3) as threads:
        for number in range(60):
            job = await front.accept(new_job(f"{number:04}"), b"x")
            start = threading.Barrier(3)
            asking = [threads.submit(_ask, work, job.ref, start, alone=False) for _ in range(3)]
            await asyncio.sleep(number % 4 * 0.0003)
            answer = await front.cancel(job.ref)
            won = [found for future in asking if isinstance(found := await asyncio.wrap_future(future), Claim)]
            assert len(won) == (answer == "CANCELLING")
            if won:
                work.settle_cancelled(won[0])
            ended = await front.get(job.ref)
            assert ended is not None
            assert (ended.state, ended.revision) == (State.CANCELLED, 4 if won else 2)
            answers.add(answer)
    assert answers <= {"CANCELLED", "CANCELLING"}
