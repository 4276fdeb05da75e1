"""The store as a front end sees it: accept, read, list, cancel, delete, sweep. For one asyncio loop.

The worker's half is `work_store`; both call the same functions inside the broker (lua/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import redis
from redis import asyncio as aioredis

from nevus_core.broker import CONNECTION, Clock, broker_troubles, call_args, is_missing_function, text
from nevus_core.codec import decode_image, encode, job_from_hash
from nevus_core.errors import QuotaExceeded, RequestIdReused, Unavailable
from nevus_core.functions import library
from nevus_core.keys import Keys
from nevus_core.line import AsyncLine
from nevus_core.records import Artifact, ImageInfo, Job, JobEvent, JobOptions, WorkerInfo, job_name
from nevus_core.settings import CommonSettings, broker_url
from nevus_core.states import State

IMAGE_SAFETY_MS = 60_000
"""An image whose record never came (its front end died between the two) goes after this time."""

RECEIPT_TTL_MS = 86_400_000
"""How long a deletion's receipt answers a repeated request id."""


MAX_CONNECTIONS = 64
"""To the broker at a time; further calls wait for one that is free."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a front end wants accepted.

    Attributes:
        ref: `tenant/id`, fresh.
        method: RPC family that the request id belongs to.
        request_id: The caller's, or "".
        digest: Over image and options; tells a repeat from a reuse.
        image: From the header.
        options: Every default filled in.
        message: Wakes a worker; pushed into the queue with the record. Empty: none is.
    """

    ref: str
    method: str
    request_id: str
    digest: str
    image: ImageInfo
    options: JobOptions
    message: bytes = b""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that acceptance checks, and how long outcomes are kept."""

    max_queued: int
    max_queued_per_tenant: int
    max_held_bytes: int
    max_held_bytes_per_tenant: int
    result_ttl_ms: int
    letter_ttl_ms: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one sweep did. `sent` holds (ref, queue) of jobs that got a new message; the rest are counts."""

    sent: tuple[tuple[str, str], ...] = ()
    requeued: int = 0
    lost: int = 0
    timed_out: int = 0
    expired: int = 0
    purged: int = 0
    damaged: int = 0


class DeletionReceipt(msgspec.Struct, frozen=True):
    """What a purge removed, and when (milliseconds since the epoch)."""

    objects: int
    sha256: str
    at_ms: int
    ref: str


