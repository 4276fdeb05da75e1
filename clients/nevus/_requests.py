"""From what a caller hands in to protobuf requests: images, options, request ids.

Files are opened when their turn comes, not before, so that a folder of any size needs the memory of a few images.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias, TypeVar, Unpack, cast

from nevus.errors import InvalidRequest, UnreadableImage, Violation
from nevus.jobs import ArtifactKind, JobPriority, JobState, Options
from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1 import job_pb2

Image: TypeAlias = "bytes | bytearray | memoryview | os.PathLike[str] | str"
"""An image file's bytes as they are, or the path of one."""

INLINE_LIMIT_BYTES = 16 * 1024 * 1024
"""Above this an image is uploaded in chunks: the server's inline limit as shipped."""

WAIT_POLL_S = 50.0
"""One WaitJob asks for so long; below the server's cap of 60 s and the idle limits of common proxies."""

E = TypeVar("E", JobPriority, ArtifactKind, JobState)


def new_request_id() -> str:
    """Returns a fresh UUID4."""
    return str(uuid.uuid4())


def image_size(image: Image) -> int:
    """Returns the image's length in bytes, without reading a file.

    Raises:
        UnreadableImage: There is no such file, or it may not be looked at.
    """
    if isinstance(image, (bytes, bytearray)):
        return len(image)
    if isinstance(image, memoryview):
        return image.nbytes
    try:
        return Path(image).stat().st_size
    except OSError as error:
        raise UnreadableImage(os.fspath(image), error.strerror or str(error)) from error


def is_large(image: Image) -> bool:
    """Returns whether the image is over the inline limit and must be uploaded in chunks.

    Raises:
        UnreadableImage: There is no such file, or it may not be looked at.
    """
    return image_size(image) > INLINE_LIMIT_BYTES


def read_image(image: Image) -> bytes:
    """Returns the image's bytes.

    Raises:
        UnreadableImage: The file can't be read.
    """
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    try:
        return Path(image).read_bytes()
    except OSError as error:
        raise UnreadableImage(os.fspath(image), error.strerror or str(error)) from error


def analysis_options(**options: Unpack[Options]) -> job_pb2.AnalysisOptions:
    """Returns the protobuf form of the options; those left out stay unset, so that the server's defaults hold.

    Raises:
        InvalidRequest: A priority or artifact that does not exist, or a time that is not above zero.
    """
    message = job_pb2.AnalysisOptions(
        model=options.get("model", ""),
        segmenter=options.get("segmenter", ""),
        operating_point=options.get("operating_point", ""),
        labels=dict(options.get("labels") or {}),
    )
    priority = options.get("priority")
    if priority:
        known = _member(JobPriority, priority, "options.priority")
        message.priority = cast("job_pb2.JobPriority", job_pb2.JobPriority.Value(f"JOB_PRIORITY_{known.upper()}"))
    message.artifacts.extend(artifact_number(kind) for kind in options.get("artifacts") or ())
    queue_ttl_s, execution_timeout_s = options.get("queue_ttl_s"), options.get("execution_timeout_s")
    if queue_ttl_s is not None:
        message.queue_ttl.FromTimedelta(_positive(queue_ttl_s, "options.queue_ttl"))
    if execution_timeout_s is not None:
        message.execution_timeout.FromTimedelta(_positive(execution_timeout_s, "options.execution_timeout"))
    return message


def artifact_number(kind: ArtifactKind | str) -> job_pb2.ArtifactKind:
    """Returns the protobuf number of an artifact kind.

    Raises:
        InvalidRequest: There is no such kind.
    """
    known = _member(ArtifactKind, kind, "kind")
    return cast("job_pb2.ArtifactKind", job_pb2.ArtifactKind.Value(f"ARTIFACT_KIND_{known.upper()}"))


def state_number(state: JobState | str) -> job_pb2.JobState:
    """Returns the protobuf number of a job state, given in upper or lower case.

    Raises:
        InvalidRequest: There is no such state.
    """
    known = _member(JobState, state.upper(), "states")
    return cast("job_pb2.JobState", job_pb2.JobState.Value(f"JOB_STATE_{known}"))


def job_name(name: str) -> str:
    """Returns `jobs/{job}`, also where only the id was given."""
    return name if "/" in name else f"jobs/{name}"


def wait_request(name: str, remaining_s: float | None) -> pb.WaitJobRequest:
    """Returns the request for the next long poll: for at most 50 s, or what is left."""
    request = pb.WaitJobRequest(name=job_name(name))
    request.timeout.FromTimedelta(
        timedelta(seconds=WAIT_POLL_S if remaining_s is None else min(remaining_s, WAIT_POLL_S))
    )
    return request


def list_request(
    states: Sequence[JobState | str],
    labels: Mapping[str, str] | None,
    created_from: datetime | None,
    created_before: datetime | None,
    page_size: int,
) -> pb.ListJobsRequest:
    """Returns the request for the first page of jobs; times without a zone are taken as UTC.

    Raises:
        InvalidRequest: There is no such state.
    """
    request = pb.ListJobsRequest(
        page_size=page_size,
        states=map(state_number, states),
        labels=dict(labels or {}),
        view=job_pb2.JOB_VIEW_BASIC,
    )
    if created_from is not None:
        request.create_time_from.FromDatetime(_aware(created_from))
    if created_before is not None:
        request.create_time_before.FromDatetime(_aware(created_before))
    return request


def model_name(name: str) -> str:
    """Returns the resource name for `NAME`, `NAME@VERSION` or a resource name."""
    if "/" in name:
        return name
    model, _, version = name.partition("@")
    return f"models/{model}/versions/{version}" if version else f"models/{model}"


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _member(kind: type[E], value: str, field: str) -> E:
    try:
        return kind(value)
    except ValueError as error:
        known = ", ".join(str(member) for member in kind)
        text = f"{value!r} is none of {known}"
        raise _invalid(field, "UNKNOWN_VALUE", text) from error


def _positive(seconds: float, field: str) -> timedelta:
    if not 0 < seconds < timedelta.max.total_seconds():
        raise _invalid(field, "OUT_OF_RANGE", f"{seconds} s is not above zero")
    return timedelta(seconds=seconds)


def _invalid(field: str, reason: str, description: str) -> InvalidRequest:
    violation = Violation(field, reason, description)
    return InvalidRequest(
        f"{field}: {description}.", code="INVALID_ARGUMENT", reason=reason, violations=(violation,), metadata={}
    )
