"""How learning rates move over a run. `progress` is the share of the run that is done, 0..1."""

from __future__ import annotations

import math


def cosine(progress: float, *, floor: float = 0.0) -> float:
    """Returns a factor that falls from 1 to `floor` along half a cosine."""
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def warm_cosine(progress: float, *, warm: float, floor: float = 0.0) -> float:
    """Returns a factor that rises from near 0 to 1 in a straight line over the share `warm`, then falls as `cosine`."""
    if progress < warm:
        return max(progress / warm, 1e-2)
    return cosine((progress - warm) / (1 - warm), floor=floor)
