"""What a stream of one job's events has brought so far, so that a broken one can go on without loss or repetition."""

from __future__ import annotations

import time
from collections.abc import Callable

from nevus import _convert
from nevus.jobs import Event
from nevus.v1 import job_pb2


class Follow:
    """The place in one job's events.

    Attributes:
        name: `jobs/{job}`; "" until the first event of an Analyze call tells it.
        revision: The last one handed on; later streams start after it.
        final: Whether the final event has come.
    """

    def __init__(self, name: str = "", after_revision: int = 0) -> None:
        self.name = name
        self.revision = after_revision
        self.final = False

    def accept(self, message: job_pb2.JobEvent) -> Event | None:
        """Returns the event to hand on, or None where it was handed on before."""
        self.name = message.job or self.name
        if message.revision <= self.revision:
            return None
        event = _convert.event(message)
        self.revision = event.revision
        self.final = event.final
        return event


class Deadline:
    """The time by which a call that consists of several must be over.

    Args:
        timeout_s: From now on; None for none.
    """

    def __init__(self, timeout_s: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends_at = None if timeout_s is None else clock() + timeout_s

    def remaining_s(self) -> float | None:
        """Returns the seconds left, not below zero; None for no limit."""
        return None if self._ends_at is None else max(0.0, self._ends_at - self._clock())

    def passed(self) -> bool:
        """Returns whether the time is over."""
        return self.remaining_s() == 0.0
