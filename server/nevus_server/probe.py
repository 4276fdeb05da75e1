"""Asks a front end whether an image could be analysed now.

Also the containers' health check: `python -m nevus_server.probe [HOST:PORT]` exits 0 if so.
"""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

DEFAULT_TARGET = "127.0.0.1:50051"


def ready(target: str, service: str = "", timeout_s: float = 2.0) -> bool:
    """Returns whether the front end at `target` answers SERVING for a service."""
    with grpc.insecure_channel(target) as channel:
        try:
            answer = HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=timeout_s)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(0 if ready(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_TARGET) else 1)
