"""One measurement: ceiling and served system in turn, over the same images, and what comes of it.

Ceiling, served, ceiling, served, ..., ceiling: each served window is judged against the mean of the ceiling's windows
just before and just after it, so that a machine that gets faster or slower meanwhile does both no wrong.
"""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.ceiling import Ceiling, CeilingFigures
from bench.served import ROLES, Served, ServedFigures

SHORTEST_WARM_UP_S = 2.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Run:
    """One size at one number in flight. Times are in milliseconds; medians over the rounds where nothing else is said.

    Attributes:
        size: Width x height of the images in pixels, or "data".
        in_flight: Images on the way at a time.
        images_per_s: Served.
        ceiling_images_per_s: In-process.
        ratio: Served over ceiling, median of the rounds' own ratios.
        ratio_min: Of the worst round.
        ratio_max: Of the best round.
        p50_ms: From the call to the final event.
        p95_ms: The same.
        p99_ms: The same.
        p99_over_fair: p99 over in-flight / throughput, the mean time that a closed loop must have.
        ceiling_p50_ms: Of one image in-process, at one in flight; else None.
        added_p50_ms: What serving adds to it; else None.
        cpu_ms_per_image: Processor time by role, over all rounds.
        ceiling_cpu_ms_per_image: Of the in-process work.
        added_cpu_ms_per_image: What the worker spends beyond the in-process work.
        regions_before_class_ms: By which the boxes' event came before the class's.
        batch_size: Mean images a pass of the network.
        queued_ms: From acceptance to the claim.
        decode_ms: The worker's.
        segment_ms: The worker's.
        classify_ms: The worker's.
        errors: Reason to count, over all rounds.
        workers: Worker processes.
        rounds: Served windows.
    """

    size: str
    in_flight: int
    images_per_s: float
    ceiling_images_per_s: float
    ratio: float
    ratio_min: float
    ratio_max: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    p99_over_fair: float | None
    ceiling_p50_ms: float | None
    added_p50_ms: float | None
    cpu_ms_per_image: Mapping[str, float]
    ceiling_cpu_ms_per_image: float
    added_cpu_ms_per_image: float
    regions_before_class_ms: float | None
    batch_size: float | None
    queued_ms: float | None
    decode_ms: float | None
    segment_ms: float | None
    classify_ms: float | None
    errors: Mapping[str, int]
    workers: int
    rounds: int

    def line(self) -> dict[str, Any]:
        """Returns the JSON object, rounded to four digits behind the point."""
        return {name: rounded(value) for name, value in asdict(self).items()}


def measure(
    bound: Ceiling,
    system: Served,
    folder: Path,
    *,
    size: str,
    in_flight: int,
    seconds: float,
    rounds: int,
    say: Say,
) -> Run:
    """Returns what alternating windows have shown; tells each of them to `say`.

    Raises:
        RuntimeError: A process ended.
    """
    bounds = [bound.measure(folder, in_flight, seconds)]
    found: list[ServedFigures] = []
    what = f"{size}, {in_flight} in flight"
    say(f"{what}: ceiling {bounds[0].images_per_s:.1f} images/s")
    for number in range(rounds):
        warm_s = warm_up_s(in_flight, bounds[-1].images_per_s)
        found.append(system.measure(folder, in_flight, seconds, warm_s))
        bounds.append(bound.measure(folder, in_flight, seconds))
        ratio = _ratios(bounds, found)[-1]
        rates = f"served {found[-1].images_per_s:.1f}, ceiling {bounds[-1].images_per_s:.1f} images/s"
        say(f"{what}: round {number + 1} of {rounds}: {rates}, ratio {ratio:.3f}")
    return _summary(size, in_flight, bounds, found)


def _ratios(bounds: Sequence[CeilingFigures], found: Sequence[ServedFigures]) -> list[float]:
    """Returns served over ceiling of each round; there is one ceiling window more than rounds."""
    around = [
        statistics.fmean((before.images_per_s, after.images_per_s)) for before, after in itertools.pairwise(bounds)
    ]
    return [served.images_per_s / ceiling for served, ceiling in zip(found, around, strict=False)]


def _summary(size: str, in_flight: int, bounds: Sequence[CeilingFigures], found: Sequence[ServedFigures]) -> Run:
    ratios = _ratios(bounds, found)
    rate = statistics.median(one.images_per_s for one in found)
    cpu = weighted_cpu(found)
    ceiling_cpu = statistics.median(bound.cpu_ms_per_image for bound in bounds)
    p50, p99 = _median(found, "p50_ms"), _median(found, "p99_ms")
    ceiling_p50 = statistics.median(bound.p50_ms for bound in bounds) if in_flight == 1 else None
    errors: Counter[str] = Counter()
    for one in found:
        errors.update(one.errors)
    return Run(
        size=size,
        in_flight=in_flight,
        images_per_s=rate,
        ceiling_images_per_s=statistics.median(bound.images_per_s for bound in bounds),
        ratio=statistics.median(ratios),
        ratio_min=min(ratios),
        ratio_max=max(ratios),
        p50_ms=p50,
        p95_ms=_median(found, "p95_ms"),
        p99_ms=p99,
        p99_over_fair=None if p99 is None else p99 / 1e3 * rate / in_flight,
        ceiling_p50_ms=ceiling_p50,
        added_p50_ms=None if p50 is None or ceiling_p50 is None else p50 - ceiling_p50,
        cpu_ms_per_image=cpu,
        ceiling_cpu_ms_per_image=ceiling_cpu,
        added_cpu_ms_per_image=cpu["worker"] - ceiling_cpu,
        regions_before_class_ms=_median(found, "regions_before_class_ms"),
        batch_size=_median(found, "batch_size"),
        queued_ms=_median(found, "queued_ms"),
        decode_ms=_median(found, "decode_ms"),
        segment_ms=_median(found, "segment_ms"),
        classify_ms=_median(found, "classify_ms"),
        errors=dict(errors.most_common()),
        workers=found[0].workers,
        rounds=len(found),
    )


def _median(found: Sequence[ServedFigures], name: str) -> float | None:
    known = [float(one.bench[name]) for one in found if one.bench[name] is not None]
    return statistics.median(known) if known else None


def weighted_cpu(found: Sequence[ServedFigures]) -> dict[str, float]:
    """Returns processor milliseconds an image by role, over all images of all windows."""
    images = max(1, sum(one.images for one in found))
    return {role: sum(one.cpu_ms_per_image[role] * one.images for one in found) / images for role in ROLES}


def warm_up_s(in_flight: int, images_per_s: float) -> float:
    """Returns how long to load before a window: until the first burst is through, for it waits less than later ones."""
    return max(SHORTEST_WARM_UP_S, 1.5 * in_flight / images_per_s)


def rounded(value: Any) -> Any:
    """Returns a number with at most four digits behind the point, also inside a mapping."""
    if isinstance(value, Mapping):
        return {name: rounded(one) for name, one in value.items()}
    return round(value, 4) if isinstance(value, float) else value
