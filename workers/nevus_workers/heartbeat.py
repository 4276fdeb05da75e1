"""The process's heartbeat: one thread that says it lives, what it serves, and renews the leases of all it holds."""

from __future__ import annotations

import threading
from collections.abc import Callable

from nevus_core.errors import Unavailable
from nevus_core.logs import get_logger
from nevus_core.records import WorkerInfo
from nevus_core.work_store import WorkStore
from nevus_workers.jobs import Held

log = get_logger("heartbeat")


class Heartbeat:
    """Beats from `start` to `stop`.

    Args:
        store: Where it reports.
        held: Whose leases it renews.
        describe: Returns what the worker says of itself now.
        every_s: Interval.
        alive_ms: How long one beat counts.
    """

    def __init__(
        self, store: WorkStore, held: Held, describe: Callable[[], WorkerInfo], every_s: float, alive_ms: int
    ) -> None:
        self._store = store
        self._held = held
        self._describe = describe
        self._every_s = every_s
        self._alive_ms = alive_ms
        self._stop = threading.Event()
        self._draining = False
        self._heard = False
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Says for the first time that this worker is ready; call it when that is true."""
        self._thread.start()

    def drain(self) -> None:
        """Takes the worker off the list of live ones at once; the leases of what it holds are renewed to the end."""
        self._draining = True
        self._beat()

    def stop(self) -> None:
        """Beats no more."""
        if not self._thread.is_alive():
            return
        self.drain()
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._beat()
            if self._stop.wait(self._every_s):
                return

    def _beat(self) -> None:
        info = None if self._draining else self._describe()
        try:
            self._store.heartbeat(info, self._held.all(), self._alive_ms)
        except Unavailable:
            if self._heard:
                log.warning("broker_lost")
            self._heard = False
        else:
            if not self._heard:
                log.info("broker_heard")
            self._heard = True
