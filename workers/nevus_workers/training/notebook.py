"""Training `notebook-cnn`: the notebook's optimizer and loss (RMSprop, binary cross-entropy) on balanced classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nevus_workers.models.architectures import NOTEBOOK_SIDE_PX
from nevus_workers.training import dataset, figures
from nevus_workers.training.network import trainable_network
from nevus_workers.training.recipe import Measured, Step
from nevus_workers.training.schedule import cosine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from nevus_workers.training.dataset import Sample
    from nevus_workers.training.plan import TrainingPlan

FLOOR = 0.01
"""The last step's learning rate, as a share of the plan's."""


class NotebookTrainee:
    """See `nevus_workers.training.recipe.Trainee`."""

    def __init__(self, plan: TrainingPlan) -> None:
        import keras

        self._plan = plan
        self._splits = dataset.read_samples(plan.data)
        self._model = trainable_network()
        self._model.compile(optimizer=keras.optimizers.RMSprop(plan.learning_rate), loss="binary_crossentropy")
        self._model.optimizer.build(self._model.trainable_variables)

    @property
    def model(self) -> Any:
        """The trainable form; see `nevus_workers.training.network`."""
        return self._model

    def images(self, epoch: int) -> int:
        """Returns how many images an epoch has: the same number every time."""
        return len(self._draw(epoch)[0])

    def cost(self, epoch: int) -> float:
        """Returns 1: every epoch costs the same."""
        del epoch
        return 1.0

    def steps(self, epoch: int) -> Iterator[Step]:
        """Trains one epoch."""
        plan, model = self._plan, self._model
        chosen, symmetries = self._draw(epoch)
        drawn = [self._splits["train"][index] for index in chosen]
        weights = dataset.class_weights(dataset.labels(drawn))
        done = 0
        for images, truth in dataset.batches(drawn, symmetries, NOTEBOOK_SIDE_PX, plan.batch_size):
            rate = plan.learning_rate * cosine((epoch + done / len(drawn)) / plan.epochs, floor=FLOOR)
            model.optimizer.learning_rate.assign(rate)
            model.reset_metrics()
            loss = model.train_on_batch(images, truth[:, None], sample_weight=weights[truth.astype(int)])
            done += len(truth)
            yield Step(len(truth), float(loss), rate)

    def measure(self) -> Measured:
        """Returns what the validation split says now."""
        val = self._splits["val"]
        probabilities, truth = predict(self._model, val, self._plan.batch_size), dataset.labels(val)
        return Measured(
            loss=figures.cross_entropy(truth, probabilities),
            auc=figures.auc(truth, probabilities),
            spread=float(probabilities.std()),
        )

    def judged(self) -> list[NDArray[Any]]:
        """Returns the model's weights."""
        return list(self._model.get_weights())

    def extras(self) -> dict[str, NDArray[np.floating]]:
        """Returns nothing."""
        return {}

    def restore(self, extras: dict[str, NDArray[np.floating]]) -> None:
        """Does nothing."""

    def _draw(self, epoch: int) -> tuple[list[int], list[int]]:
        rng = np.random.default_rng([self._plan.seed, epoch])
        return dataset.draw_epoch(self._splits["train"], rng, self._plan.benign_per_malignant)


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
