"""A whole training on tiny data: folding, resuming, collapse, publishing."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from nevus_core.errors import ModelError, SettingsError
from nevus_workers.models import architectures
from nevus_workers.models.engine import KerasEngine
from nevus_workers.models.repository import Repository
from nevus_workers.training import notebook, run
from nevus_workers.training.network import fold, named_weights, trainable_network
from nevus_workers.training.plan import Progress, TrainingPlan
from nevus_workers.training.progress import TrainingBar
from nevus_workers.training.publish import publish


def plan_for(data: Path, folder: Path, **changes: Any) -> TrainingPlan:
    """Two epochs in batches of four."""
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 4, "benign_per_malignant": 1.0} | changes
    return TrainingPlan(data=data, run=folder, **settings)


def test_folded_network_is_the_same_function() -> None:
    """Proves that the notebook's layers with folded weights give the logits of the network that was trained."""
    model = trainable_network()
    rng = np.random.default_rng(0)
    for layer in model.layers:
        weights = layer.get_weights()
        if layer.name.startswith("norm"):
            layer.set_weights(
                [rng.normal(0, 0.3, w.shape) if i < 2 else rng.uniform(0.3, 2, w.shape) for i, w in enumerate(weights)]
            )
        elif layer.name == "output":
            layer.set_weights([weights[0] * 0.1, weights[1] + 0.2])
        elif weights:
            layer.set_weights([weights[0], rng.normal(0, 0.1, weights[1].shape)])
    plain = architectures.build("notebook-cnn")
    plain.set_weights(fold(named_weights(model)))
    images = rng.integers(0, 256, (3, 500, 500, 3)).astype(np.float32)
    images[1, :, :250] *= 0.3
    images[2] *= 0.6
    trained, folded = np.asarray(model(images)).ravel(), np.asarray(plain(images)).ravel()
    assert np.ptp(trained) > 1e-3
    assert ((trained > 0.02) & (trained < 0.98)).all()
    assert np.allclose(trained, folded, atol=1e-5)


@pytest.fixture(scope="module")
def finished(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingPlan, list[Progress]]:
    """A run of two epochs without an interruption, and what it told."""
    told: list[Progress] = []
    plan = plan_for(tiny_data, tmp_path_factory.mktemp("run") / "whole")
    run.train(plan, told.append)
    return plan, told


def checkpoint_arrays(plan: TrainingPlan) -> dict[str, np.ndarray[Any, Any]]:
    """Weights and optimizer state of a run's last epoch."""
    with np.load(plan.run / "checkpoint.npz") as stored:
        return {name: stored[name] for name in stored.files if name != "history"}


