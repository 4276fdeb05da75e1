"""A clock that stands still until a test turns it."""

from __future__ import annotations

BEGINNING_MS = 1_700_000_000_000


class ManualClock:
    """Milliseconds since the epoch, from a fixed beginning."""

    def __init__(self) -> None:
        self.now_ms = BEGINNING_MS

    def __call__(self) -> int:
        """Returns the time."""
        return self.now_ms

    def advance(self, milliseconds: int) -> None:
        """Turns the clock."""
        self.now_ms += milliseconds
