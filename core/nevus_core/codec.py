"""Between the store's flat hashes and the records."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from nevus_core.records import Failure, ImageInfo, Job, JobEvent, JobOptions, Region, Result
from nevus_core.states import Stage, State

encode = msgspec.json.encode
"""Returns a record as compact JSON bytes."""

_image = msgspec.json.Decoder(ImageInfo)
_options = msgspec.json.Decoder(JobOptions)
_regions = msgspec.json.Decoder(tuple[Region, ...])
_result = msgspec.json.Decoder(Result)
_failure = msgspec.json.Decoder(Failure)
_event = msgspec.json.Decoder(JobEvent)

decode_image = _image.decode
decode_options = _options.decode
decode_regions = _regions.decode
decode_result = _result.decode
decode_event = _event.decode


def job_from_hash(ref: str, fields: Mapping[bytes, bytes]) -> Job:
    """Returns the job that HGETALL of its record answered with.

    Args:
        ref: `tenant/id`.
        fields: Raw field names and values; must hold at least what acceptance writes.
    """
    tenant, _, job_id = ref.partition("/")
    result = _result.decode(fields[b"result"]) if b"result" in fields else None
    regions = _regions.decode(fields[b"regions"]) if b"regions" in fields else result.regions if result else None
    failure = _failure.decode(fields[b"failure"]) if b"failure" in fields else None
    return Job(
        tenant=tenant,
        id=job_id,
        state=State(fields[b"state"].decode()),
        stage=Stage(fields[b"stage"].decode()),
        revision=int(fields[b"revision"]),
        attempt=int(fields[b"attempt"]),
        created_ms=int(fields[b"created_ms"]),
        updated_ms=int(fields[b"updated_ms"]),
        started_ms=int(fields.get(b"started_ms", 0)),
        finished_ms=int(fields.get(b"finished_ms", 0)),
        expire_ms=int(fields.get(b"expire_ms", 0)),
        image=_image.decode(fields[b"image"]),
        options=_options.decode(fields[b"options"]),
        regions=regions,
        result=result,
        failure=failure,
        worker=fields.get(b"worker", b"").decode(),
        artifacts=tuple(fields.get(b"artifacts", b"").decode().split()),
        events=_events(fields),
    )


def _events(fields: Mapping[bytes, bytes]) -> tuple[JobEvent, ...]:
    events = [_event.decode(value) for name, value in fields.items() if name.startswith(b"e:")]
    return tuple(sorted(events, key=lambda event: event.revision))
