"""What a training run is to do, and what it tells while it does it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Everything that decides a run. The same plan gives the same run, as far as the machine's arithmetic allows.

    Attributes:
        data: Folder with `labels.csv` and `images/`.
        run: Folder for checkpoint, history and best weights; a second run with the same plan goes on from there.
        epochs: Rounds; one takes every malignant training image once.
        seed: Of initial weights, draws and symmetries. Epoch k draws from (seed, k).
        batch_size: Images a step.
        learning_rate: At the start; falls to a hundredth by a cosine.
        benign_per_malignant: Benign images drawn an epoch for each malignant one. The classes' weights in the loss make
            up for it, so that both count the same.
        threads: TensorFlow's threads.
    """

    data: Path
    run: Path
    epochs: int = 18
    seed: int = 20
    batch_size: int = 16
    learning_rate: float = 1e-3
    benign_per_malignant: float = 2.0
    threads: int = 2

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what decides the weights; folders and threads do not."""
        decisive = {key: value for key, value in asdict(self).items() if key not in {"data", "run", "threads"}}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is.

    Attributes:
        epoch, epochs: From 1.
        images_done, images: Of this epoch.
        loss: Mean over this epoch so far.
        eta_s: Seconds to the end of the run at the speed of this process so far; None while unknown.
        val_auc: Of the epoch that just ended; None in the middle of one.
    """

    epoch: int
    epochs: int
    images_done: int
    images: int
    loss: float
    eta_s: float | None = None
    val_auc: float | None = None


ProgressCallback = Callable[[Progress], None]
