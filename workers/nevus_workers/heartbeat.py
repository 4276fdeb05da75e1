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
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Says for the first time that this worker is ready; call it when that is true."""
        self._thread.start()

    def stop(self) -> None:
        """Takes the worker off the list of live ones."""
        if not self._thread.is_alive():
            return
        self._stop.set()
        self._thread.join()
        try:
            self._store.retire()
        except Unavailable:
            log.warning("not_retired")  # its entry ends by itself

    def _run(self) -> None:
        while True:
            try:
                self._store.heartbeat(self._describe(), self._held.all(), self._alive_ms)
            except Unavailable:
                log.warning("beat_missed")
            if self._stop.wait(self._every_s):
                return
