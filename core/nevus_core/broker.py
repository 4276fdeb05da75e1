"""What both stores share: calling the functions, and naming the broker's troubles.

Connection trouble, a full or a loading broker all become `Unavailable(BROKER_UNAVAILABLE)`: nothing is wrong with the
request, and whoever asked may ask again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis import exceptions as trouble

from nevus_core.errors import Unavailable
from nevus_core.functions import function_name

CONNECTION: dict[str, Any] = {
    "protocol": 2,  # replies of one shape, whatever the client library's default
    "socket_connect_timeout": 2,
    "socket_timeout": 10,
    "health_check_interval": 10,
}
"""How both stores connect; seconds."""

Clock = Callable[[], int]
"""Returns milliseconds since the Unix epoch."""

_AWAY = (
    trouble.ConnectionError,
    trouble.TimeoutError,
    trouble.BusyLoadingError,
    trouble.ReadOnlyError,
    trouble.ClusterDownError,
    trouble.OutOfMemoryError,
    OSError,
)


_REFUSALS = ("DENIED", "NOAUTH", "NOPERM", "WRONGPASS")
"""Beginnings of errors with which a broker refuses a stranger."""


_NO_WRITES = ("MISCONF", "NOREPLICAS", "OOM", "LOADING", "READONLY", "BUSY", "MASTERDOWN", "TRYAGAIN", "UNBLOCKED")
"""Beginnings of errors of a broker that can't take a write now: full disk or memory, no replica, a failover."""


def _away() -> Unavailable:
    return Unavailable(
        "The broker can't be reached or takes no writes now. Nothing was lost; try again shortly.",
        reason="BROKER_UNAVAILABLE",
    )


def _refused() -> Unavailable:
    return Unavailable(
        "The broker refuses this system. Its operator has to check the broker's address and password.",
        reason="BROKER_UNAVAILABLE",
    )


@contextmanager
def broker_troubles() -> Iterator[None]:
    """Turns the broker's troubles into `Unavailable`.

    Raises:
        Unavailable: BROKER_UNAVAILABLE; the broker can't be reached, is loading, read-only or full.
    """
    try:
        yield
    except (trouble.AuthenticationError, trouble.AuthorizationError, trouble.NoPermissionError) as error:
        raise _refused() from error
    except _AWAY as error:
        raise _away() from error
    except trouble.ResponseError as error:
        if str(error).startswith(_REFUSALS):
            raise _refused() from error
        if str(error).startswith(_NO_WRITES):
            raise _away() from error
        raise


def is_missing_function(error: redis.ResponseError) -> bool:
    """Returns whether the broker does not know our functions (yet, or any more: its disk was wiped)."""
    return "Function not found" in str(error)


def call_args(name: str, prefix: str, clock: Clock | None, *args: object) -> tuple[object, ...]:
    """Returns FCALL's words for one of our functions; an empty time means the broker's own clock."""
    now = "" if clock is None else clock()
    return ("FCALL", function_name(name), 1, prefix, now, *args)


def text(value: object) -> str:
    """Returns a reply of bytes as text."""
    return value.decode() if isinstance(value, bytes) else str(value)
