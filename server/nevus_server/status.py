"""The one place where an error of ours becomes a google.rpc.Status.

Every Status carries exactly one ErrorInfo, and each other kind of detail at most once (AIP-193).
"""

from __future__ import annotations

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from nevus_core.errors import (
    DOMAIN,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidRequest,
    NevusError,
    NotFound,
    QuotaExceeded,
    RequestIdReused,
    Unavailable,
)
from nevus_core.records import Failure

DETAILS_KEY = "grpc-status-details-bin"
"""Trailing metadata that carries the Status."""

PUSHBACK_KEY = "grpc-retry-pushback-ms"
"""Trailing metadata that gRPC's own retries heed."""


LONGEST_MESSAGE, LONGEST_VALUE = 1000, 200
"""Characters. Message and details travel as metadata, which many a client and proxy limits to 8 KiB in all."""


def code_of(name: str) -> grpc.StatusCode:
    """Returns gRPC's code for its name, for example "NOT_FOUND"."""
    return grpc.StatusCode[name]


def status_of(error: NevusError) -> status_pb2.Status:
    """Returns the Status of an error, with every detail that its class calls for."""
    status = _status(error.code, error.message, error.reason, error.metadata)
    for detail in _details(error):
        _attach(status, detail)
    return status


def status_of_failure(failure: Failure) -> status_pb2.Status:
    """Returns the Status of a job that ended without a result."""
    return _status(failure.code, failure.message, failure.reason, failure.metadata)


def trailing_metadata(error: NevusError) -> tuple[tuple[str, str | bytes], ...]:
    """Returns what travels behind an RPC that ends with this error."""
    trailing: list[tuple[str, str | bytes]] = [(DETAILS_KEY, status_of(error).SerializeToString())]
    if isinstance(error, Unavailable | QuotaExceeded):
        trailing.append((PUSHBACK_KEY, str(round(error.retry_after_s * 1000))))
    return tuple(trailing)


def _status(code: str, message: str, reason: str, metadata: dict[str, str]) -> status_pb2.Status:
    values = {key: value[:LONGEST_VALUE] for key, value in metadata.items()}
    status = status_pb2.Status(code=code_of(code).value[0], message=message[:LONGEST_MESSAGE])
    _attach(status, error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=values))
    return status


def _attach(status: status_pb2.Status, detail: Message) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    status.details.append(packed)


def _details(error: NevusError) -> list[Message]:  # noqa: PLR0911  # one a class
    match error:
        case InvalidRequest():
            return [_bad_request(error)]
        case NotFound():
            return [
                error_details_pb2.ResourceInfo(resource_type=error.resource_type, resource_name=error.resource_name)
            ]
        case RequestIdReused() | DeadlineExceeded():
            return [error_details_pb2.ResourceInfo(resource_type="nevus/Job", resource_name=error.job_name)]
        case FailedPrecondition():
            violation = error_details_pb2.PreconditionFailure.Violation(
                type=error.reason, subject=error.subject, description=error.message
            )
            return [error_details_pb2.PreconditionFailure(violations=[violation])]
        case QuotaExceeded():
            quota = error_details_pb2.QuotaFailure.Violation(subject=error.subject, description=error.message)
            return [error_details_pb2.QuotaFailure(violations=[quota]), _retry_info(error.retry_after_s)]
        case Unavailable():
            return [_retry_info(error.retry_after_s)]
    return []


def _bad_request(error: InvalidRequest) -> error_details_pb2.BadRequest:
    violations = []
    for violation in error.violations:
        field = error_details_pb2.BadRequest.FieldViolation(field=violation.field, description=violation.description)
        if hasattr(field, "reason"):  # newer than the oldest googleapis-common-protos that we support
            field.reason = violation.reason
        violations.append(field)
    return error_details_pb2.BadRequest(field_violations=violations)


def _retry_info(retry_after_s: float) -> error_details_pb2.RetryInfo:
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(round(retry_after_s * 1000))
    return error_details_pb2.RetryInfo(retry_delay=delay)
