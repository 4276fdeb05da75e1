"""What a model brings to be published; `publish` is what all of them share: calibration, points, figures, card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from nevus_workers.training.plan import JointPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from nevus_workers.training.checkpoint import Checkpoint
    from nevus_workers.training.dataset import Sample
    from nevus_workers.training.figures import Calibration
    from nevus_workers.training.plan import TrainingPlan


@dataclass(frozen=True, slots=True)
class Facts:
    """What a card says of a model whatever its weights.

    Attributes:
        name: Of the model and of its architecture.
        title, description, limitations: Prose; the description ends where the figures begin.
        side_px: Width and height of the input.
        colour_order, resampling: As `prepare` takes them.
        segmenter: The card's.
        mega_flops: Of one pass.
        starting_weights: What training started from, with its licence; empty where it started from none.
    """

    name: str
    title: str
    description: str
    limitations: str
    side_px: int
    mega_flops: float
    colour_order: str = "bgr"
    resampling: str = "linear"
    segmenter: str = "otsu"
    starting_weights: str = ""


class Product(Protocol):
    """A trained network in the form that serves."""

    @property
    def facts(self) -> Facts:
        """What the card says."""

    @property
    def network(self) -> Any:
        """The Keras model that is saved."""

    def probabilities(self, samples: Sequence[Sample]) -> NDArray[np.float64]:
        """Returns float64 (n,): what the network says now, in order."""

    def calibrate(self, calibration: Calibration) -> None:
        """Multiplies a calibration into the network's last layer."""

    def mask_figures(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Returns the masks' figures by name; empty for a model or for samples without masks."""


def finish(plan: TrainingPlan, checkpoint: Checkpoint) -> Product:
    """Returns the best epoch of a run in the form that serves.

    Raises:
        SettingsError: no epoch has ended yet.
    """
    if isinstance(plan, JointPlan):
        from nevus_workers.training.joint_product import JointProduct

        return JointProduct(plan, checkpoint)
    from nevus_workers.training.notebook_product import NotebookProduct

    return NotebookProduct(plan, checkpoint)
