"""Where a front end of this test listens."""

from __future__ import annotations


def target(port: int) -> str:
    """Returns the address of a port on loopback."""
    return f"127.0.0.1:{port}"
