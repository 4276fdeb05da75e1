"""From a run's best epoch to a model in the repository, with a card that says how good it is.

Calibration and operating points are chosen on the validation split alone. The figures are of the test split, looked at
once, by the very network that is saved; or of the validation split, where the test split is to stay unseen for now.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from nevus_core.records import ModelCard
from nevus_workers.training import curves, dataset, figures
from nevus_workers.training.checkpoint import Checkpoint
from nevus_workers.training.product import finish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nevus_workers.models.repository import Repository
    from nevus_workers.training.dataset import Sample
    from nevus_workers.training.figures import Calibration
    from nevus_workers.training.plan import TrainingPlan
    from nevus_workers.training.product import Facts, Product

LOG_FILE, CURVES_FILE = "training.csv", "training.png"
INTENDED_USE = (
    "Research, teaching and testing of the nevus system. NOT FOR CLINICAL USE: no diagnosis, no triage, no screening."
)
MEASURED_ON = {
    "test": "Test split, measured once.",
    "val": "Validation split, on which epoch, calibration and operating points were chosen too: too good to be true "
    "elsewhere. The test split has not been looked at.",
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A network's figures: operating points from validation, everything else from the split that was asked for."""

    operating_points: dict[str, float]
    figures: dict[str, float]


def publish(
    plan: TrainingPlan,
    repository: Repository,
    *,
    version: str,
    licence: str = "Not stated.",
    data_note: str = "",
    measure_on: str = "test",
) -> ModelCard:
    """Writes a run's best epoch into the repository and returns its card; the run need not be finished.

    Args:
        plan: Of the run; its data folder is read again.
        repository: Where `NAME/<version>/` is written: weights, `model.toml`, `training.csv`, and `training.png` where
            matplotlib is installed.
        version: Replaced where it is there.
        licence: What the training data allows.
        data_note: Added to the card's counts of the training data.
        measure_on: "test" or "val": the split that the figures are of.

    Raises:
        SettingsError: the data can't be used, or no epoch has ended yet.
    """
    splits = dataset.read_samples(plan.data)
    checkpoint = Checkpoint(plan)
    product = finish(plan, checkpoint)
    calibration = _calibrate(product, splits["val"])
    evaluation = evaluate(product, splits["val"], splits[measure_on])
    found = evaluation.figures | {
        "calibration_scale": round(calibration.scale, 4),
        "calibration_bias": round(calibration.bias, 4),
    }
    card = _card(product, Evaluation(evaluation.operating_points, found), version, measure_on)
    counts = f"{_counts(splits)} {data_note}".strip()
    card = msgspec.structs.replace(card, licence=licence, training_data=counts)
    folder = repository.folder(card)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".publish-", dir=folder) as scratch:
        weights = Path(scratch) / card.weights
        product.network.save_weights(weights)
        card = repository.publish(card, weights)
    shutil.copyfile(checkpoint.log_path, folder / LOG_FILE)
    curves.draw(checkpoint.log_path, folder / CURVES_FILE)
    return card


def evaluate(product: Product, val: Sequence[Sample], measured: Sequence[Sample]) -> Evaluation:
    """Returns the operating points that the validation split gives and the figures on the samples to be measured.

    Args:
        product: Calibrated.
        val: Chooses the operating points.
        measured: Looked at once.
    """
    val_truth, val_probabilities = dataset.labels(val), product.probabilities(val)
    points = {
        "balanced": figures.balanced_threshold(val_truth, val_probabilities),
        "screening": figures.screening_threshold(val_truth, val_probabilities),
    }
    truth, probabilities = dataset.labels(measured), product.probabilities(measured)
    low, high = figures.auc_interval(truth, probabilities)
    found = {"auc": figures.auc(truth, probabilities), "auc_low": low, "auc_high": high}
    for name, threshold in points.items():
        at = figures.rates(truth, probabilities, threshold)
        found |= {f"sensitivity_{name}": at.sensitivity, f"specificity_{name}": at.specificity}
    found |= {
        "brier": float(np.mean((probabilities - truth) ** 2)),
        "images": len(measured),
        "malignant": int(truth.sum()),
    }
    found |= _auc_by_source(measured, truth, probabilities)
    found |= product.mask_figures(measured)
    found["val_auc"] = figures.auc(val_truth, val_probabilities)
    return Evaluation(points, {name: round(value, 4) for name, value in found.items()})


