"""From a run's best epoch to a model in the repository, with a card that says how good it is.

Calibration and operating points are chosen on the validation split alone; the test split is looked at once, at the end,
by the very network that is saved.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from nevus_core.records import ModelCard
from nevus_workers.models import architectures
from nevus_workers.training import dataset, figures
from nevus_workers.training.checkpoint import Checkpoint
from nevus_workers.training.network import fold, named_weights, trainable_network
from nevus_workers.training.run import predict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nevus_workers.models.repository import Repository
    from nevus_workers.training.dataset import Sample
    from nevus_workers.training.plan import TrainingPlan

NAME = "notebook-cnn"
WEIGHTS_FILE = "notebook-cnn.weights.h5"
LOG_FILE = "training.csv"
MEGA_FLOPS = 1747.0
INTENDED_USE = (
    "Research, teaching and testing of the nevus system. NOT FOR CLINICAL USE: no diagnosis, no triage, no screening."
)
LIMITATIONS = (
    "A small network with a weak view of structure: it sees colour and fine texture, hardly shape. Trained on "
    "dermoscopy images of a few collections only; photographs without a dermatoscope, other cameras, other "
    "populations and dark skin were not tested. The whole image is stretched to a square. Figures differ between the "
    "collections."
)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A network's figures: operating points from validation, everything else from test."""

    operating_points: dict[str, float]
    figures: dict[str, float]


def publish(
    plan: TrainingPlan, repository: Repository, *, version: str, licence: str = "Not stated.", data_note: str = ""
) -> ModelCard:
    """Writes a run's best epoch into the repository and returns its card; the run need not be finished.

    Args:
        plan: Of the run; its data folder is read again.
        repository: Where `notebook-cnn/<version>/` is written: weights, `model.toml`, `training.csv`.
        version: Replaced where it is there.
        licence: What the training data allows.
        data_note: Added to the card's counts of the training data.

    Raises:
        SettingsError: the data can't be used, or no epoch has ended yet.
    """
    splits = dataset.read_samples(plan.data)
    checkpoint = Checkpoint(plan)
    trained = trainable_network()
    checkpoint.restore_best(trained)
    network = architectures.build(NAME)
    network.set_weights(fold(named_weights(trained)))
    _calibrate(network, splits["val"])
    evaluation = evaluate(network, splits["val"], splits["test"])
    card = _card(version, plan, splits, evaluation, parameters=int(network.count_params()))
    card = _with_prose(card, licence=licence, data_note=data_note)
    folder = repository.folder(card)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".publish-", dir=folder) as scratch:
        weights = Path(scratch) / WEIGHTS_FILE
        network.save_weights(weights)
        card = repository.publish(card, weights)
    shutil.copyfile(checkpoint.log_path, folder / LOG_FILE)
    return card


def evaluate(network: Any, val: Sequence[Sample], test: Sequence[Sample]) -> Evaluation:
    """Returns the operating points that the validation split gives and the figures on the test split.

    Args:
        network: A Keras model that takes prepared images and gives probabilities.
        val: Chooses the operating points.
        test: Measured once.
    """
    val_truth, val_probabilities = dataset.labels(val), predict(network, val)
    points = {
        "balanced": figures.balanced_threshold(val_truth, val_probabilities),
        "screening": figures.screening_threshold(val_truth, val_probabilities),
    }
    truth, probabilities = dataset.labels(test), predict(network, test)
    low, high = figures.auc_interval(truth, probabilities)
    found = {"auc": figures.auc(truth, probabilities), "auc_low": low, "auc_high": high}
    for name, threshold in points.items():
        at = figures.rates(truth, probabilities, threshold)
        found |= {f"sensitivity_{name}": at.sensitivity, f"specificity_{name}": at.specificity}
    found |= {"brier": float(np.mean((probabilities - truth) ** 2)), "images": len(test), "malignant": int(truth.sum())}
    found |= _auc_by_source(test, truth, probabilities)
    found["val_auc"] = figures.auc(val_truth, val_probabilities)
    return Evaluation(points, {name: round(value, 4) for name, value in found.items()})


def _auc_by_source(
    test: Sequence[Sample], truth: NDArray[np.float32], probabilities: NDArray[np.float32]
) -> dict[str, float]:
    """Returns the AUC on each collection's own images, for collections with both classes."""
    found = {}
    for source in sorted({sample.source for sample in test}):
        chosen = np.array([sample.source == source for sample in test])
        if 0 < truth[chosen].sum() < chosen.sum():
            found[f"auc_{source}"] = figures.auc(truth[chosen], probabilities[chosen])
    return found


def _calibrate(network: Any, val: Sequence[Sample]) -> None:
    """Multiplies the calibration found on the validation split into the network's last layer."""
    probabilities = np.clip(predict(network, val).astype(np.float64), 1e-7, 1 - 1e-7)
    fitted = figures.calibrate(dataset.labels(val), np.log(probabilities / (1 - probabilities)))
    *others, kernel, bias = network.get_weights()
    network.set_weights([*others, kernel * fitted.scale, bias * fitted.scale + fitted.bias])


def _card(
    version: str, plan: TrainingPlan, splits: dict[str, list[Sample]], evaluation: Evaluation, *, parameters: int
) -> ModelCard:
    """Returns the card with everything but the licence, the data's note, and the weights' size and digest."""
    counts = {split: (len(samples), int(dataset.labels(samples).sum())) for split, samples in splits.items()}
    sources = ", ".join(sorted({sample.source for samples in splits.values() for sample in samples}))
    described = ", ".join(f"{split} {total} ({positive} malignant)" for split, (total, positive) in counts.items())
    found = evaluation.figures
    return ModelCard(
        name=NAME,
        version=version,
        title="The notebook's CNN, trained anew",
        description=(
            f"The original notebook's network (two convolutions, 2.4 million weights, 500x500 pixels, blue-green-red "
            f"0..255), trained from scratch with `nevus train`: {plan.epochs} epochs planned, seed {plan.seed}, "
            f"RMSprop, binary cross-entropy, best epoch by validation AUC. It is a reference, not a good classifier: "
            f"test AUC {found['auc']:.3f} (95 % interval {found['auc_low']:.3f} to {found['auc_high']:.3f})."
        ),
        intended_use=INTENDED_USE,
        limitations=LIMITATIONS,
        training_data=f"{described}; collections {sources}.",
        licence="",
        architecture=NAME,
        weights=WEIGHTS_FILE,
        input_width_px=architectures.NOTEBOOK_SIDE_PX,
        input_height_px=architectures.NOTEBOOK_SIDE_PX,
        operating_points=evaluation.operating_points,
        default_operating_point="balanced",
        evaluation=found,
        evaluation_note=(
            "Test split, measured once. auc_low and auc_high: 95 % bootstrap interval over images. balanced: largest "
            "sensitivity + specificity on the validation split; screening: sensitivity of at least 0.95 there. "
            "Probabilities were calibrated on the validation split."
        ),
        parameters=parameters,
        mega_flops=MEGA_FLOPS,
    )


def _with_prose(card: ModelCard, *, licence: str, data_note: str) -> ModelCard:
    """Returns the card with what only the person who trains can say."""
    training_data = f"{card.training_data} {data_note}".strip()
    return msgspec.structs.replace(card, licence=licence, training_data=training_data)
