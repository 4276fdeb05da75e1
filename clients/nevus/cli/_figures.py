"""What a window of load has shown: `Tally` counts answers as they come, `Figures` is what they amount to."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nevus.jobs import Job


@dataclass(frozen=True, slots=True)
class Figures:
    """One window. Times are in milliseconds; None where no answer told.

    Attributes:
        in_flight: Images on the way at any time.
        seconds: The window's length as it was.
        images: Answers with a result that came in the window.
        images_per_s: `images` over `seconds`.
        p50_ms: Half of the images took no longer, from being handed over for sending to the final event.
        p95_ms: The same for 95 of 100.
        p99_ms: The same for 99 of 100.
        errors: Reason to how many images had it.
        batch_size: Mean number of images that shared a pass of the network.
        queued_ms: Median time from acceptance to the claim, as the result says; the three after it are the worker's.
        decode_ms: Median.
        segment_ms: Median.
        classify_ms: Median.
        regions_before_class_ms: Median time by which the event with the boxes came before the one with the class.
        client_cpu_ms_per_image: Processor time of this process.
    """

    in_flight: int
    seconds: float
    images: int
    images_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    errors: Mapping[str, int]
    batch_size: float | None
    queued_ms: float | None
    decode_ms: float | None
    segment_ms: float | None
    classify_ms: float | None
    regions_before_class_ms: float | None
    client_cpu_ms_per_image: float | None

    def line(self) -> dict[str, Any]:
        """Returns every field under its name, rounded for people: to a tenth of a microsecond."""
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


@dataclass(slots=True)
class Tally:
    """The answers of one window. Only appends while the window runs; all arithmetic is done after it."""

    latencies_s: list[float] = field(default_factory=list)
    leads_s: list[float] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def answer(self, job: Job, latency_s: float, lead_s: float | None) -> None:
        """Notes a result.

        Args:
            job: With its result.
            latency_s: From being handed over for sending to the final event.
            lead_s: From the event with the boxes to the final one; None where there was none.
        """
        self.latencies_s.append(latency_s)
        self.jobs.append(job)
        if lead_s is not None:
            self.leads_s.append(lead_s)

    def figures(self, in_flight: int, seconds: float, cpu_s: float) -> Figures:
        """Returns what the answers amount to."""
        count = len(self.latencies_s)
        ordered = sorted(1e3 * latency for latency in self.latencies_s)
        provenances = [job.result.provenance for job in self.jobs if job.result]
        return Figures(
            in_flight=in_flight,
            seconds=seconds,
            images=count,
            images_per_s=count / seconds,
            p50_ms=quantile(ordered, 0.50),
            p95_ms=quantile(ordered, 0.95),
            p99_ms=quantile(ordered, 0.99),
            errors=dict(self.errors.most_common()),
            batch_size=statistics.fmean(one.batch_size for one in provenances) if provenances else None,
            queued_ms=_median(one.timings.queued_ms for one in provenances),
            decode_ms=_median(one.timings.decode_ms for one in provenances),
            segment_ms=_median(one.timings.segment_ms for one in provenances),
            classify_ms=_median(one.timings.classify_ms for one in provenances),
            regions_before_class_ms=_median(1e3 * lead for lead in self.leads_s),
            client_cpu_ms_per_image=1e3 * cpu_s / count if count else None,
        )


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Returns the smallest of some ordered values that `share` of them (0..1) do not exceed; None of none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
