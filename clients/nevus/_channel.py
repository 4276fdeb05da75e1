"""Where and how the clients connect: target, channel options, health calls."""

from __future__ import annotations

import json
import os

import grpc
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

DEFAULT_TARGET = "127.0.0.1:50051"
HEALTH_METHOD = "/grpc.health.v1.Health/Check"
SERVING = 1
NOT_READY_CODES = frozenset({"UNAVAILABLE", "NOT_FOUND", "DEADLINE_EXCEEDED"})
"""A failed health check with one of these means no: not there, not known, no time to answer."""

_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    # nevus._retry is the only one that retries.
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", 32 * 1024 * 1024),
    # The server's limit decides, and its answer says more than ours would.
    ("grpc.max_send_message_length", -1),
    # A watch may be silent for long: pings find out that the other side is gone. Below 60 s a server with gRPC's
    # default settings would take them for abuse sooner.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # gRPC's default backs off up to 2 minutes, so that a restarted server would stay unseen far beyond retry_for_s.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Clients in one process would otherwise share connections, and one's backoff would hold up the other.
    ("grpc.use_local_subchannel_pool", 1),
)


def default_target() -> str:
    """Returns NEVUS_TARGET where it is set and not empty, else 127.0.0.1:50051."""
    return os.environ.get("NEVUS_TARGET") or DEFAULT_TARGET


def open_channel(target: str, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    """Returns a channel to `target`, without TLS where there are no credentials. Connects on the first call."""
    if credentials is None:
        return grpc.insecure_channel(target, options=_OPTIONS)
    return grpc.secure_channel(target, credentials, options=_OPTIONS)


def open_channel_async(target: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    """Returns a grpc.aio channel to `target`, without TLS where there are no credentials."""
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=_OPTIONS)
    return grpc.aio.secure_channel(target, credentials, options=_OPTIONS)


def health_request(service: str) -> bytes:
    """Returns an encoded grpc.health.v1.HealthCheckRequest.

    Its only field is number 1, a string: on the wire the same as StringValue. That spares the client the package
    grpcio-health-checking for two fields.
    """
    return StringValue(value=service).SerializeToString()


def health_status(response: bytes) -> int:
    """Returns the status in an encoded grpc.health.v1.HealthCheckResponse; SERVING is 1.

    Its only field is number 1, an enum: on the wire the same as Int32Value.
    """
    return Int32Value.FromString(response).value


def send_timeout_s(call_timeout_s: float, size_bytes: int) -> float:
    """Returns a call's deadline in seconds: the usual one, and time to send `size_bytes` over a line of 1 Mbit/s."""
    return call_timeout_s + size_bytes / 125_000
