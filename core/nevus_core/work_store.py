"""The store as a worker sees it: claim, advance, settle, heartbeat. Blocking; safe to share between threads.

Every call is one round trip, and every call but `claim` is fenced: it counts only while this attempt holds the job.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from nevus_core.broker import CONNECTION, Clock, broker_troubles, call_args, is_missing_function, text
from nevus_core.codec import decode_image, decode_options, encode
from nevus_core.errors import Fenced, OtherModel, Suspect
from nevus_core.functions import library
from nevus_core.keys import Keys
from nevus_core.line import Line
from nevus_core.records import Artifact, Failure, ImageInfo, JobOptions, Region, Result, WorkerInfo
from nevus_core.settings import CommonSettings, broker_url
from nevus_core.states import Stage, State


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this process holds: what to do, and the attempt that proves it.

    Attributes:
        ref: `tenant/id`.
        attempt: 1 for the first claim of the job.
        created_ms, claimed_ms: By the broker's clock.
        image: From the upload's header.
        data: The upload's bytes.
        options: How to analyse it.
    """

    ref: str
    attempt: int
    created_ms: int
    claimed_ms: int
    image: ImageInfo
    data: bytes
    options: JobOptions


class WorkStore:
    """One worker process's access to the records.

    Args:
        client: A connection pool's client that does not decode replies.
        prefix: Before every key.
        worker_id: Unique to this process and this start of it.
        lease_ms: How long a claim lasts without a heartbeat.
        models: `name@version` of every model that this process holds; read anew for every claim.
        clock: Instead of the broker's own clock (tests).
    """

    def __init__(
        self,
        client: redis.Redis,
        prefix: str,
        worker_id: str,
        lease_ms: int,
        models: Iterable[str],
        clock: Clock | None = None,
    ) -> None:
        self._held_models = models
        self._client = client
        self._line = Line(client)
        self._keys = Keys(prefix)
        self._worker_id = worker_id
        self._lease_ms = lease_ms
        self._clock = clock

    @classmethod
    def connect(cls, settings: CommonSettings, worker_id: str, models: Iterable[str]) -> WorkStore:
        """Returns a store for the broker that the settings name. Connects with the first call."""
        client = redis.Redis.from_url(broker_url(settings), **CONNECTION)
        return cls(client, settings.key_prefix, worker_id, round(settings.lease_s * 1000), models)

    def close(self) -> None:
        """Closes every connection."""
        self._line.close()
        self._client.close()

    def claim(self, ref: str, *, alone: bool = False) -> Claim | None:
        """Takes a job for this process, in one round trip with its bytes.

        Args:
            ref: `tenant/id`.
            alone: Whether this process does nothing else meanwhile: only so is a suspect given out.

        Returns:
            The claim, or None where there is nothing to do: another worker has it (a second delivery), it has ended,
            or it is gone.

        Raises:
            Suspect: Its worker died; claim it again with `alone`.
            OtherModel: This process does not hold its model; the message has to go to another one.
            Unavailable: The broker can't be reached.
        """
        words = self._words("claim", ref, self._worker_id, self._lease_ms, int(alone), self._models, uuid.uuid4().hex)
        reply, data = self._run(words, ("GET", self._keys.image(ref)))
        verdict = text(reply[0])
        if verdict == "SUSPECT":
            raise Suspect(ref)
        if verdict == "OTHER":
            raise OtherModel(ref)
        return _claim(ref, reply, data) if verdict == "CLAIMED" else None

    def advance(self, claim: Claim, stage: Stage, regions: tuple[Region, ...] | None = None) -> bool:
        """Moves the job to its next stage, with the regions if they are known now.

        Returns:
            False where the job is to be cancelled: stop and call `settle_cancelled`.

        Raises:
            Fenced: This attempt no longer holds the job.
            Unavailable: The broker can't be reached.
        """
        found = b"" if regions is None else encode(regions)
        (reply,) = self._run(self._words("advance", claim.ref, claim.attempt, stage.value, found))
        return _unless_fenced(reply, claim) == "OK"

    def settle_succeeded(
        self, claim: Claim, result: Result, pictures: Mapping[Artifact, bytes], keep_ms: int, *, take: bool = False
    ) -> Claim | None:
        """Writes the outcome once, its pictures first.

        Args:
            claim: What this process holds.
            result: The outcome.
            pictures: Kind to PNG bytes.
            keep_ms: How long the broker keeps the pictures if nobody purges them.
            take: Whether to take the next waiting job with it. Celery's consumer and a claim cost several times as much
                (docs/performance.md); under load they start a thread, and then it goes on by itself.

        Returns:
            What was taken. None where nothing waits, or nothing that can be taken so: Celery's messages come to that.

        Raises:
            Fenced: This attempt no longer holds the job; nothing was kept.
            Unavailable: The broker can't be reached.
        """
        names = {kind: f"{claim.attempt}:{kind}" for kind in pictures}
        stores = [
            ("SET", self._keys.artifact(claim.ref, names[kind]), png, "PX", keep_ms) for kind, png in pictures.items()
        ]
        settled = self._settled(claim, State.SUCCEEDED, "result", encode(result), names.values())
        return self._settle(claim, [*stores, settled], take=take)

    def settle_failed(self, claim: Claim, failure: Failure, *, take: bool = False) -> Claim | None:
        """Writes why there is no result. Takes and returns as `settle_succeeded`.

        Raises:
            Fenced: This attempt no longer holds the job.
            Unavailable: The broker can't be reached.
        """
        return self._settle(claim, [self._settled(claim, State.FAILED, "failure", encode(failure))], take=take)

    def settle_cancelled(self, claim: Claim, *, take: bool = False) -> Claim | None:
        """Confirms a cancellation. Takes and returns as `settle_succeeded`.

        Raises:
            Fenced: This attempt no longer holds the job.
            Unavailable: The broker can't be reached.
        """
        return self._settle(claim, [self._settled(claim, State.CANCELLED)], take=take)

    def heartbeat(self, info: WorkerInfo | None, held: Iterable[Claim], alive_ms: int) -> set[str]:
        """Says that this process lives, and renews the leases of what it holds.

        Args:
            info: What it serves; None where it takes no more and only finishes what it holds.
            held: Its claims.
            alive_ms: How long this beat counts.

        Returns:
            Refs of jobs that it holds no more: their work is in vain.

        Raises:
            Unavailable: The broker can't be reached.
        """
        pairs = [word for claim in held for word in (claim.ref, claim.attempt)]
        said = b"" if info is None else encode(info)
        words = self._words("heartbeat", self._worker_id, said, alive_ms, self._lease_ms, *pairs)
        (lost,) = self._run(words)
        return {text(ref) for ref in lost}

    def _settled(
        self, claim: Claim, state: State, field: str = "", value: bytes = b"", artifacts: Iterable[str] = ()
    ) -> tuple[object, ...]:
        return self._words("settle", claim.ref, claim.attempt, state.value, field, value, " ".join(artifacts))

    def _settle(self, claim: Claim, commands: Sequence[tuple[object, ...]], *, take: bool) -> Claim | None:
        """Sends commands, the last of which settles, and with `take` one that takes the next job."""
        if not take:
            _unless_fenced(self._run(*commands)[-1], claim)
            return None
        # The same name however often this is called: an answer that did not arrive is given again.
        call = f"after {claim.ref} {claim.attempt}"
        take_next = self._words("take", claim.ref, claim.attempt, self._worker_id, self._lease_ms, self._models, call)
        *_, settled, taken = self._run(*commands, take_next)
        _unless_fenced(settled, claim)
        if not taken:
            return None
        ref = text(taken[0])
        (data,) = self._run(("GET", self._keys.image(ref)))
        return _claim(ref, taken[1:], data)

    @property
    def _models(self) -> str:
        return "|".join(["", *self._held_models, ""])

    def _words(self, name: str, *args: object) -> tuple[object, ...]:
        return call_args(name, self._keys.prefix, self._clock, *args)

    def _run(self, *commands: tuple[object, ...]) -> list[Any]:
        with broker_troubles():
            try:
                return self._line.run(*commands)
            except redis.ResponseError as error:
                if not is_missing_function(error):
                    raise
                self._client.function_load(library(), replace=True)
                return self._line.run(*commands)


def _claim(ref: str, reply: Sequence[Any], data: bytes | None) -> Claim:
    _, attempt, created_ms, claimed_ms, image, options = reply
    return Claim(ref, attempt, created_ms, claimed_ms, decode_image(image), data or b"", decode_options(options))


def _unless_fenced(reply: object, claim: Claim) -> str:
    answer = text(reply)
    if answer == "FENCED":
        raise Fenced(claim.ref, claim.attempt)
    return answer
