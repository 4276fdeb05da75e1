"""Steps that many tests of the store begin with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from nevus_core.front_store import FrontStore, Sweep
from nevus_core.records import Failure
from nevus_core.work_store import Claim, WorkStore
from support.made_up import new_job

FAILURE = Failure(code="INVALID_ARGUMENT", reason="CORRUPT_IMAGE", message="Made up.")


def sweep_now(front: FrontStore, *, by: str = "s", lost_ms: int = 30_000, leases: bool = True) -> Awaitable[Sweep]:
    """Sweeps with an attempts limit of 3 and no lock to speak of."""
    return front.sweep(by, lock_ms=1, max_attempts=3, lost_ms=lost_ms, leases=leases)


async def claimed(front: FrontStore, work: WorkStore, job_id: str = "a", **changes: object) -> Claim:
    """Accepts a job and claims it."""
    await front.accept(new_job(job_id, **changes), b"bytes")
    claim = await asyncio.to_thread(work.claim, f"default/{job_id}")
    assert claim is not None
    return claim
