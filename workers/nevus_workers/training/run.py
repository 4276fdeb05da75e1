"""A training run: epochs from where the last run stopped to the plan's end, whatever the model.

What comes out of a run is its best epoch by validation AUC; `publish` makes a model of the repository out of it,
finished or not.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nevus_core.errors import ModelError
from nevus_workers.training import recipe
from nevus_workers.training.checkpoint import Checkpoint, EpochFigures
from nevus_workers.training.plan import Progress, ProgressCallback, TrainingPlan

if TYPE_CHECKING:
    from nevus_workers.training.recipe import Trainee

COLLAPSED_SPREAD = 1e-3
"""A network whose outputs differ by less (standard deviation on the validation split) answers everybody the same."""


def train(plan: TrainingPlan, progress: ProgressCallback = lambda _: None) -> list[EpochFigures]:
    """Trains to the plan's end and returns the log, one entry an epoch; goes on where an earlier run stopped.

    Args:
        plan: What to do; its class says which model.
        progress: Called after every step and at the end of every epoch, in this thread.

    Raises:
        SettingsError: the data can't be used, or the run folder belongs to another plan.
        ModelError: COLLAPSED where the network answers the same for every image after the second epoch.
    """
    from nevus_workers.models.engine import configure_threads

    configure_threads(plan.threads, plan.threads)
    import keras

    checkpoint = Checkpoint(plan)
    keras.utils.set_random_seed(plan.seed)
    trainee = recipe.start(plan)
    history = checkpoint.restore(trainee)
    clock = _Clock(trainee, plan.epochs, first=len(history))
    for epoch in range(len(history), plan.epochs):
        row = _train_epoch(trainee, plan, epoch, clock, progress)
        history.append(row)
        checkpoint.save(trainee, history)
        eta_s = clock.eta_s(epoch, 1.0)
        progress(Progress(epoch + 1, plan.epochs, 1, 1, row.train_loss, eta_s, row.val_auc, row.val_jaccard))
        if row.val_spread < COLLAPSED_SPREAD and epoch > 0:
            message = "The network answers the same for every image. Use another seed or a lower learning rate."
            raise ModelError(message, reason="COLLAPSED", metadata={"epoch": str(epoch + 1)})
    return history


class _Clock:
    """How long the rest takes, from how long this process took so far for images that may differ in cost."""

    def __init__(self, trainee: Trainee, epochs: int, first: int) -> None:
        self._started, self._first = time.monotonic(), first
        self._costs = [trainee.images(epoch) * trainee.cost(epoch) for epoch in range(first, epochs)]

    def eta_s(self, epoch: int, share: float) -> float:
        """Returns the seconds to the run's end after a share of an epoch."""
        at = epoch - self._first
        done = sum(self._costs[:at]) + self._costs[at] * share
        return (time.monotonic() - self._started) * (sum(self._costs) - done) / done


def _train_epoch(
    trainee: Trainee, plan: TrainingPlan, epoch: int, clock: _Clock, progress: ProgressCallback
) -> EpochFigures:
    """Trains one epoch, measures it on the validation split, and returns its line of the log."""
    began = time.monotonic()
    images = trainee.images(epoch)
    total, done, rate = 0.0, 0, plan.learning_rate
    for step in trainee.steps(epoch):
        total, done, rate = total + step.loss * step.images, done + step.images, step.learning_rate
        progress(Progress(epoch + 1, plan.epochs, done, images, total / done, clock.eta_s(epoch, done / images)))
    measured = trainee.measure()
    return EpochFigures(
        epoch=epoch + 1,
        train_loss=round(total / done, 5),
        val_loss=round(measured.loss, 5),
        val_auc=round(measured.auc, 5),
        val_spread=round(measured.spread, 5),
        learning_rate=rate,
        seconds=round(time.monotonic() - began, 1),
        val_jaccard=None if measured.jaccard is None else round(measured.jaccard, 5),
    )
