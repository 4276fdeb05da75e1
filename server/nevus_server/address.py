"""The address of the gRPC port, checked before anything is started."""

from __future__ import annotations

import socket

from nevus_core.errors import SettingsError


def free_address(listen: str) -> str:
    """Returns HOST:PORT to listen on, a free port in place of port 0.

    Args:
        listen: HOST:PORT; an IPv6 host in brackets.

    Raises:
        SettingsError: It is no such thing, not an address of this machine, or in use.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdigit():
        raise SettingsError(f"--listen {listen}: must be HOST:PORT, for example 127.0.0.1:50051.")
    bare = host.strip("[]")
    try:
        family = socket.getaddrinfo(bare, int(port), type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((bare, int(port)))
            return f"{host}:{probe.getsockname()[1]}"
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "it is no port"
        raise SettingsError(
            f"Can't listen on {listen}: {reason}. Choose another address with --listen (port 0 takes a free one)."
        ) from error
