"""What a run leaves on disk after each epoch, written so that a kill at any moment loses one epoch at most.

run/plan.json        the plan's fingerprint, so that another plan does not go on from here
run/checkpoint.npz   weights and optimizer after the last epoch, and the history so far
run/best.npz         weights of the epoch with the best validation AUC
run/training.csv     the history for a person
"""

from __future__ import annotations

import csv
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nevus_core.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from nevus_workers.training.plan import TrainingPlan
    from nevus_workers.training.recipe import Trainee


_EXTRA = "extra-"
"""Before the names of what a trainee stores beside its model."""


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """One line of the training log."""

    epoch: int
    train_loss: float
    val_loss: float
    val_auc: float
    val_spread: float
    learning_rate: float
    seconds: float
    val_jaccard: float | None = None


class Checkpoint:
    """The run folder of one plan.

    Args:
        plan: Whose `run` folder is made where it is not there.

    Raises:
        SettingsError: the folder holds the run of another plan.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        self._run = plan.run
        self._run.mkdir(parents=True, exist_ok=True)
        stamp = self._run / "plan.json"
        if stamp.exists() and json.loads(stamp.read_text())["fingerprint"] != plan.fingerprint:
            message = "The run folder holds a run with other settings. Choose another folder, or delete it."
            raise SettingsError(message)
        if not stamp.exists():
            self._replace("plan.json", json.dumps({"fingerprint": plan.fingerprint}).encode())

    @property
    def best_path(self) -> Path:
        """`best.npz`; there once an epoch has ended."""
        return self._run / "best.npz"

    @property
    def log_path(self) -> Path:
        """`training.csv`."""
        return self._run / "training.csv"

    def restore(self, trainee: Trainee) -> list[EpochFigures]:
        """Puts weights, optimizer and extras back; returns the history, empty at the start."""
        path = self._run / "checkpoint.npz"
        if not path.exists():
            return []
        model = trainee.model
        with np.load(path) as stored:
            history = [EpochFigures(**row) for row in json.loads(str(stored["history"]))]
            model.set_weights([stored[f"w{index}"] for index in range(len(model.weights))])
            for index, variable in enumerate(model.optimizer.variables):
                variable.assign(stored[f"o{index}"])
            extras = [name for name in stored.files if name.startswith(_EXTRA)]
            trainee.restore({name.removeprefix(_EXTRA): stored[name] for name in extras})
        return history

    def save(self, trainee: Trainee, history: list[EpochFigures]) -> None:
        """Writes the state after an epoch; the best weights first, where this epoch is the best."""
        model = trainee.model
        if history[-1].val_auc >= max(figures.val_auc for figures in history):
            self._save_arrays("best.npz", {f"w{index}": array for index, array in enumerate(trainee.judged())})
        weights = {f"w{index}": array for index, array in enumerate(model.get_weights())}
        optimizer = {f"o{index}": np.asarray(variable) for index, variable in enumerate(model.optimizer.variables)}
        extras = {f"{_EXTRA}{name}": array for name, array in trainee.extras().items()}
        rows = [asdict(figures) for figures in history]
        self._save_arrays("checkpoint.npz", weights | optimizer | extras | {"history": np.array(json.dumps(rows))})
        with (self._run / "training.csv.part").open("w", newline="", encoding="utf-8") as lines:
            writer = csv.DictWriter(lines, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        (self._run / "training.csv.part").replace(self.log_path)

    def restore_best(self, model: Any) -> None:
        """Puts the best epoch's weights into a built model.

        Raises:
            SettingsError: no epoch has ended yet.
        """
        if not self.best_path.exists():
            message = "The run folder has no finished epoch yet; there is nothing to publish."
            raise SettingsError(message)
        with np.load(self.best_path) as stored:
            model.set_weights([stored[f"w{index}"] for index in range(len(model.weights))])

    def _save_arrays(self, name: str, arrays: dict[str, Any]) -> None:
        part = self._run / f"{name}.part"
        with part.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._run / name)

    def _replace(self, name: str, data: bytes) -> None:
        part = self._run / f"{name}.part"
        part.write_bytes(data)
        part.replace(self._run / name)
