"""Writes the constants of `imaging.dermoscopic` from real images.

    python -m nevus_workers.training.dermoscopic_fit --data ../shared/data

The Gaussian comes from the training split; the limit is the distance that FALSE_SHARE of the validation images exceed.
No foreign picture takes part, and no test image.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from nevus_workers.imaging.appearance import TRAITS, look
from nevus_workers.imaging.decode import decode
from nevus_workers.imaging.dermoscopic import CONSTANTS, fit
from nevus_workers.training.dataset import Sample, read_samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

IMAGES = 400
"""Of each split, drawn from all."""
FALSE_SHARE = 0.01
"""Of the validation images that the limit may call unlikely."""
SEED = 5


def drawn(samples: Sequence[Sample], count: int, seed: int = SEED) -> list[Sample]:
    """Returns so many of the samples, or all, drawn without replacement; the same ones for the same seed."""
    order = np.random.default_rng(seed).permutation(len(samples))[:count]
    return [samples[index] for index in order]


def traits_of(samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Returns float64 (n, len(TRAITS)), in the samples' order."""
    return np.stack([look(decode(sample.path.read_bytes())).traits for sample in samples])


def main(
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder with labels.csv and images/.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The constants.")] = CONSTANTS,
) -> None:
    """Fit what dermoscopic images look like, and write it."""
    splits = read_samples(data)
    chosen, seen = (drawn(splits[split], IMAGES) for split in ("train", "val"))
    found = fit(traits_of(chosen))
    limit = float(np.quantile([found.distance(traits) for traits in traits_of(seen)], 1 - FALSE_SHARE))
    constants = {
        "fitted_on": f"{len(chosen)} training images; the limit: {len(seen)} validation images",
        "traits": TRAITS,
        "limit": round(limit, 2),
        "mean": found.mean.round(5).tolist(),
        "deviation": found.deviation.round(5).tolist(),
        "precision": found.precision.round(5).tolist(),
    }
    out.write_text(json.dumps(constants, indent=1) + "\n", encoding="utf-8")
    typer.echo(f"{len(chosen)} training and {len(seen)} validation images, limit {limit:.2f}: {out.name} written.")


if __name__ == "__main__":
    typer.run(main)
