"""The picture of a run: how much of the machine is left over for images, and where the rest goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.run import Run
from bench.subject import Subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#33638d", "#e09f3e", "#5b8c5a", "#9e4770")
PARTS = (
    ("ceiling", "#b8c4ce", "the work itself (in-process)"),
    ("added", "#33638d", "worker, beyond the work"),
    ("server", "#5b8c5a", "front end"),
    ("redis", "#c8553d", "Redis"),
    ("client", "#e09f3e", "client"),
)
"""What a bar of processor time is made of, from the bottom: name, colour, words."""


def draw(path: Path, runs: Sequence[Run], subject: Subject) -> None:
    """Writes a PNG: served over ceiling by size and number in flight, beside processor time by process."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
    _ratios(left, runs)
    _costs(right, runs)
    title = f"nevus: served throughput next to the in-process ceiling: {subject} (NOT FOR CLINICAL USE)"
    figure.suptitle(title, fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _ratios(axes: Axes, runs: Sequence[Run]) -> None:
    """Draws a bar a run, whiskers from its worst round to its best, and the images a second on it."""
    steps = sorted({run.in_flight for run in runs})
    sizes = list(dict.fromkeys(run.size for run in runs))
    width = 0.8 / len(sizes)
    for number, size in enumerate(sizes):
        own = [run for run in runs if run.size == size]
        at = [steps.index(run.in_flight) + (number - (len(sizes) - 1) / 2) * width for run in own]
        spread = [[run.ratio - run.ratio_min for run in own], [run.ratio_max - run.ratio for run in own]]
        colour = COLOURS[number % len(COLOURS)]
        axes.bar(at, [run.ratio for run in own], width * 0.94, yerr=spread, capsize=3, color=colour, label=size)
        for x, run in zip(at, own, strict=True):
            axes.text(
                x,
                0.02,
                f"{run.ratio:.2f}\n{run.images_per_s:.0f}/s",
                ha="center",
                va="bottom",
                fontsize=8,
                color="white",
            )
    axes.axhline(1, color="#555555", linewidth=0.8, linestyle="--")
    axes.set(ylabel="served / ceiling", xlabel="images in flight", ylim=(0, 1.3), xticks=range(len(steps)))
    axes.set_xticklabels([str(step) for step in steps])
    axes.legend(loc="upper left", fontsize=8, ncols=2)


def _costs(axes: Axes, runs: Sequence[Run]) -> None:
    """Draws a stack of processor milliseconds an image for each run."""
    at = range(len(runs))
    bottoms = [0.0] * len(runs)
    for name, colour, words in PARTS:
        heights = [_cost(run, name) for run in runs]
        axes.bar(at, heights, 0.7, bottom=bottoms, color=colour, label=words)
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    axes.set(ylabel="CPU ms an image", xticks=at, ylim=(0, 1.35 * max(bottoms)))
    axes.set_xticklabels([f"{run.size}\n{run.in_flight}" for run in runs], fontsize=7)
    axes.legend(loc="upper left", fontsize=8, ncols=2)


def _cost(run: Run, part: str) -> float:
    """Returns one part of a run's bar, not below 0: a quicker worker than the ceiling is noise."""
    if part == "ceiling":
        return run.ceiling_cpu_ms_per_image
    return max(0.0, run.added_cpu_ms_per_image if part == "added" else run.cpu_ms_per_image[part])
