"""Pages of a tenant's jobs, newest first, with tokens that belong to one filter."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

import msgspec

from nevus_core.errors import InvalidRequest, Violation
from nevus_core.front_store import FrontStore
from nevus_core.records import Job
from nevus_core.states import State

SCAN_LIMIT = 2000
"""Jobs looked at for one page; a rare label yields short pages rather than slow ones."""

CHUNK = 200
_END_OF_TIME_MS = 2**53


class Filter(msgspec.Struct, frozen=True):
    """Which jobs: states (empty: all), time of acceptance in [from_ms, before_ms), labels that all must match."""

    states: tuple[State, ...] = ()
    from_ms: int = 0
    before_ms: int = _END_OF_TIME_MS
    labels: dict[str, str] = {}

    def digest(self) -> str:
        """Returns what binds a page token to this filter."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: its last job's time and id, and the filter's digest."""

    created_ms: int
    job_id: str
    filter: str


@dataclass(frozen=True, slots=True)
class Page:
    """Jobs, newest first, and the token of the next page ("" on the last one)."""

    jobs: list[Job]
    next_token: str


async def list_jobs(store: FrontStore, tenant: str, wanted: Filter, size: int, token: str) -> Page:
    """Returns one page.

    Args:
        store: Where jobs are.
        tenant: Whose.
        wanted: The filter.
        size: At most so many jobs, at least 1.
        token: Of the page before, or "".

    Raises:
        InvalidRequest: INVALID_PAGE_TOKEN; not one of ours, or of another filter.
        Unavailable: The broker can't be reached.
    """
    place = _read_token(token, wanted) if token else None
    found: list[Job] = []
    looked_at = 0
    while looked_at < SCAN_LIMIT:
        rows = await _next_rows(store, tenant, wanted, place)
        if not rows:
            return Page(found, "")
        for job in await store.get_many(f"{tenant}/{job_id}" for job_id, _ in rows):
            if _matches(job, wanted):
                found.append(job)
                if len(found) == size:
                    return Page(found, _write_token(job.created_ms, job.id, wanted))
        looked_at += len(rows)
        job_id, created_ms = rows[-1]
        place = _Place(created_ms, job_id, "")
    assert place is not None  # noqa: S101  # set by every round
    return Page(found, _write_token(place.created_ms, place.job_id, wanted))


async def _next_rows(store: FrontStore, tenant: str, wanted: Filter, place: _Place | None) -> list[tuple[str, int]]:
    """Returns the next (id, created_ms) below the place, newest first, over all wanted states."""
    before_ms = min(wanted.before_ms, place.created_ms + 1 if place else wanted.before_ms)
    rows: list[tuple[str, int]] = []
    for state in wanted.states or (None,):
        offset = 0
        while True:
            chunk = await store.newest(
                tenant, state, from_ms=wanted.from_ms, before_ms=before_ms, offset=offset, count=CHUNK
            )
            below = [row for row in chunk if place is None or (row[1], row[0]) < (place.created_ms, place.job_id)]
            rows.extend(below)
            if below or len(chunk) < CHUNK:
                break
            offset += CHUNK
    return sorted(rows, key=lambda row: (row[1], row[0]), reverse=True)[:CHUNK]


def _matches(job: Job, wanted: Filter) -> bool:
    if wanted.states and job.state not in wanted.states:  # it moved on between the two reads
        return False
    return all(job.options.labels.get(key) == value for key, value in wanted.labels.items())


def _write_token(created_ms: int, job_id: str, wanted: Filter) -> str:
    raw = msgspec.json.encode(_Place(created_ms, job_id, wanted.digest()))
    return base64.urlsafe_b64encode(raw).decode()


def _read_token(token: str, wanted: Filter) -> _Place:
    try:
        place = msgspec.json.decode(base64.urlsafe_b64decode(token.encode()), type=_Place)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        place = None
    if place is None or place.filter != wanted.digest():
        description = "is not a token of this list with this filter; start again without one."
        raise InvalidRequest([Violation("page_token", "INVALID_PAGE_TOKEN", description)])
    return place
