"""What a worker process has counted since its start; it travels with the heartbeat, for the front end to expose.

All of it is cumulative and starts from zero with the process. A histogram carries its own bounds, so that front ends
and workers of different versions understand each other.
"""

from __future__ import annotations

import msgspec


class Histogram(msgspec.Struct, frozen=True, array_like=True):
    """Observations, sorted into buckets; JSON as [bounds, counts, total].

    Attributes:
        bounds: Upper bounds of the buckets, inclusive, rising; in the unit of what was observed.
        counts: Observations in each bucket (not cumulative), and last those above every bound; one more than bounds.
        total: Sum of all observations.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


class ShadowCount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a shadow's answers compare with those that were given, of one pair of models.

    Attributes:
        model: `name@version` whose answer was given.
        shadow: `name@version` that was asked afterwards.
        pairs: Images that both answered.
        agreements: Of these, how many got the same label, each model at its own default operating point.
        difference_sum: Of |probability - probability|, over all pairs.
        difference_max: The largest one.
        skipped: Images that were chosen for the shadow and not given to it: the worker was busy, or it failed.
    """

    model: str
    shadow: str
    pairs: int = 0
    agreements: int = 0
    difference_sum: float = 0.0
    difference_max: float = 0.0
    skipped: int = 0


class WorkerStats(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that a worker counts. Empty for a worker of a version that counts nothing.

    Attributes:
        stages: Seconds a job, by stage: "claim", "decode", "segment", "classify", "settle".
        queued: Seconds between acceptance and first claim, by priority.
        batch_images: Images that shared a pass of the network, by `name@version`.
        batch_waits: Seconds that an image waited for its pass to begin, by `name@version`.
        passes: Seconds a pass of the network, by `name@version`.
        jobs: Jobs by how they ended here: "succeeded", "cancelled", "fenced" or the failure's reason.
        shadows: What a shadow said, a pair of models each.
    """

    stages: dict[str, Histogram] = {}
    queued: dict[str, Histogram] = {}
    batch_images: dict[str, Histogram] = {}
    batch_waits: dict[str, Histogram] = {}
    passes: dict[str, Histogram] = {}
    jobs: dict[str, int] = {}
    shadows: tuple[ShadowCount, ...] = ()


NO_STATS = WorkerStats()
