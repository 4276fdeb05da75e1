"""Reading what an RPC's error says."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

_DETAILS = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.RetryInfo,
    error_details_pb2.ResourceInfo,
    error_details_pb2.PreconditionFailure,
    error_details_pb2.QuotaFailure,
)


@dataclass(slots=True)
class Refusal:
    """An error as a client sees it."""

    code: str
    message: str
    reason: str = ""
    details: dict[str, Message] = field(default_factory=dict)


def refusal_of_status(status: status_pb2.Status) -> Refusal:
    """Returns a google.rpc.Status, its details by type; a type that comes twice is an error."""
    code = next(code.name for code in grpc.StatusCode if code.value[0] == status.code)
    refusal = Refusal(code, status.message)
    for packed in status.details:
        for kind in _DETAILS:
            detail = kind()
            if packed.Unpack(detail):
                assert kind.__name__ not in refusal.details
                refusal.details[kind.__name__] = detail
    info = refusal.details["ErrorInfo"]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert info.domain == "nevus"
    refusal.reason = info.reason
    return refusal


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """Returns what came behind an RPC; code and message of the Status must be those of the RPC."""
    metadata = dict(error.trailing_metadata() or ())
    assert "grpc-status-details-bin" in metadata, f"no details behind {error!r}"
    refusal = refusal_of_status(status_pb2.Status.FromString(metadata["grpc-status-details-bin"]))
    assert (refusal.code, refusal.message) == (error.code().name, error.details())
    return refusal
