"""How long the steps of a job take, one after the other."""

from __future__ import annotations

import time


class StopWatch:
    """Runs from the moment it is made."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap_ms(self) -> float:
        """Returns the milliseconds since the last call, or since the beginning."""
        now = time.perf_counter()
        lap, self._last = (now - self._last) * 1000, now
        return round(lap, 3)
