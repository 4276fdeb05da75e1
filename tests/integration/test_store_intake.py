"""What the store takes in and lets go: acceptance, request ids, bounds, deletion."""

from __future__ import annotations

import asyncio

import pytest
import redis

from nevus_core.errors import Fenced, QuotaExceeded, RequestIdReused, Unavailable
from nevus_core.front_store import FrontStore
from nevus_core.records import Artifact
from nevus_core.states import State
from nevus_core.work_store import WorkStore
from support import made_up
from support.made_up import new_job
from support.store_steps import claimed


async def test_an_accepted_job_reads_back_as_it_was_answered(front: FrontStore) -> None:
    """What acceptance answers equals what the record holds."""
    answered = await front.accept(new_job("a", labels={"k": "v"}), b"bytes")
    assert answered == await front.get("default/a")
    assert (answered.state, answered.revision) == (State.QUEUED, 1)


async def test_bytes_held_are_bounded(front: FrontStore, work: WorkStore, raw: redis.Redis, key_prefix: str) -> None:
    """Per tenant and in all; what ends gives its bytes back."""
    claim = await claimed(front, work, "a")
    await front.accept(new_job("b"), bytes(490))
    with pytest.raises(QuotaExceeded):
        await front.accept(new_job("c"), bytes(10))
    await front.accept(new_job("d", tenant="other"), bytes(500))
    with pytest.raises(Unavailable) as refused:
        await front.accept(new_job("e", tenant="third"), bytes(10))
    assert refused.value.reason == "STORE_FULL"
    assert raw.hget(f"{key_prefix}:bytes", "*") == b"995"
    work.settle_succeeded(claim, made_up.result(), {}, 1000)
    await front.cancel("default/b")
    await front.delete("other/d")
    assert raw.hgetall(f"{key_prefix}:bytes") == {}
    await front.accept(new_job("e", tenant="third"), bytes(10))


async def test_request_ids(front: FrontStore) -> None:
    """Same id and content: the same job. Same id, other content: refused. Another tenant's id is another id."""
    first = await front.accept(new_job("a", request_id="r", digest="x"), b"bytes")
    assert await front.accept(new_job("b", request_id="r", digest="x"), b"bytes") == first
    with pytest.raises(RequestIdReused, match="jobs/a"):
        await front.accept(new_job("c", request_id="r", digest="y"), b"bytes")
    other = await front.accept(new_job("d", tenant="other", request_id="r", digest="y"), b"bytes")
    assert other.id == "d"
    assert await front.get("default/b") is None


async def test_of_racing_retries_one_makes_a_job(front: FrontStore) -> None:
    """Ten submissions with one request id at the same time give one job."""
    jobs = await asyncio.gather(
        *(front.accept(new_job(f"j{number}", request_id="r", digest="x"), b"bytes") for number in range(10))
    )
    assert len({job.id for job in jobs}) == 1
    assert (await front.stats())["accepted"] == 1


async def test_bounds(front: FrontStore, raw: redis.Redis, key_prefix: str) -> None:
    """A tenant's quota and the whole queue's bound refuse, and a refused image leaves nothing behind."""
    for number in range(10):
        await front.accept(new_job(f"a{number}"), b"bytes")
    with pytest.raises(QuotaExceeded):
        await front.accept(new_job("one-more"), b"bytes")
    for number in range(10):
        await front.accept(new_job(f"b{number}", tenant="other"), b"bytes")
    with pytest.raises(Unavailable) as refused:
        await front.accept(new_job("another", tenant="third"), b"bytes")
    assert refused.value.reason == "QUEUE_FULL"
    assert not raw.keys(f"{key_prefix}:*one-more*")
    assert not raw.keys(f"{key_prefix}:*another*")
    assert raw.ttl(f"{key_prefix}:image:default/a0") == -1  # an accepted image does not time out


async def test_deletion_leaves_a_receipt_and_nothing_else(
    front: FrontStore, work: WorkStore, raw: redis.Redis, key_prefix: str
) -> None:
    """Record, pictures, indexes and request id go; a repeat with the request id gets the first receipt."""
    claim = await claimed(front, work, request_id="r")
    work.settle_succeeded(claim, made_up.result(), {Artifact.MASK: b"m", Artifact.OVERLAY: b"o"}, 60_000)
    receipt = await front.delete("default/a", "d")
    assert receipt is not None
    assert (receipt.objects, receipt.sha256) == (3, made_up.image_info().sha256)
    assert await front.delete("default/a", "d") == receipt
    assert await front.delete("default/a", "e") is None
    left = {key.decode().removeprefix(key_prefix) for key in raw.keys(f"{key_prefix}:*")}
    assert left == {":events", ":stats", ":reached", ":request:default:delete:d"}


async def test_a_deleted_job_can_not_be_finished(front: FrontStore, work: WorkStore) -> None:
    """A worker that holds a job which is deleted meanwhile is fenced off; nothing comes back to life."""
    claim = await claimed(front, work)
    await front.delete("default/a")
    with pytest.raises(Fenced):
        work.settle_succeeded(claim, made_up.result(), {}, 1000)
    assert await front.get("default/a") is None


async def test_an_acceptance_told_twice_changes_nothing(front: FrontStore, work: WorkStore) -> None:
    """When the answer to an acceptance is lost and it is sent again, the job goes on, its image stays."""
    await front.accept(new_job("a", request_id="r"), b"bytes")
    await front.accept(new_job("a", request_id="r"), b"bytes")
    claim = await asyncio.to_thread(work.claim, "default/a")
    assert claim is not None
    await front.accept(new_job("a"), b"bytes")
    job = await front.get("default/a")
    assert job is not None
    assert (job.state, claim.data) == (State.RUNNING, b"bytes")
    assert (await front.stats())["accepted"] == 1


async def test_a_deletions_request_id_belongs_to_one_job(front: FrontStore) -> None:
    """The receipt of one job must not pass for that of another, which would stay undeleted."""
    await front.accept(new_job("a"), b"bytes")
    await front.accept(new_job("b"), b"bytes")
    assert await front.delete("default/a", "d") is not None
    with pytest.raises(RequestIdReused, match="jobs/a"):
        await front.delete("default/b", "d")
    assert await front.get("default/b") is not None
