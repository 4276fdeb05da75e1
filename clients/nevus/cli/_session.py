"""A client for one command, and what becomes of its errors: one line on stderr and an exit code, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from nevus import _retry
from nevus._connection import Connection
from nevus._retry import RetryPolicy
from nevus.client import Client
from nevus.errors import NevusError, ServerUnreachable, Unavailable

FAILED, USAGE, NO_SERVER, INTERRUPTED = 1, 2, 3, 130
"""Exit codes beside 0."""

_FIRST_CONTACT_S = 2.0
_RETRY_FOR_S = 30.0


@contextmanager
def session(target: str) -> Iterator[Client]:
    """Yields a client for `target`; turns what goes wrong inside into a line and an exit code.

    A server that was there is waited for when it goes away, for it may be restarting; one that was never there is
    given up after two seconds, for it has more likely not been started.

    Raises:
        typer.Exit: With 1, 3 or 130 after an error of the server, without a server, after Ctrl-C.
    """
    try:
        _first_contact(target)
        with Client(target, retry_policy=RetryPolicy(retry_for_s=_RETRY_FOR_S, on_retry=_Patience().tell)) as client:
            yield client
    except NevusError as error:
        complain(error.message)
        raise typer.Exit(exit_code(error)) from error
    except KeyboardInterrupt as stop:
        complain("Stopped.")
        raise typer.Exit(INTERRUPTED) from stop


class _Patience:
    """Says once for each reason that the command waits, so that a silent half minute has an explanation."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, error: NevusError, _delay_s: float) -> None:
        """Prints the reason, the first time."""
        if error.reason not in self._told:
            self._told.add(error.reason)
            complain(f"{error.message} Trying again for up to {_RETRY_FOR_S:.0f} s.")


def exit_code(error: NevusError) -> int:
    """Returns 3 where there was no server that could take the call, else 1."""
    return NO_SERVER if isinstance(error, Unavailable) else FAILED


def complain(message: str) -> None:
    """Prints one line on stderr."""
    typer.echo(f"nevus: {' '.join(message.split())}", err=True)


def usage_error(message: str) -> typer.Exit:
    """Returns what to raise for a wrong argument, after saying in one line what is wrong with it."""
    complain(message)
    return typer.Exit(USAGE)


def _first_contact(target: str) -> None:
    """Raises ServerUnreachable where nobody answers; any answer at all will do."""
    policy = RetryPolicy(retry_for_s=_FIRST_CONTACT_S)
    connection = Connection(target, None, (), policy, call_timeout_s=5.0)
    try:
        _retry.call(policy, lambda: connection.health("", timeout_s=5.0))
    except ServerUnreachable:
        raise
    except NevusError:
        return
    finally:
        connection.close()
