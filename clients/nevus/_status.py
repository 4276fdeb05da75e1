"""From what the wire says went wrong to `nevus.errors`: the only place that reads google.rpc.Status.

A nevus server puts a google.rpc.Status with an ErrorInfo into the trailer `grpc-status-details-bin`. Where that is
missing, gRPC itself or something between here and the server speaks: the connection was refused or broke, a message was
too large, a deadline passed. Those get a message of ours, since gRPC's name neither the target nor what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from nevus import errors
from nevus.jobs import Failure

_DETAILS_KEY = "grpc-status-details-bin"
_CODE_NAMES: dict[int, str] = {code.value[0]: code.name for code in grpc.StatusCode}
_BY_CODE: dict[str, type[errors.NevusError]] = {
    "INVALID_ARGUMENT": errors.InvalidRequest,
    "OUT_OF_RANGE": errors.InvalidRequest,
    "NOT_FOUND": errors.NotFound,
    "ALREADY_EXISTS": errors.RequestIdReused,
    "FAILED_PRECONDITION": errors.FailedPrecondition,
    "RESOURCE_EXHAUSTED": errors.QuotaExceeded,
    "UNAVAILABLE": errors.Unavailable,
    "DEADLINE_EXCEEDED": errors.DeadlineExceeded,
    "UNAUTHENTICATED": errors.Denied,
    "PERMISSION_DENIED": errors.Denied,
}


class _FailedCall(Protocol):
    """What sync and aio RpcErrors have in common."""

    def code(self) -> grpc.StatusCode:
        """Returns the status code."""

    def details(self) -> str | None:
        """Returns the status message."""

    def trailing_metadata(self) -> Iterable[Any] | None:
        """Returns pairs of key and value."""


def from_rpc_error(call: _FailedCall, target: str) -> errors.NevusError:
    """Returns the error that a failed call stands for.

    Args:
        call: A grpc.RpcError of the sync or the aio kind.
        target: The address as the caller gave it, for messages.
    """
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return from_status(status_pb2.Status.FromString(value))
            except DecodeError:
                break
    return _from_transport(call.code().name, call.details() or "", target)


def from_status(status: status_pb2.Status) -> errors.NevusError:
    """Returns the error that a google.rpc.Status stands for. Detail types that we don't know are passed over."""
    code = _CODE_NAMES.get(status.code, "UNKNOWN")
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    resource = error_details_pb2.ResourceInfo()
    bad_request = error_details_pb2.BadRequest()
    retry_after_s = None
    for detail in status.details:
        if detail.Unpack(retry):
            retry_after_s = max(0.0, retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9)
        elif not detail.Unpack(info) and not detail.Unpack(resource):
            detail.Unpack(bad_request)
    return _BY_CODE.get(code, errors.ServerFault)(
        status.message or f"The server answered {code} without a message.",
        code=code,
        reason=info.reason,
        metadata=info.metadata,
        retry_after_s=retry_after_s,
        violations=tuple(errors.Violation(v.field, v.reason, v.description) for v in bad_request.field_violations),
        resource=resource.resource_name,
    )


def failure_from_status(status: status_pb2.Status) -> Failure:
    """Returns the record of why a job ended without a result, from `Job.error`."""
    error = from_status(status)
    return Failure(code=error.code, reason=error.reason, message=error.message, metadata=error.metadata)


def _from_transport(code: str, details: str, target: str) -> errors.NevusError:
    """Returns the error for a failed call that carries no details of ours."""
    if code == "UNAVAILABLE":
        return errors.ServerUnreachable(
            f"No nevus server answers at {target} ({_plain_cause(details)}). "
            "Start one with `nevus up`, or name another with --target or NEVUS_TARGET.",
            code=code,
            reason="SERVER_UNREACHABLE",
            metadata={"target": target, "details": details},
        )
    if code == "INTERNAL" and "Internal error from Core" in details:
        # grpc.aio puts this over the true status when a write fails as the server ends a stream: grpc/grpc#36066, open
        # in grpcio 1.85.1. A repeat under the same request ids is safe and brings the true one to light.
        return errors.Unavailable(
            f"The stream to {target} broke.", code="UNAVAILABLE", reason="STREAM_BROKEN", metadata={"target": target}
        )
    if code == "CANCELLED" and "closed" not in details.lower():
        # Not by us: a front end that shuts down drops calls that reach it at that moment. All calls may be repeated.
        return errors.Unavailable(
            f"{target} dropped the call.", code="UNAVAILABLE", reason="CALL_DROPPED", metadata={"target": target}
        )
    if code == "RESOURCE_EXHAUSTED" and "larger than max" in details:
        return errors.MessageTooLarge(
            f"The message is over the transport's size limit ({details}). Send large images with upload.",
            code=code,
            reason="MESSAGE_TOO_LARGE",
            metadata={"target": target, "details": details},
        )
    if code == "DEADLINE_EXCEEDED":
        message = f"{target} did not finish the call in its time. An accepted job goes on: see `nevus list`."
    elif code == "UNIMPLEMENTED":
        message = f"{target} does not know this call: it is no nevus server, or an older one."
    else:
        message = f"{target} answered {code}: {_one_line(details) or 'without a message'}."
    return _BY_CODE.get(code, errors.ServerFault)(
        message, code=code, reason=code, metadata={"target": target, "details": details}
    )


def _plain_cause(details: str) -> str:
    """Returns gRPC's account of a failed connection in a few words."""
    lower = details.lower()
    for sign, cause in (
        ("refused", "connection refused"),
        ("dns", "the name can't be resolved"),
        ("resolution", "the name can't be resolved"),
        ("timed out", "connection timed out"),
        ("timeout", "connection timed out"),
        # A server that demands a client certificate shuts the socket on callers without one: contract, section 5.
        ("socket closed", "connection closed by the other side; if it demands TLS, pass credentials"),
        ("ssl", "TLS handshake failed"),
    ):
        if sign in lower:
            return cause
    return _one_line(details) or "connection lost"


def _one_line(text: str, limit: int = 160) -> str:
    """Returns the text on one line, cut to `limit` characters."""
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= limit else line[: limit - 1] + "…"
