"""Looks for jobs whose time has come: expired leases, deadlines, lost messages, purges.

Every front end runs one. A sweep is one atomic step inside the broker, so two at a time do each thing once.
"""

from __future__ import annotations

import asyncio

from nevus_core.errors import Unavailable
from nevus_core.front_store import FrontStore
from nevus_core.logs import get_logger
from nevus_core.settings import ServerSettings
from nevus_server.bell import Bell

log = get_logger("sweeper")


class Sweeper:
    """Sweeps at an interval.

    Args:
        store: What is swept.
        bell: Rings for jobs that need a new message.
        settings: Interval, attempts limit, age of a lost message.
    """

    def __init__(self, store: FrontStore, bell: Bell, settings: ServerSettings) -> None:
        self._store = store
        self._bell = bell
        self._settings = settings

    async def run(self) -> None:
        """Sweeps for ever; a broker that is away is waited for."""
        while True:
            try:
                await self.sweep()
            except Unavailable:
                log.debug("broker_away")
            await asyncio.sleep(self._settings.sweep_interval_s)

    async def sweep(self) -> None:
        """Sweeps once.

        Raises:
            Unavailable: The broker can't be reached.
        """
        done = await self._store.sweep(
            max_attempts=self._settings.max_attempts, resend_ms=round(self._settings.resend_s * 1000)
        )
        for ref, priority in done.resend:
            await self._bell.ring(ref, priority)
        await self._bell.ring_again()
        if done.requeued or done.lost or done.timed_out or done.expired:
            log.warning("swept", requeued=done.requeued, lost=done.lost, timed_out=done.timed_out, expired=done.expired)
