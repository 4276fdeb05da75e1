"""Training `notebook-cnn`: epochs from where the last run stopped to the plan's end.

The optimizer and the loss are the notebook's (RMSprop, binary cross-entropy). What comes out of a run is its best
epoch by validation AUC; `publish` makes a model of the repository out of it, finished or not.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from nevus_core.errors import ModelError
from nevus_workers.models.architectures import NOTEBOOK_SIDE_PX
from nevus_workers.training import dataset, figures
from nevus_workers.training.checkpoint import Checkpoint, EpochFigures
from nevus_workers.training.network import trainable_network
from nevus_workers.training.plan import Progress, ProgressCallback, TrainingPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nevus_workers.training.dataset import Sample

COLLAPSED_SPREAD = 1e-3
"""A network whose outputs differ by less (standard deviation on the validation split) answers everybody the same."""


def train(plan: TrainingPlan, progress: ProgressCallback = lambda _: None) -> list[EpochFigures]:
    """Trains to the plan's end and returns the log, one entry an epoch; goes on where an earlier run stopped.

    Args:
        plan: What to do.
        progress: Called after every step and at the end of every epoch, in this thread.

    Raises:
        SettingsError: the data can't be used, or the run folder belongs to another plan.
        ModelError: COLLAPSED where the network answers the same for every image after the second epoch.
    """
    import keras

    from nevus_workers.models.engine import configure_threads

    configure_threads(plan.threads, plan.threads)
    splits = dataset.read_samples(plan.data)
    checkpoint = Checkpoint(plan)
    keras.utils.set_random_seed(plan.seed)
    model = trainable_network()
    model.compile(optimizer=keras.optimizers.RMSprop(plan.learning_rate), loss="binary_crossentropy")
    model.optimizer.build(model.trainable_variables)
    history = checkpoint.restore(model)
    started, first = time.monotonic(), len(history)
    for epoch in range(first, plan.epochs):

        def report(done: int, images: int, loss: float, val_auc: float | None = None, epoch: int = epoch) -> None:
            share = epoch - first + done / images
            eta_s = (time.monotonic() - started) * (plan.epochs - first - share) / share
            progress(Progress(epoch + 1, plan.epochs, done, images, loss, eta_s, val_auc))

        row = _train_epoch(model, plan, splits, epoch, report)
        history.append(row)
        checkpoint.save(model, history)
        report(1, 1, row.train_loss, row.val_auc)
        if row.val_spread < COLLAPSED_SPREAD and epoch > 0:
            message = "The network answers the same for every image. Use another seed or a lower learning rate."
            raise ModelError(message, reason="COLLAPSED", metadata={"epoch": str(epoch + 1)})
    return history


def predict(model: Any, samples: Sequence[Sample], batch_size: int = 16) -> NDArray[np.float32]:
    """Returns float32 (n,): the probability of malignant for each sample, in order.

    Args:
        model: Any Keras model with this architecture's input, such as `trainable_network` or `notebook_cnn`.
        samples: Read from disk as they are needed.
        batch_size: Images a pass.
    """
    parts = [
        np.asarray(model.predict_on_batch(images)).reshape(-1)
        for images, _ in dataset.batches(samples, [0] * len(samples), NOTEBOOK_SIDE_PX, batch_size)
    ]
    return np.concatenate(parts).astype(np.float32)


def _train_epoch(
    model: Any,
    plan: TrainingPlan,
    splits: dict[str, list[Sample]],
    epoch: int,
    report: Any,
) -> EpochFigures:
    """Trains one epoch, measures it on the validation split, and returns its line of the log."""
    began = time.monotonic()
    chosen, symmetries = dataset.draw_epoch(
        splits["train"], np.random.default_rng([plan.seed, epoch]), plan.benign_per_malignant
    )
    drawn = [splits["train"][index] for index in chosen]
    weights = _class_weights(dataset.labels(drawn))
    total = done = 0.0
    rate = plan.learning_rate
    for images, truth in dataset.batches(drawn, symmetries, NOTEBOOK_SIDE_PX, plan.batch_size):
        rate = _learning_rate(plan, epoch + done / len(drawn))
        model.optimizer.learning_rate.assign(rate)
        model.reset_metrics()
        loss = model.train_on_batch(images, truth[:, None], sample_weight=weights[truth.astype(int)])
        total, done = total + float(loss) * len(truth), done + len(truth)
        report(int(done), len(drawn), total / done)
    probabilities = predict(model, splits["val"], plan.batch_size)
    truth = dataset.labels(splits["val"])
    clipped = np.clip(probabilities, 1e-6, 1 - 1e-6)
    val_loss = -np.where(truth > 0, np.log(clipped), np.log(1 - clipped)).mean()
    return EpochFigures(
        epoch=epoch + 1,
        train_loss=round(total / done, 5),
        val_loss=round(float(val_loss), 5),
        val_auc=round(figures.auc(truth, probabilities), 5),
        val_spread=round(float(probabilities.std()), 5),
        learning_rate=rate,
        seconds=round(time.monotonic() - began, 1),
    )


def _class_weights(truth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns float32 (2,): the weights of benign and malignant under which both classes count the same."""
    share = float(truth.mean())
    return np.array([0.5 / (1 - share), 0.5 / share], np.float32)


def _learning_rate(plan: TrainingPlan, epochs_done: float) -> float:
    """Returns the rate after so many epochs: a cosine from the plan's to a hundredth of it."""
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, epochs_done / plan.epochs)))
    return plan.learning_rate * (0.01 + 0.99 * fall)
