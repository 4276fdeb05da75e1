"""What this process counts while it works: how long each stage took, how full the batches were, how jobs ended.

Everything is cumulative and cheap (about a microsecond an observation), for it is counted on the way of every image.
The heartbeat takes a copy along; front ends expose it (docs/metrics.md). Whatever can be known beforehand is there from
the start with zeros, so that the first change is seen as one.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from nevus_core.records import Priority, Timings
from nevus_core.work_store import Claim
from nevus_core.worker_stats import Histogram, ShadowCount, WorkerStats

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds for stages, waits and passes: a small image's decoding takes 2 ms, a pass on a slow CPU 100 ms."""

QUEUE_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Bounds for the time in the queue, up to the default `queue_ttl`."""

IMAGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Bounds for the images of a batch."""

STAGES = ("claim", "decode", "segment", "classify", "settle")

MICRO = 1_000_000


class _Tally:
    """A histogram while it grows; whoever changes or reads it holds the lock of `Stats`."""

    __slots__ = ("_bounds", "_counts", "_total_micro")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total_micro = 0

    def add(self, value: float) -> None:
        """Counts one observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total_micro += round(value * MICRO)  # an integer, so that years of small values lose nothing

    def copy(self) -> Histogram:
        """Returns it as it stands."""
        return Histogram(self._bounds, tuple(self._counts), self._total_micro / MICRO)


class Stats:
    """One worker process's counters; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages = _tallies(STAGES, SECONDS)
        self._queued = _tallies(Priority, QUEUE_SECONDS)
        self._batch_images: dict[str, _Tally] = {}
        self._batch_waits: dict[str, _Tally] = {}
        self._passes: dict[str, _Tally] = {}
        self._jobs: dict[str, int] = {"succeeded": 0}
        self._shadows: dict[tuple[str, str], ShadowCount] = {}

    def claimed(self, claim: Claim, seconds: float) -> None:
        """Counts a claim that took so long; the time in the queue too, if it is the job's first claim."""
        with self._lock:
            self._stages["claim"].add(seconds)
            if claim.attempt == 1:
                self._queued[claim.options.priority].add(max(claim.claimed_ms - claim.created_ms, 0) / 1000)

    def analysed(self, timings: Timings) -> None:
        """Counts the stages inside the pipeline."""
        with self._lock:
            self._stages["decode"].add(timings.decode_ms / 1000)
            self._stages["segment"].add(timings.segment_ms / 1000)
            self._stages["classify"].add(timings.classify_ms / 1000)

    def settled(self, seconds: float) -> None:
        """Counts the writing of an outcome."""
        with self._lock:
            self._stages["settle"].add(seconds)

    def ended(self, outcome: str) -> None:
        """Counts a job: "succeeded", "cancelled", "fenced" or the reason of its failure."""
        with self._lock:
            self._jobs[outcome] = self._jobs.get(outcome, 0) + 1

    def compared(self, model: str, shadow: str, *, agree: bool, difference: float) -> None:
        """Counts a pair of answers to one image.

        Args:
            model: `name@version` whose answer was given.
            shadow: `name@version` that was asked afterwards.
            agree: Whether both said the same label.
            difference: Of the two probabilities, at least 0.
        """
        with self._lock:
            count = self._shadow(model, shadow)
            self._shadows[model, shadow] = replace(
                count,
                pairs=count.pairs + 1,
                agreements=count.agreements + agree,
                difference_sum=count.difference_sum + difference,
                difference_max=max(count.difference_max, difference),
            )

    def not_compared(self, model: str, shadow: str) -> None:
        """Counts an image that was chosen for a shadow and not given to it."""
        with self._lock:
            count = self._shadow(model, shadow)
            self._shadows[model, shadow] = replace(count, skipped=count.skipped + 1)

    def _shadow(self, model: str, shadow: str) -> ShadowCount:
        return self._shadows.get((model, shadow), ShadowCount(model=model, shadow=shadow))

    def passes_of(self, model: str) -> Callable[[Sequence[float], float], None]:
        """Returns what a batcher calls after every pass that was answered: with its images' waits, and its seconds.

        Args:
            model: `name@version`.
        """
        images, waits, passes = _Tally(IMAGES), _Tally(SECONDS), _Tally(SECONDS)
        with self._lock:
            self._batch_images[model], self._batch_waits[model], self._passes[model] = images, waits, passes

        def passed(waited_s: Sequence[float], seconds: float) -> None:
            with self._lock:
                images.add(len(waited_s))
                passes.add(seconds)
                for wait_s in waited_s:
                    waits.add(wait_s)

        return passed

    def copy(self) -> WorkerStats:
        """Returns everything as it stands at one moment."""
        with self._lock:
            return WorkerStats(
                stages=_copies(self._stages),
                queued=_copies(self._queued),
                batch_images=_copies(self._batch_images),
                batch_waits=_copies(self._batch_waits),
                passes=_copies(self._passes),
                jobs=dict(self._jobs),
                shadows=tuple(self._shadows.values()),
            )


def _tallies(names: Iterable[str], bounds: tuple[float, ...]) -> dict[str, _Tally]:
    return {str(name): _Tally(bounds) for name in names}


def _copies(tallies: dict[str, _Tally]) -> dict[str, Histogram]:
    return {name: tally.copy() for name, tally in tallies.items()}