def test_resumed_run_equals_an_uninterrupted_one(
    finished: tuple[TrainingPlan, list[Progress]], tiny_data: Path, tmp_path: Path
) -> None:
    """Proves that a run killed in its second epoch ends, after going on, with the weights of a run never killed."""
    whole, _ = finished
    plan = plan_for(tiny_data, tmp_path / "resumed")

    def kill(progress: Progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.train(plan, kill)
    history = run.train(plan)
    assert [row.epoch for row in history] == [1, 2]
    expected, found = checkpoint_arrays(whole), checkpoint_arrays(plan)
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        assert np.allclose(found[name], array, rtol=1e-3, atol=1e-4), name


def test_progress_and_log(finished: tuple[TrainingPlan, list[Progress]]) -> None:
    """Proves that every step is told with a time to go, every epoch's end with its AUC, and the log holds both."""
    plan, told = finished
    assert [(p.epoch, p.images_done, p.images) for p in told if p.val_auc is None] == [
        (1, 4, 8),
        (1, 8, 8),
        (2, 4, 8),
        (2, 8, 8),
    ]
    assert [p.epoch for p in told if p.val_auc is not None] == [1, 2]
    assert all(p.eta_s is not None and p.eta_s >= 0 for p in told)
    with (plan.run / "training.csv").open() as lines:
        assert [row["epoch"] for row in csv.DictReader(lines)] == ["1", "2"]
    assert not list(plan.run.glob("*.part"))


def test_finished_run_does_nothing_more(finished: tuple[TrainingPlan, list[Progress]]) -> None:
    """Proves that starting a finished run again returns its history at once."""
    plan, _ = finished
    told: list[Progress] = []
    assert len(run.train(plan, told.append)) == 2
    assert told == []


def test_another_plan_does_not_go_on_from_here(finished: tuple[TrainingPlan, list[Progress]]) -> None:
    """Proves that a run folder is refused for other settings."""
    plan, _ = finished
    with pytest.raises(SettingsError, match="other settings"):
        run.train(plan_for(plan.data, plan.run, seed=99))


def test_publish(finished: tuple[TrainingPlan, list[Progress]], tmp_path: Path) -> None:
    """Proves that a run becomes a model that loads, whose card tells figures, points and origin."""
    plan, _ = finished
    repository = Repository(tmp_path / "models")
    card = publish(plan, repository, version="3", licence="CC0-1.0", data_note="Drawn by a test.")
    assert repository.resolve("notebook-cnn") == card
    folder = repository.folder(card)
    published = {"model.toml", "notebook-cnn.weights.h5", "training.csv", "training.png"}
    assert {path.name for path in folder.iterdir()} == published
    assert card.weights_bytes < 16 * 2**20
    assert set(card.operating_points) == {"balanced", "screening"}
    assert card.evaluation["images"] == 8
    assert card.evaluation["auc_low"] <= card.evaluation["auc"] <= card.evaluation["auc_high"]
    assert {"auc_source-0", "auc_source-1", "sensitivity_balanced", "specificity_screening"} <= card.evaluation.keys()
    assert (card.licence, card.training_data.endswith("Drawn by a test.")) == ("CC0-1.0", True)
    assert "NOT FOR CLINICAL USE" in card.intended_use
    engine = KerasEngine(card, repository.verify(card))
    assert 0 <= engine.predict(np.zeros((1, 500, 500, 3), np.uint8)).probabilities[0] <= 1


def test_nothing_to_publish_yet(tiny_data: Path, tmp_path: Path) -> None:
    """Proves a clear refusal before the first epoch has ended."""
    with pytest.raises(SettingsError, match="no finished epoch"):
        publish(plan_for(tiny_data, tmp_path / "run"), Repository(tmp_path / "models"), version="1")


def test_collapse_is_found_out(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that a network that answers the same for everybody ends the run with a reason."""
    monkeypatch.setattr(notebook, "predict", lambda _model, samples, _size: np.full(len(samples), 0.5, np.float32))
    with pytest.raises(ModelError) as caught:
        run.train(plan_for(tiny_data, tmp_path / "run", epochs=3))
    assert caught.value.reason == "COLLAPSED"


def test_progress_bar() -> None:
    """Proves that the bar takes what a run tells and prints one line for an epoch."""
    from io import StringIO

    from rich.console import Console

    screen = StringIO()
    with TrainingBar(Console(file=screen, width=100)) as bar:
        bar(Progress(1, 2, 4, 8, 0.7, 61.0))
        bar(Progress(1, 2, 8, 8, 0.6, 30.0, 0.8125))
    assert "epoch 1/2: loss 0.6000, validation AUC 0.8125" in screen.getvalue()


def test_fingerprint_ignores_what_does_not_decide(tmp_path: Path) -> None:
    """Proves that moving the data or using other threads does not make another plan, and another seed does."""
    plan = plan_for(tmp_path, tmp_path)
    assert plan_for(tmp_path / "x", tmp_path / "y", threads=7).fingerprint == plan.fingerprint
    assert plan_for(tmp_path, tmp_path, seed=1).fingerprint != plan.fingerprint
    assert msgspec.json.encode(plan.fingerprint)
