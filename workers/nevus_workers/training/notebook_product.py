"""`notebook-cnn` as it is published: the trained form folded into the notebook's own layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nevus_workers.models import architectures
from nevus_workers.models.cost import mega_flops
from nevus_workers.training.network import fold, named_weights, trainable_network
from nevus_workers.training.notebook import predict
from nevus_workers.training.product import Facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nevus_workers.training.checkpoint import Checkpoint
    from nevus_workers.training.dataset import Sample
    from nevus_workers.training.figures import Calibration
    from nevus_workers.training.plan import TrainingPlan

NAME = "notebook-cnn"
LIMITATIONS = (
    "A small network with a weak view of structure: it sees colour and fine texture, hardly shape. Trained on "
    "dermoscopy images of a few collections only; photographs without a dermatoscope, other cameras, other "
    "populations and dark skin were not tested. The whole image is stretched to a square. Figures differ between the "
    "collections."
)


class NotebookProduct:
    """See `nevus_workers.training.product.Product`."""

    def __init__(self, plan: TrainingPlan, checkpoint: Checkpoint) -> None:
        trained = trainable_network()
        checkpoint.restore_best(trained)
        self._network = architectures.build(NAME)
        self._network.set_weights(fold(named_weights(trained)))
        self._facts = Facts(
            name=NAME,
            title="The notebook's CNN, trained anew",
            description=(
                f"The original notebook's network (two convolutions, 2.4 million weights, 500x500 pixels, "
                f"blue-green-red 0..255), trained from scratch with `nevus train`: {plan.epochs} epochs planned, seed "
                f"{plan.seed}, RMSprop, binary cross-entropy, best epoch by validation AUC. It is a reference, not a "
                f"good classifier:"
            ),
            limitations=LIMITATIONS,
            side_px=architectures.NOTEBOOK_SIDE_PX,
            mega_flops=round(mega_flops(self._network), 1),
        )

    @property
    def facts(self) -> Facts:
        """What the card says."""
        return self._facts

    @property
    def network(self) -> Any:
        """The notebook's network."""
        return self._network

    def probabilities(self, samples: Sequence[Sample]) -> NDArray[np.float64]:
        """Returns float64 (n,): what the network says now, in order."""
        return np.asarray(predict(self._network, samples), np.float64)

    def calibrate(self, calibration: Calibration) -> None:
        """Multiplies a calibration into the network's last layer."""
        *others, kernel, bias = self._network.get_weights()
        self._network.set_weights([*others, kernel * calibration.scale, bias * calibration.scale + calibration.bias])

    def mask_figures(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Returns nothing: this network has no mask."""
        del samples
        return {}
