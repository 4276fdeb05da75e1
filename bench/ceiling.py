"""The in-process ceiling: what the machine gives when nothing stands between an image and the work on it.

Many in flight: one process a core, each with one thread for the network and batches of 8. One in flight: one process
whose network has all cores. Both stay loaded and warm for the whole run and sleep while the served system is measured.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.children import Child, child, hear, tell
from bench.subject import Subject

BATCH = 8
LEAD_S = 0.5
"""Between the order and the window: every process has begun by then, and the caches are warm."""


@dataclass(frozen=True, slots=True)
class CeilingFigures:
    """One window of the ceiling.

    Attributes:
        images_per_s: Of all processes together.
        cpu_ms_per_image: Processor time.
        p50_ms: Median time of one image; meant for one in flight, for it is the time of a batch over its images.
        steps_ms: Processor time an image by step of `bench.work`; the rest of cpu_ms_per_image is between them.
    """

    images_per_s: float
    cpu_ms_per_image: float
    p50_ms: float
    steps_ms: Mapping[str, float]


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Arrangement:
    """Processes that stand ready.

    Args:
        crew: All of them ready.
        batch: Images at a time in each.
    """

    def __init__(self, crew: Sequence[Child], batch: int) -> None:
        self._crew = crew
        self._batch = batch

    def measure(self, folder: Path, seconds: float) -> CeilingFigures:
        """Returns the figures of one window over the images of a folder.

        Raises:
            RuntimeError: A process ended.
        """
        order = {"folder": str(folder), "begin_s": time.monotonic() + LEAD_S, "seconds": seconds}
        for process in self._crew:
            tell(process, order)
        return _together([hear(process) for process in self._crew], self._batch)


class Ceiling:
    """Both arrangements; the one for a single image is only started where it is asked for.

    Args:
        many: One process a core.
        alone: One process with all cores; None where one in flight is not measured.
    """

    def __init__(self, many: Arrangement, alone: Arrangement | None) -> None:
        self._many = many
        self._alone = alone

    def measure(self, folder: Path, in_flight: int, seconds: float) -> CeilingFigures:
        """Returns the figures of a window of the arrangement that suits so many images in flight."""
        if in_flight == 1 and self._alone is not None:
            return self._alone.measure(folder, seconds)
        return self._many.measure(folder, seconds)


@contextmanager
def ceiling(subject: Subject, *, with_alone: bool = False, processes: int | None = None) -> Iterator[Ceiling]:
    """Yields the ceiling's processes, loaded and warm; ends them afterwards.

    Args:
        subject: What they all do.
        with_alone: Whether one in flight is measured too.
        processes: How many share the work of many in flight. Default: one a core.
    """
    with ExitStack() as undo:
        crew = [_start(undo, subject, threads=1, batch=BATCH) for _ in range(processes or cores())]
        alone = [_start(undo, subject, threads=cores(), batch=1)] if with_alone else []
        for process in (*crew, *alone):
            hear(process)
        yield Ceiling(Arrangement(crew, BATCH), Arrangement(alone, 1) if alone else None)


def _start(undo: ExitStack, subject: Subject, *, threads: int, batch: int) -> Child:
    words = ["-m", "bench.ceiling_child", *subject.words, "--threads", str(threads), "--batch", str(batch)]
    return undo.enter_context(child(words, environ={**os.environ, "OPENBLAS_NUM_THREADS": "1"}))  # as a worker has it


def _together(answers: Sequence[dict[str, Any]], batch: int) -> CeilingFigures:
    images = sum(answer["images"] for answer in answers)
    steps = answers[0]["steps_s"]
    return CeilingFigures(
        images_per_s=sum(answer["images"] / answer["seconds"] for answer in answers),
        cpu_ms_per_image=1e3 * sum(answer["cpu_s"] for answer in answers) / images,
        p50_ms=statistics.median(lap for answer in answers for lap in answer["batches_ms"]) / batch,
        steps_ms={step: 1e3 * sum(answer["steps_s"][step] for answer in answers) / images for step in steps},
    )
