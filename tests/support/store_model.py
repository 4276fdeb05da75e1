"""What the store should do, said as simply as it can be: a plain-Python model of the broker's functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nevus_core.front_store import Limits
from nevus_core.states import MOVES, Stage, State
from nevus_core.work_store import Claim
from support.clock import ManualClock

LIMITS = Limits(
    max_queued=3, max_queued_per_tenant=2, max_held_bytes=40, max_held_bytes_per_tenant=30, result_ttl_ms=10_000,
    letter_ttl_ms=3_000,
)  # fmt: skip
LEASE_MS, MAX_ATTEMPTS, LOST_MS, LONG_MS = 4000, 2, 1000, 10**8


@dataclass(slots=True)
class Known:
    """A job as the model knows it. Times are None while their clock does not run."""

    ref: str
    priority: str
    size: int
    request: tuple[str, str] | None
    queue_ttl: int
    timeout: int
    created: int
    queue: str
    sent: int | None
    deadline: int | None
    state: State = State.QUEUED
    stage: Stage = Stage.NONE
    attempt: int = 0
    revision: int = 1
    lease: int | None = None
    ends: int | None = None
    letter: int | None = None
    expires: int | None = None
    image: bool = True
    artifacts: tuple[str, ...] = ()

    @property
    def tenant(self) -> str:
        """Whose."""
        return self.ref.partition("/")[0]

    @property
    def id(self) -> str:
        """Its own part of the ref."""
        return self.ref.partition("/")[2]


@dataclass(slots=True)
class Model:
    """What the store should do, as simply as it can be said."""

    clock: ManualClock
    jobs: dict[str, Known] = field(default_factory=dict)
    requests: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    receipts: dict[tuple[str, str], str] = field(default_factory=dict)
    reached: dict[str, int] = field(default_factory=dict)
    filled: set[str] = field(default_factory=set)
    workers: dict[str, int] = field(default_factory=dict)
    spoken: set[str] = field(default_factory=set)
    stats: dict[str, int] = field(default_factory=dict)
    swept: bool = False

    def count(self, what: str) -> None:
        """Raises a counter."""
        self.stats[what] = self.stats.get(what, 0) + 1

    def held_bytes(self, tenant: str = "") -> int:
        """Returns the bytes of images held, of one tenant or in all."""
        return sum(job.size for job in self.jobs.values() if job.image and tenant in {"", job.tenant})

    def verdict(self, tenant: str, size: int, request: tuple[str, str] | None, digest: str) -> str:
        """Returns how an acceptance goes."""
        if request in self.requests:
            return "REPEATED" if self.requests[request][0] == digest else "REQUEST_ID_REUSED"
        waiting = [job.tenant for job in self.jobs.values() if job.state is State.QUEUED]
        if len(waiting) >= LIMITS.max_queued:
            return "QUEUE_FULL"
        if waiting.count(tenant) >= LIMITS.max_queued_per_tenant:
            return "QUOTA_EXCEEDED"
        if self.held_bytes() + size > LIMITS.max_held_bytes:
            return "STORE_FULL"
        full = self.held_bytes(tenant) + size > LIMITS.max_held_bytes_per_tenant
        return "QUOTA_EXCEEDED" if full else "ACCEPTED"

    def move(self, job: Known, to: State, stage: Stage = Stage.NONE) -> None:
        """Moves a job, by the table."""
        assert to in MOVES[job.state]
        job.state, job.stage, job.revision = to, stage, job.revision + 1

    def finish(self, job: Known, to: State, *, letter: bool = False) -> None:
        """Gives a job its outcome."""
        now = self.clock()
        job.sent = job.deadline = job.lease = job.ends = None
        job.expires = now + LIMITS.result_ttl_ms
        job.letter = now + LIMITS.letter_ttl_ms if letter else None
        job.image = letter
        self.count(to.lower())
        self.move(job, to)

    def claim(self, job: Known) -> None:
        """Gives a queued job to a worker."""
        assert job.sent is not None
        self.reached[job.queue] = max(self.reached.get(job.queue, 0), job.sent)
        job.sent = job.deadline = None
        job.attempt += 1
        job.lease, job.ends = self.clock() + LEASE_MS, self.clock() + job.timeout
        self.move(job, State.RUNNING, Stage.DECODING)

    def holds(self, claim: Claim) -> Known | None:
        """Returns the job if this claim still holds it."""
        job = self.jobs.get(claim.ref)
        held = job is not None and job.attempt == claim.attempt and job.state in {State.RUNNING, State.CANCELLING}
        return job if held else None

    def purge(self, job: Known) -> None:
        """Forgets a job."""
        del self.jobs[job.ref]
        if job.request:
            del self.requests[job.request]

    def sweep(self, *, leases: bool) -> tuple[set[tuple[str, str]], dict[str, int]]:
        """Does everything whose time has come; returns which jobs need a message, and how many had what."""
        now, sent = self.clock(), set()
        done = dict.fromkeys(("requeued", "lost", "timed_out", "expired", "purged", "damaged"), 0)
        for job in self._due("ends"):
            self.finish(job, State.FAILED, letter=True)
            done["timed_out"] += 1
        for job in self._due("lease") if leases else ():
            if job.state is State.CANCELLING:
                self.finish(job, State.CANCELLED)
            elif job.attempt >= MAX_ATTEMPTS:
                self.finish(job, State.FAILED, letter=True)
                done["lost"] += 1
            else:
                job.lease = job.ends = None
                job.queue, job.sent, job.deadline = "suspect", now, now + job.queue_ttl
                self.move(job, State.QUEUED)
                self.count("requeued")
                done["requeued"] += 1
                sent.add((job.ref, "suspect"))
        for job in self._due("deadline"):
            self.finish(job, State.EXPIRED, letter=True)
            done["expired"] += 1
        for job in self.jobs.values():
            latest = min(now, self.reached.get(job.queue, 0)) if job.queue in self.filled else now
            if job.sent is not None and job.sent <= latest - LOST_MS:
                job.sent = now
                sent.add((job.ref, job.queue))
        for job in self._due("letter"):
            job.letter, job.image = None, False
        for job in self._due("expires"):
            self.purge(job)
            done["purged"] += 1
        self.workers = {worker: until for worker, until in self.workers.items() if until > now}
        self.swept = True
        return sent, done

    def appointments(self) -> list[int]:
        """Returns the times at which something will be due, the next one first."""
        clocks = [(job.deadline, job.lease, job.ends, job.letter, job.expires) for job in self.jobs.values()]
        lost = [job.sent + LOST_MS for job in self.jobs.values() if job.sent is not None]
        return sorted({at for times in clocks for at in times if at is not None and at > self.clock()} | set(lost))

    def _due(self, what: str) -> list[Known]:
        now = self.clock()
        return [job for job in self.jobs.values() if (at := getattr(job, what)) is not None and at <= now]

    def broker(self) -> dict[str, Any]:
        """Returns every key that should be there, with its value; of records what `seen` picks out."""
        keys: dict[str, Any] = {
            "stats": self.stats,
            "reached": self.reached,
        }
        keys |= {"sweeper": "s1"} if self.swept else {}
        indexes: dict[str, dict[str, int]] = {"workers": dict(self.workers)}
        for job in self.jobs.values():
            indexes.setdefault(f"jobs:{job.tenant}", {})[job.id] = job.created
            indexes.setdefault(f"jobs:{job.tenant}:{job.state}", {})[job.id] = job.created
            for name, at in (
                (f"queued:{job.queue}", job.sent), ("deadlines", job.deadline), ("leases", job.lease),
                ("timeouts", job.ends), ("letters", job.letter), ("expiry", job.expires),
            ):  # fmt: skip
                if at is not None:
                    indexes.setdefault(name, {})[job.ref] = at
            keys[f"job:{job.ref}"] = (job.state, job.stage, job.revision, job.attempt, " ".join(job.artifacts))
            keys |= {f"artifact:{job.ref}:{name}": True for name in job.artifacts}
            if job.image:
                keys[f"image:{job.ref}"] = "x" * job.size
        held = {tenant: self.held_bytes(tenant) for tenant in {job.tenant for job in self.jobs.values()}}
        keys["bytes"] = {tenant: size for tenant, size in {"*": sum(held.values()), **held}.items() if size}
        for (tenant, request_id), (digest, ref) in self.requests.items():
            keys[f"request:{tenant}:accept:{request_id}"] = f"{digest} {ref.partition('/')[2]}"
        keys |= {f"request:{tenant}:delete:{request_id}": True for tenant, request_id in self.receipts}
        keys |= {f"worker:{worker}": True for worker in self.spoken}
        return {name: value for name, value in {**keys, **indexes}.items() if value}
