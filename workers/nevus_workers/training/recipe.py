"""What a model brings to be trained; `run.train` is what all of them share: epochs, checkpoints, progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from nevus_workers.training.plan import JointPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from nevus_workers.training.plan import TrainingPlan


@dataclass(frozen=True, slots=True)
class Step:
    """One step that has been taken.

    Attributes:
        images: In its batch.
        loss: Mean over the batch.
        learning_rate: Used for it.
    """

    images: int
    loss: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What the validation split says of the weights after an epoch.

    Attributes:
        loss: Mean binary cross-entropy of the class.
        auc: 0..1.
        spread: Standard deviation of the probabilities.
        jaccard: Mean over the images with a mask, 0..1; None for a model without one.
    """

    loss: float
    auc: float
    spread: float
    jaccard: float | None = None


class Trainee(Protocol):
    """A network in training."""

    @property
    def model(self) -> Any:
        """The compiled Keras model, its optimizer built: both are stored after every epoch."""

    def images(self, epoch: int) -> int:
        """Returns how many images an epoch has; epochs count from 0."""

    def cost(self, epoch: int) -> float:
        """Returns what one image of an epoch costs, in any unit that stays the same."""

    def steps(self, epoch: int) -> Iterator[Step]:
        """Trains one epoch; everything random in it comes from the plan's seed and the epoch."""

    def measure(self) -> Measured:
        """Returns what the validation split says now."""

    def judged(self) -> list[NDArray[Any]]:
        """Returns the weights that `measure` judges, in the order of `model.get_weights()`."""

    def extras(self) -> dict[str, NDArray[np.floating]]:
        """Returns whatever else a checkpoint has to hold."""

    def restore(self, extras: dict[str, NDArray[np.floating]]) -> None:
        """Takes back what `extras` gave, after the model's weights are back in their place."""


def start(plan: TrainingPlan) -> Trainee:
    """Returns the plan's network as it is before the first epoch; the caller has seeded Keras.

    Raises:
        SettingsError: the data can't be used.
    """
    if isinstance(plan, JointPlan):
        from nevus_workers.training.joint import JointTrainee

        return JointTrainee(plan)
    from nevus_workers.training.notebook import NotebookTrainee

    return NotebookTrainee(plan)
