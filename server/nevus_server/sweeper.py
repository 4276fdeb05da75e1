"""Looks for jobs whose time has come: expired leases, deadlines, lost messages, purges.

Every front end runs one; a lock in the broker, with an expiry, lets one of them sweep at a time, and another take over
when it goes. A sweep is one atomic step inside the broker, so even two at once would do each thing once.
"""

from __future__ import annotations

import asyncio
import secrets
import time

from nevus_core.errors import Unavailable
from nevus_core.front_store import FrontStore
from nevus_core.logs import get_logger
from nevus_core.settings import ServerSettings
from nevus_server.messages import Messages

log = get_logger("sweeper")

LOCK_SWEEPS = 3
"""The lock lasts for so many intervals: a front end that dies is replaced after that."""


class Sweeper:
    """Sweeps at an interval.

    Args:
        store: What is swept.
        messages: Makes them for jobs that need a new one.
        settings: Interval, attempts limit, age of a lost message.
    """

    def __init__(self, store: FrontStore, messages: Messages, settings: ServerSettings) -> None:
        self._store = store
        self._messages = messages
        self._settings = settings
        self._name = secrets.token_hex(8)
        self._leases_count_from_s = time.monotonic() + settings.lease_s

    async def run(self) -> None:
        """Sweeps for ever; a broker that is away is waited for."""
        while True:
            try:
                await self.sweep()
            except Unavailable:
                # Heartbeats could not reach it either: each worker gets a whole lease to be heard again.
                self._leases_count_from_s = time.monotonic() + self._settings.lease_s
            await asyncio.sleep(self._settings.sweep_interval_s)

    async def sweep(self) -> None:
        """Sweeps once.

        Raises:
            Unavailable: The broker can't be reached.
        """
        done = await self._store.sweep(
            self._name,
            lock_ms=round(LOCK_SWEEPS * self._settings.sweep_interval_s * 1000),
            max_attempts=self._settings.max_attempts,
            lost_ms=round(self._settings.lost_message_s * 1000),
            form=self._messages.form,
            leases=time.monotonic() >= self._leases_count_from_s,
        )
        counts = {
            "requeued": done.requeued,
            "lost": done.lost,
            "timed_out": done.timed_out,
            "expired": done.expired,
            "damaged": done.damaged,
        }
        if any(counts.values()):
            log.warning("swept", **counts)