def _auc_by_source(
    samples: Sequence[Sample], truth: NDArray[np.float32], probabilities: NDArray[np.float64]
) -> dict[str, float]:
    """Returns the AUC on each collection's own images, for collections with both classes."""
    found = {}
    for source in sorted({sample.source for sample in samples}):
        chosen = np.array([sample.source == source for sample in samples])
        if 0 < truth[chosen].sum() < chosen.sum():
            found[f"auc_{source}"] = figures.auc(truth[chosen], probabilities[chosen])
    return found


def _calibrate(product: Product, val: Sequence[Sample]) -> Calibration:
    """Multiplies the calibration found on the validation split into the network's last layer, and returns it."""
    probabilities = np.clip(product.probabilities(val), 1e-7, 1 - 1e-7)
    fitted = figures.calibrate(dataset.labels(val), np.log(probabilities / (1 - probabilities)))
    product.calibrate(fitted)
    return fitted


def _counts(splits: dict[str, list[Sample]]) -> str:
    """Returns how many images and which collections there are, as a sentence."""
    counts = {split: (len(samples), int(dataset.labels(samples).sum())) for split, samples in splits.items()}
    sources = ", ".join(sorted({sample.source for samples in splits.values() for sample in samples}))
    described = ", ".join(f"{split} {total} ({positive} malignant)" for split, (total, positive) in counts.items())
    return f"{described}; collections {sources}."


def _card(product: Product, evaluation: Evaluation, version: str, measured_on: str) -> ModelCard:
    """Returns the card with everything but the prose on the data, and the weights' size and digest."""
    facts, found = product.facts, evaluation.figures
    return ModelCard(
        name=facts.name,
        version=version,
        title=facts.title,
        description=f"{facts.description} {_verdict(found, measured_on)}",
        intended_use=INTENDED_USE,
        limitations=facts.limitations,
        training_data="",
        licence="",
        architecture=facts.name,
        weights=f"{facts.name}.weights.h5",
        input_width_px=facts.side_px,
        input_height_px=facts.side_px,
        colour_order=facts.colour_order,
        resampling=facts.resampling,
        operating_points=evaluation.operating_points,
        default_operating_point="balanced",
        segmenter=facts.segmenter,
        evaluation=found,
        evaluation_note=_note(facts, found, measured_on),
        parameters=int(product.network.count_params()),
        mega_flops=facts.mega_flops,
        starting_weights=facts.starting_weights,
    )


def _verdict(found: dict[str, float], measured_on: str) -> str:
    """Returns the figures that a description ends with."""
    masks = f", mean Jaccard of the masks {found['jaccard_mean']:.3f}" if "jaccard_mean" in found else ""
    interval = f"95 % interval {found['auc_low']:.3f} to {found['auc_high']:.3f}"
    return f"{measured_on} AUC {found['auc']:.3f} ({interval}){masks}."


def _note(facts: Facts, found: dict[str, float], measured_on: str) -> str:
    """Returns what the card's figures are."""
    masks = (
        f" The mask of {facts.name} is cut at 0.5, pieces much smaller than the largest are left out; jaccard_mean and "
        f"dice_mean: at the images' own sizes, of those that have a mask."
    )
    return (
        f"{MEASURED_ON[measured_on]} auc_low and auc_high: 95 % bootstrap interval over images. balanced: largest "
        "sensitivity + specificity on the validation split; screening: sensitivity of at least 0.95 there. "
        "Probabilities were calibrated on the validation split: the logit times calibration_scale plus "
        "calibration_bias, which is in the weights already." + (masks if "jaccard_mean" in found else "")
    )
