"""What a training run is to do, and what it tells while it does it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

UNDECISIVE = {"data", "run", "threads", "cache", "pretrained"}
"""What of a plan does not decide its weights: where things lie, and how fast it goes."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Everything that decides a run of `notebook-cnn`, and what every other plan has too.

    The same plan gives the same run, as far as the machine's arithmetic allows.

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
        return hashlib.sha256(json.dumps(self.decisive(), sort_keys=True).encode()).hexdigest()

    def decisive(self) -> dict[str, Any]:
        """Returns what decides the weights, by name."""
        return {key: value for key, value in asdict(self).items() if key not in UNDECISIVE}


@dataclass(frozen=True, slots=True)
class JointPlan(TrainingPlan):
    """Everything that decides a run of `derm-joint`.

    Attributes:
        cache: Folder for decoded images; runs on the same data may share it.
        pretrained: The encoder's ImageNet weights; None to start from random ones.
        stages: Share of the epochs and side of the images in px (divisible by 32), one after the other. Small images
            first: most is learned there, at half the cost.
        warm_share: Of the run, for the learning rate to rise.
        weight_decay: AdamW's.
        dropout, drop_path: See `derm_joint.trainable`.
        average: Decay a step of the running mean of the weights, which is what is measured and kept.
        smoothing: How far the class labels are moved towards one half.
        diagnosis_weight, mask_weight: Of the auxiliary head's and the mask's loss, beside 1 for the class.
    """

    epochs: int = 28
    batch_size: int = 32
    learning_rate: float = 5e-4
    benign_per_malignant: float = 3.0
    cache: Path = Path("runs/cache")
    pretrained: Path | None = None
    stages: tuple[tuple[float, int], ...] = ((0.7, 160), (0.18, 192), (0.12, 224))
    warm_share: float = 0.04
    weight_decay: float = 0.02
    dropout: float = 0.3
    drop_path: float = 0.15
    average: float = 0.998
    smoothing: float = 0.06
    diagnosis_weight: float = 0.5
    mask_weight: float = 1.0

    def decisive(self) -> dict[str, Any]:
        """Returns what decides the weights, by name: of the pretrained ones only whether there are any."""
        # No super() without arguments: a dataclass with slots is not the class that the compiler saw.
        return TrainingPlan.decisive(self) | {"from_scratch": self.pretrained is None}

    def side_px(self, epoch: int) -> int:
        """Returns the side of the training images of an epoch, which counts from 0."""
        done = 0.0
        for share, side in self.stages:
            done += share
            if epoch < round(done * self.epochs):
                return side
        return self.stages[-1][1]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is.

    Attributes:
        epoch, epochs: From 1.
        images_done, images: Of this epoch.
        loss: Mean over this epoch so far.
        eta_s: Seconds to the end of the run at the speed of this process so far; None while unknown.
        val_auc, val_jaccard: Of the epoch that just ended; None in the middle of one, or without a mask.
    """

    epoch: int
    epochs: int
    images_done: int
    images: int
    loss: float
    eta_s: float | None = None
    val_auc: float | None = None
    val_jaccard: float | None = None


ProgressCallback = Callable[[Progress], None]
