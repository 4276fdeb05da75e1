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


class WorkerStats(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that a worker counts. Empty for a worker of a version that counts nothing.

    Attributes:
        stages: Seconds a job, by stage: "claim", "decode", "segment", "classify", "settle".
        queued: Seconds between acceptance and first claim, by priority.
        batch_images: Images that shared a pass of the network, by `name@version`.
        batch_waits: Seconds that an image waited for its pass to begin, by `name@version`.
        passes: Seconds a pass of the network, by `name@version`.
        jobs: Jobs by how they ended here: "succeeded", "cancelled", "fenced" or the failure's reason.
    """

    stages: dict[str, Histogram] = {}
    queued: dict[str, Histogram] = {}
    batch_images: dict[str, Histogram] = {}
    batch_waits: dict[str, Histogram] = {}
    passes: dict[str, Histogram] = {}
    jobs: dict[str, int] = {}


NO_STATS = WorkerStats()
