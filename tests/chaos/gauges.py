"""Memory and descriptors of every process of a stage, read at intervals."""

from __future__ import annotations

import statistics
import threading
from collections import defaultdict
from dataclasses import dataclass

import psutil

from chaos.stage import Stage

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Reading:
    """One process at one moment."""

    rss_bytes: int
    descriptors: int


class Gauges:
    """Reads the processes that live when it is made, in a thread, from then until `close`."""

    def __init__(self, stage: Stage, every_s: float = 0.5) -> None:
        self._processes = {actor.name: psutil.Process(actor.pid) for actor in stage.actors}
        self._processes["broker"] = psutil.Process(stage.broker.pid)
        self._every_s = every_s
        self.readings: defaultdict[str, list[Reading]] = defaultdict(list)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gauges", daemon=True)
        self._thread.start()

    @property
    def count(self) -> int:
        """How many times it has read: the place of the next reading."""
        return len(self.readings["broker"])

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join()

    def typical(self, name: str, begin: int, end: int | None = None) -> Reading:
        """Returns the medians of a process's readings from one place to another."""
        part = self.readings[name][begin:end]
        return Reading(
            round(statistics.median(reading.rss_bytes for reading in part)),
            round(statistics.median(reading.descriptors for reading in part)),
        )

    def peak_mib(self, name: str) -> float:
        """Returns the highest resident set."""
        return max(reading.rss_bytes for reading in self.readings[name]) / MIB

    def _run(self) -> None:
        while True:
            for name, process in self._processes.items():
                try:
                    with process.oneshot():
                        self.readings[name].append(Reading(process.memory_info().rss, process.num_fds()))
                except psutil.NoSuchProcess:
                    continue
            if self._stop.wait(self._every_s):
                return
