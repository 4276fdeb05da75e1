"""Whether a picture looks like dermoscopy at all: how far its traits lie from those of real dermoscopic images.

One Gaussian over the traits of real images (their mean and the inverse of their covariance) and a limit for the squared
Mahalanobis distance: it knows nothing of what foreign pictures look like, so it can be wary of kinds that nobody
thought of. The constants lie beside this file; `nevus_workers.training.dermoscopic_fit` writes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nevus_workers.imaging.appearance import TRAITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONSTANTS = Path(__file__).with_name("dermoscopic.json")
RIDGE = 0.1
"""Added to each trait's variance of 1, so that no direction in which real images hardly differ decides alone."""


@dataclass(frozen=True, slots=True)
class Familiar:
    """What real dermoscopic images look like.

    Attributes:
        mean: float64 (len(TRAITS),), of each trait.
        deviation: float64 (len(TRAITS),), standard deviation of each trait, more than 0.
        precision: float64 (len(TRAITS), len(TRAITS)), inverse covariance of the traits in units of their deviations.
        limit: Squared distances above it are unlikely to be dermoscopy.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    precision: NDArray[np.float64]
    limit: float

    def distance(self, traits: NDArray[np.float64]) -> float:
        """Returns the squared Mahalanobis distance, 0 or more: about len(traits) for an ordinary image."""
        away = (traits - self.mean) / self.deviation
        return float(away @ self.precision @ away)

    def knows(self, traits: NDArray[np.float64]) -> bool:
        """Returns whether traits float64 (len(TRAITS),) are within the limit."""
        return self.distance(traits) <= self.limit


def fit(traits: NDArray[np.float64], limit: float = np.inf) -> Familiar:
    """Returns the Gaussian of real images.

    Args:
        traits: float64 (n, len(TRAITS)), of real images, n well above len(TRAITS).
        limit: See Familiar.
    """
    mean, deviation = traits.mean(axis=0), traits.std(axis=0)
    covariance = np.cov(((traits - mean) / deviation).T)
    precision = np.linalg.inv(covariance + RIDGE * np.eye(len(mean))).astype(np.float64)
    return Familiar(mean, deviation, precision, limit)


@lru_cache(maxsize=1)
def familiar() -> Familiar:
    """Returns what was fitted on real images; the file is read once."""
    found = json.loads(CONSTANTS.read_text(encoding="utf-8"))
    if tuple(found["traits"]) != TRAITS:
        message = f"{CONSTANTS.name} was fitted for other traits; run nevus_workers.training.dermoscopic_fit."
        raise RuntimeError(message)
    mean, deviation, precision = (np.array(found[name], np.float64) for name in ("mean", "deviation", "precision"))
    return Familiar(mean, deviation, precision, found["limit"])
