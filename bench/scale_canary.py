"""What the machine itself does to delays meanwhile: how late a sleeper wakes, how long the disk takes.

A shared machine that stands still for a second makes every event of that second late. Beside these figures one sees
whose fault a delay was.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.scale_stand import percentile

SLEEP_S = 0.005
WRITE_EVERY = 10
WRITE_BYTES = 500
"""About what one move of a job adds to the broker's log."""


class Canary:
    """Sleeps and writes in a thread while the context lasts.

    Args:
        file: Written to; on the disk that the broker uses.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._late_ms: list[float] = []
        self._disk_ms: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="canary", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def figures(self) -> dict[str, dict[str, float]]:
        """Returns percentiles of a sleeper's lateness and of a small write to the disk, milliseconds."""
        return {
            name: {f"p{share * 100:g}": percentile(sorted(values), share) for share in (0.5, 0.99, 1.0)}
            for name, values in (("wakes_late_ms", self._late_ms), ("disk_ms", self._disk_ms))
        }

    def _run(self) -> None:
        with self._file.open("wb") as out:
            number = out.fileno()
            while not self._stop.is_set():
                for _ in range(WRITE_EVERY):
                    self._late_ms.append(_timed_ms(lambda: time.sleep(SLEEP_S)) - SLEEP_S * 1000)
                out.write(bytes(WRITE_BYTES))
                out.flush()
                self._disk_ms.append(_timed_ms(lambda: os.fdatasync(number)))


def _timed_ms(act: Callable[[], None]) -> float:
    began_s = time.perf_counter()
    act()
    return (time.perf_counter() - began_s) * 1000