class FrontStore:
    """A front end's access to the records.

    Args:
        client: Does not decode replies.
        prefix: Before every key.
        limits: Bounds of acceptance.
        clock: Instead of the broker's own clock (tests).
    """

    def __init__(self, client: aioredis.Redis, prefix: str, limits: Limits, clock: Clock | None = None) -> None:
        self.keys = Keys(prefix)
        self._client = client
        self._line = AsyncLine(client)
        self._limits = limits
        self._clock = clock

    @classmethod
    def connect(cls, settings: CommonSettings, limits: Limits) -> FrontStore:
        """Returns a store for the broker that the settings name. Connects with the first call."""
        pool = aioredis.BlockingConnectionPool.from_url(
            broker_url(settings), max_connections=MAX_CONNECTIONS, timeout=5, **CONNECTION
        )
        client = aioredis.Redis.from_pool(pool)
        return cls(client, settings.key_prefix, limits)

    async def close(self) -> None:
        """Closes every connection."""
        await self._line.close()
        await self._client.aclose()

    async def ping(self) -> None:
        """Returns if the broker answers.

        Raises:
            Unavailable: It does not.
        """
        await self._run(("PING",))

    async def accept(self, new: NewJob, data: bytes) -> Job:
        """Stores bytes, record and message in one round trip; once this returns, the job is the broker's.

        Args:
            new: What to accept.
            data: The upload's bytes.

        Returns:
            The job in QUEUED, or for a repeated request id the first one's job as it stands.

        Raises:
            RequestIdReused: Same request id, other content.
            QuotaExceeded: The tenant has its share of queue or store.
            Unavailable: Queue or store is full, or the broker can't be reached. Nothing is left behind.
        """
        tenant, limits = new.ref.partition("/")[0], self._limits
        request = self.keys.request(tenant, new.method, new.request_id) if new.request_id else ""
        words = self._words(
            "accept", new.ref, request, new.digest, encode(new.image), encode(new.options), len(data),
            new.options.priority.value, new.options.queue_ttl_ms, new.options.execution_timeout_ms,
            limits.result_ttl_ms, limits.letter_ttl_ms, limits.max_queued, limits.max_queued_per_tenant,
            limits.max_held_bytes, limits.max_held_bytes_per_tenant, f"{new.options.model}@{new.options.version}",
            new.message,
        )  # fmt: skip
        store = ("SET", self.keys.image(new.ref), data, "PX", IMAGE_SAFETY_MS)
        _, (verdict, detail) = await self._run(store, words)
        match text(verdict):
            case "ACCEPTED":
                return _accepted(new, int(detail))
            case "REPEATED":
                job = await self.get(f"{tenant}/{text(detail)}")
                return job if job is not None else await self.accept(new, data)
            case "REUSED":
                raise RequestIdReused(new.request_id, job_name(text(detail)))
            case "QUEUE_QUOTA" | "STORE_QUOTA" as bound:
                raise _quota_exceeded(tenant, bound, int(detail))
            case "QUEUE_FULL" | "STORE_FULL" as bound:
                raise _full(bound, int(detail))
        raise Unavailable(
            "The broker dropped the image before its job was recorded; it may be short of memory. Try again.",
            reason="BROKER_UNAVAILABLE",
        )

    async def get(self, ref: str) -> Job | None:
        """Returns a job as it stands, or None where there is none.

        Raises:
            Unavailable: The broker can't be reached.
        """
        (fields,) = await self._run(("HGETALL", self.keys.job(ref)))
        return job_from_hash(ref, dict(_pairs(fields))) if fields else None

    async def get_many(self, refs: Iterable[str]) -> list[Job]:
        """Returns those of the jobs that exist, in the order asked for.

        Raises:
            Unavailable: The broker can't be reached.
        """
        wanted = list(refs)
        if not wanted:
            return []
        rows = await self._run(*[("HGETALL", self.keys.job(ref)) for ref in wanted])
        return [job_from_hash(ref, dict(_pairs(fields))) for ref, fields in zip(wanted, rows, strict=True) if fields]

    async def newest(
        self, tenant: str, state: State | None, *, from_ms: int, before_ms: int, offset: int, count: int
    ) -> list[tuple[str, int]]:
        """Returns (id, created_ms) of a tenant's jobs accepted in [from_ms, before_ms), newest first.

        Args:
            tenant: Whose.
            state: Only jobs in this state; None for all.
            from_ms: Earliest time of acceptance.
            before_ms: Accepted before this time.
            offset: How many to pass over.
            count: At most so many.

        Raises:
            Unavailable: The broker can't be reached.
        """
        index = self.keys.index(tenant, state.value if state else "")
        words = ("ZREVRANGEBYSCORE", index, f"({before_ms}", from_ms, "WITHSCORES", "LIMIT", offset, count)
        (rows,) = await self._run(words)
        return [(text(member), int(float(score))) for member, score in _pairs(rows)]

    async def cancel(self, ref: str) -> str:
        """Cancels a job. Returns "CANCELLED", "CANCELLING", "FINISHED" (another outcome) or "GONE".

        Raises:
            Unavailable: The broker can't be reached.
        """
        (reply,) = await self._run(self._words("cancel", ref))
        return text(reply)

    async def delete(self, ref: str, request_id: str = "") -> DeletionReceipt | None:
        """Purges every trace of a job. Returns the receipt, or None where there is no such job.

        Raises:
            RequestIdReused: The request id deleted another job.
            Unavailable: The broker can't be reached.
        """
        receipt = self.keys.request(ref.partition("/")[0], "delete", request_id) if request_id else ""
        (reply,) = await self._run(self._words("delete", ref, receipt, RECEIPT_TTL_MS))
        match text(reply[0]):
            case "DELETED":
                return DeletionReceipt(int(reply[1]), decode_image(reply[2]).sha256, int(reply[3]), ref)
            case "REPEATED":
                return msgspec.json.decode(reply[1], type=DeletionReceipt)
            case "REUSED":
                other = msgspec.json.decode(reply[1], type=DeletionReceipt)
                raise RequestIdReused(request_id, job_name(other.ref.partition("/")[2]))
        return None

    async def artifact(self, job: Job, kind: Artifact) -> bytes | None:
        """Returns a job's picture as PNG bytes, or None where it was not made or is gone.

        Raises:
            Unavailable: The broker can't be reached.
        """
        for name in job.artifacts:
            if name.partition(":")[2] == kind:
                (png,) = await self._run(("GET", self.keys.artifact(job.ref, name)))
                return cast("bytes | None", png)
        return None

    async def workers(self) -> list[WorkerInfo]:
        """Returns what every live, warmed worker says of itself.

        Raises:
            Unavailable: The broker can't be reached.
        """
        (ids,) = await self._run(("ZRANGE", self.keys.workers, 0, -1))
        if not ids:
            return []
        (rows,) = await self._run(("MGET", *[self.keys.worker(text(worker)) for worker in ids]))
        return [msgspec.json.decode(row, type=WorkerInfo) for row in rows if row]

    async def sweep(
        self,
        sweeper: str,
        *,
        lock_ms: int,
        max_attempts: int,
        lost_ms: int,
        form: str = "",
        leases: bool = True,
        limit: int = 200,
    ) -> Sweep:
        """Does everything whose time has come: leases, timeouts, deadlines, lost messages, purges.

        Args:
            sweeper: Who sweeps; another one's sweep does nothing while this one's lock lasts.
            lock_ms: How long the lock lasts.
            max_attempts: A job that lost its worker for the so-manieth time FAILS.
            lost_ms: Least age of a message before it can count as lost.
            form: Of the messages that are sent in the same step; "" sends none.
            leases: False while leases are not to be ended: the broker was away, and the heartbeats with it.
            limit: Most jobs of each kind at a time.

        Raises:
            Unavailable: The broker can't be reached.
        """
        words = self._words("sweep", sweeper, lock_ms, max_attempts, lost_ms, limit, int(leases), form)
        (reply,) = await self._run(words)
        if not reply:
            return Sweep()
        sent = tuple((text(ref), text(queue)) for ref, queue in _pairs(reply[0]))
        return Sweep(sent, *(int(number) for number in reply[1:]))

    async def image(self, ref: str) -> bytes | None:
        """Returns the bytes of a job's image; None where they are gone, as they are after most outcomes.

        Raises:
            Unavailable: The broker can't be reached.
        """
        (data,) = await self._run(("GET", self.keys.image(ref)))
        return cast("bytes | None", data)

    async def drop_letter(self, ref: str) -> None:
        """Lets the image of a dead letter go before its time: it was submitted again.

        Raises:
            Unavailable: The broker can't be reached.
        """
        await self._run(("ZADD", f"{self.keys.prefix}:letters", "XX", 0, ref))

    async def stats(self) -> Mapping[str, int]:
        """Returns the counters: accepted, succeeded, failed, cancelled, expired, requeued, fenced, deleted.

        Raises:
            Unavailable: The broker can't be reached.
        """
        (rows,) = await self._run(("HGETALL", self.keys.stats))
        return {text(name): int(value) for name, value in _pairs(rows)}

    def _words(self, name: str, *args: object) -> tuple[object, ...]:
        return call_args(name, self.keys.prefix, self._clock, *args)

    async def _run(self, *commands: tuple[object, ...]) -> list[Any]:
        with broker_troubles():
            try:
                return await self._line.run(*commands)
            except redis.ResponseError as error:
                if not is_missing_function(error):
                    raise
                await self._client.function_load(library(), replace=True)
                return await self._line.run(*commands)


def _pairs(flat: list[Any]) -> Iterable[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _accepted(new: NewJob, at_ms: int) -> Job:
    tenant, _, job_id = new.ref.partition("/")
    event = JobEvent(revision=1, state=State.QUEUED, at_ms=at_ms)
    return Job(
        tenant=tenant, id=job_id, state=State.QUEUED, revision=1, created_ms=at_ms, updated_ms=at_ms,
        image=new.image, options=new.options, events=(event,),
    )  # fmt: skip


def _full(bound: str, held: int) -> Unavailable:
    what = f"{held} jobs are waiting" if bound == "QUEUE_FULL" else f"{held} bytes of images are held"
    return Unavailable(
        f"The system is full: {what}. Try again after the delay given, or add workers.",
        reason=bound,
        metadata={"held": str(held)},
    )


def _quota_exceeded(tenant: str, bound: str, held: int) -> QuotaExceeded:
    what = f"{held} jobs waiting" if bound == "QUEUE_QUOTA" else f"{held} bytes of images held"
    message = f"Tenant {tenant} has {what}, which is its quota. Try again when some have finished."
    return QuotaExceeded(tenant, message, reason="QUOTA_EXCEEDED", retry_after_s=1.0)
