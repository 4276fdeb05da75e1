"""How fast the system gets through its jobs, so that a refusal can say when to come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from nevus_core.errors import Unavailable
from nevus_core.front_store import FrontStore

POLL_S = 1.0
SMOOTHING = 0.3
"""Weight of the newest second in the running mean."""

OUTCOMES = ("succeeded", "failed", "cancelled", "expired")
SHORTEST_S, LONGEST_S, UNKNOWN_S = 0.5, 30.0, 2.0


class Pace:
    """Measures outcomes a second.

    Args:
        store: Its counters are read.
        monotonic: Instead of `time.monotonic`.
    """

    def __init__(self, store: FrontStore, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._last: tuple[float, int] | None = None
        self._per_s = 0.0

    async def run(self) -> None:
        """Measures for ever; while the broker is away nothing is learned."""
        while True:
            try:
                self.note(await self._store.stats())
            except Unavailable:
                self._last = None
            await asyncio.sleep(POLL_S)

    def note(self, counters: Mapping[str, int]) -> None:
        """Takes the counters as they are now."""
        now, ended = self._monotonic(), sum(counters.get(name, 0) for name in OUTCOMES)
        if self._last is not None and now > self._last[0]:
            latest = (ended - self._last[1]) / (now - self._last[0])
            self._per_s += SMOOTHING * (latest - self._per_s)
        self._last = (now, ended)

    def retry_after_s(self, bound: int) -> float:
        """Returns how long a refused caller should wait: until a tenth of a full queue has drained, within bounds.

        Args:
            bound: Jobs that the queue holds when it is full.
        """
        if self._per_s <= 0:
            return UNKNOWN_S
        return min(max(bound / 10 / self._per_s, SHORTEST_S), LONGEST_S)
