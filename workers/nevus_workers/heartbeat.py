"""The process's heartbeat: one thread that says it lives, what it serves, and renews the leases of all it holds."""

from __future__ import annotations

import os
import threading
import time
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
        stuck_s: How long a thread may go on with a job that this process has lost (timed out, deleted, given to
            another) before it counts as stuck in a decoder.
        end_process: Called then. Nothing can stop a thread; what supervises the process starts a new one.
        monotonic: Instead of `time.monotonic`.
    """

    def __init__(
        self,
        store: WorkStore,
        held: Held,
        describe: Callable[[], WorkerInfo],
        every_s: float,
        alive_ms: int,
        stuck_s: float = 15.0,
        end_process: Callable[[], None] = lambda: os._exit(70),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stuck_s = stuck_s
        self._end_process = end_process
        self._monotonic = monotonic
        self._store = store
        self._held = held
        self._describe = describe
        self._every_s = every_s
        self._alive_ms = alive_ms
        self._wake = threading.Event()
        self._stopping = False
        self._draining = False
        self._heard = False
        self._lost_since_s: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Says for the first time that this worker is ready; call it when that is true."""
        self._thread.start()

    def drain(self) -> None:
        """Takes the worker off the list of live ones; the leases of what it holds are renewed to the end.

        Only wakes the thread, for this is called by a signal handler.
        """
        self._draining = True
        self._wake.set()

    def stop(self) -> None:
        """Beats no more."""
        if not self._thread.is_alive():
            return
        self._stopping = True
        self.drain()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._beat()
            if self._stopping:
                return
            self._wake.wait(self._every_s)
            self._wake.clear()

    def _beat(self) -> None:
        try:
            info = None if self._draining else self._describe()
            self._note_lost(self._store.heartbeat(info, self._held.all(), self._alive_ms))
        except Unavailable:
            if self._heard:
                log.warning("broker_lost")
            self._heard = False
        except Exception:  # whatever it is: without the next beat every job of this process would be lost
            log.exception("beat_failed")
        else:
            if not self._heard:
                log.info("broker_heard")
            self._heard = True

    def _note_lost(self, lost: set[str]) -> None:
        now = self._monotonic()
        self._lost_since_s = {ref: self._lost_since_s.get(ref, now) for ref in lost}
        stuck = [ref for ref, since in self._lost_since_s.items() if now - since > self._stuck_s]
        if stuck:
            log.error("stuck", jobs=stuck)
            self._end_process()
