"""A bound on the bytes of images that are on their way through this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nevus_core.errors import Unavailable


class Budget:
    """Counts bytes, and refuses what would go over the bound.

    Args:
        limit_bytes: The bound.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._used_bytes = 0

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Gives one call's share, empty at first; what it took comes back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self._used_bytes -= share.size_bytes

    def take(self, size_bytes: int) -> None:
        """Takes bytes.

        Raises:
            Unavailable: FRONT_END_BUSY.
        """
        if self._used_bytes + size_bytes > self._limit_bytes:
            raise Unavailable(
                "This front end has as many images in hand as it may. Call again shortly.", reason="FRONT_END_BUSY"
            )
        self._used_bytes += size_bytes


class Share:
    """What one call has taken."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.size_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Takes more.

        Raises:
            Unavailable: FRONT_END_BUSY.
        """
        self._budget.take(size_bytes)
        self.size_bytes += size_bytes
