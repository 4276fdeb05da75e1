"""What one model's whole pipeline costs beside another's: two ceilings in turn, over the same images.

Reference, model, reference, model, ..., reference: each window of the model is judged by the mean of the reference's
windows just before and just after it, so that a machine that gets faster or slower meanwhile does neither wrong.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.ceiling import Ceiling, CeilingFigures
from bench.run import Say, rounded

MANY = 8
"""More than one image in flight, which is all that the ceiling asks."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One size of images. Medians over the windows where nothing else is said; processor time is of whole processes.

    Attributes:
        size: Width x height of the images in pixels, or "data".
        cpu_ms_per_image: The model's.
        reference_cpu_ms_per_image: The reference's.
        ratio: Of the two, median of the rounds' own ratios; below 1 the model is cheaper.
        ratio_min: Of the model's best round.
        ratio_max: Of its worst round.
        images_per_s: The model's.
        reference_images_per_s: The reference's.
        steps_ms: The model's processor time an image by step of `bench.work`.
        reference_steps_ms: The reference's.
        rounds: Windows of the model; the reference has one more.
    """

    size: str
    cpu_ms_per_image: float
    reference_cpu_ms_per_image: float
    ratio: float
    ratio_min: float
    ratio_max: float
    images_per_s: float
    reference_images_per_s: float
    steps_ms: Mapping[str, float]
    reference_steps_ms: Mapping[str, float]
    rounds: int

    def line(self) -> dict[str, Any]:
        """Returns the JSON object, rounded to four digits behind the point."""
        return {name: rounded(value) for name, value in asdict(self).items()}


def compare_costs(
    own: Ceiling, reference: Ceiling, folder: Path, *, size: str, seconds: float, rounds: int, say: Say
) -> Cost:
    """Returns what alternating windows have shown; tells each round to `say`.

    Raises:
        RuntimeError: A process ended.
    """
    theirs = [reference.measure(folder, MANY, seconds)]
    ours: list[CeilingFigures] = []
    for number in range(rounds):
        ours.append(own.measure(folder, MANY, seconds))
        theirs.append(reference.measure(folder, MANY, seconds))
        costs = f"{ours[-1].cpu_ms_per_image:.2f} beside {theirs[-1].cpu_ms_per_image:.2f} CPU ms an image"
        say(f"{size}: round {number + 1} of {rounds}: {costs}, ratio {ratios(ours, theirs)[-1]:.3f}")
    return summary(size, ours, theirs)


def ratios(ours: Sequence[CeilingFigures], theirs: Sequence[CeilingFigures]) -> list[float]:
    """Returns the model's cost over the reference's, round by round; of the reference there is one window more."""
    around = [
        statistics.fmean((before.cpu_ms_per_image, after.cpu_ms_per_image))
        for before, after in itertools.pairwise(theirs)
    ]
    return [own.cpu_ms_per_image / cost for own, cost in zip(ours, around, strict=True)]


def summary(size: str, ours: Sequence[CeilingFigures], theirs: Sequence[CeilingFigures]) -> Cost:
    """Returns what the windows of both amount to."""
    found = ratios(ours, theirs)
    return Cost(
        size=size,
        cpu_ms_per_image=statistics.median(one.cpu_ms_per_image for one in ours),
        reference_cpu_ms_per_image=statistics.median(one.cpu_ms_per_image for one in theirs),
        ratio=statistics.median(found),
        ratio_min=min(found),
        ratio_max=max(found),
        images_per_s=statistics.median(one.images_per_s for one in ours),
        reference_images_per_s=statistics.median(one.images_per_s for one in theirs),
        steps_ms=_steps(ours),
        reference_steps_ms=_steps(theirs),
        rounds=len(found),
    )


def _steps(windows: Sequence[CeilingFigures]) -> dict[str, float]:
    return {step: statistics.median(one.steps_ms[step] for one in windows) for step in windows[0].steps_ms}
