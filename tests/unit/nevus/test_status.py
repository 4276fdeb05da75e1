"""Errors from the wire: gRPC's own words in ours, and details that nobody promised."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

import nevus
from nevus._status import from_rpc_error, from_status


class Failed:
    """A failed call."""

    def __init__(self, code: grpc.StatusCode, details: str | None, trailers: Any = ()) -> None:
        self._code, self._details, self._trailers = code, details, trailers

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str | None:
        return self._details

    def trailing_metadata(self) -> Any:
        return self._trailers


@pytest.mark.parametrize(
    ("code", "details", "kind", "text", "retryable"),
    [
        ("UNAVAILABLE", "last error: connect: Connection refused (111)", nevus.ServerUnreachable, "refused", True),
        ("UNAVAILABLE", "DNS resolution failed for x", nevus.ServerUnreachable, "can't be resolved", True),
        ("UNAVAILABLE", "Socket closed", nevus.ServerUnreachable, "pass credentials", True),
        ("UNAVAILABLE", None, nevus.ServerUnreachable, "connection lost", True),
        ("RESOURCE_EXHAUSTED", "Sent message larger than max", nevus.MessageTooLarge, "upload", False),
        ("RESOURCE_EXHAUSTED", "slow down", nevus.QuotaExceeded, "slow down", False),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", nevus.DeadlineExceeded, "nevus list", False),
        ("UNIMPLEMENTED", "Method not found!", nevus.ServerFault, "no nevus server", False),
        ("UNAUTHENTICATED", "who?", nevus.Denied, "who?", False),
        ("UNKNOWN", "a\nb " * 200, nevus.ServerFault, "a b a b", False),
        # grpc/grpc#36066
        ("INTERNAL", "Internal error from Core", nevus.Unavailable, "broke", True),
        ("CANCELLED", "CANCELLED", nevus.Unavailable, "dropped", True),
        ("CANCELLED", "Channel closed!", nevus.ServerFault, "CANCELLED", False),
    ],
)
def test_failures_of_the_transport(  # the columns of the table
    code: str, details: str | None, kind: type[nevus.NevusError], text: str, retryable: bool
) -> None:
    """What has no details of ours still gets a class, a target and a line that helps."""
    error = from_rpc_error(Failed(grpc.StatusCode[code], details), "host:1")
    assert type(error) is kind
    assert text in error.message
    assert error.retryable is retryable
    assert error.metadata["target"] == "host:1"
    assert "\n" not in error.message
    assert len(error.message) < 300


def test_details_of_other_kinds_are_passed_over() -> None:
    """ResourceInfo is read; a type that this client has never heard of does no harm; codes may be new."""
    resource, foreign = AnyMessage(), AnyMessage(type_url="type.googleapis.com/some.New", value=b"x")
    resource.Pack(error_details_pb2.ResourceInfo(resource_type="job", resource_name="jobs/1"))
    error = from_status(status_pb2.Status(code=5, message="gone", details=[foreign, resource]))
    assert (type(error), error.resource, error.reason) == (nevus.NotFound, "jobs/1", "")
    assert type(from_status(status_pb2.Status(code=99))) is nevus.ServerFault


def test_a_trailer_that_is_no_status_is_ignored() -> None:
    """A proxy may put anything there."""
    failed = Failed(grpc.StatusCode.NOT_FOUND, "gone", (("grpc-status-details-bin", b"\xff\xff"),))
    error = from_rpc_error(failed, "host:1")
    assert type(error) is nevus.NotFound
    assert "gone" in error.message
