"""The comparison of two models' costs: whose windows are judged by which, and what they amount to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[3]))  # the benchmark is no installed package

from bench.ceiling import CeilingFigures
from bench.cost_rounds import compare_costs
from bench.peers import nevus_up
from bench.subject import MODEL, choose
from nevus_core.settings import ServerSettings, WorkerSettings, load_settings
from nevus_workers.models.repository import Repository
from support.tiny_models import tiny_card


class Windows:
    """A ceiling whose windows cost what it is told."""

    def __init__(self, name: str, costs_ms: list[float], log: list[str]) -> None:
        self._name, self._costs_ms, self._log = name, iter(costs_ms), log

    def measure(self, folder: Path, in_flight: int, seconds: float) -> CeilingFigures:
        """The next one; a quarter of it is decoding."""
        assert in_flight > 1
        self._log.append(self._name)
        cost_ms = next(self._costs_ms)
        return CeilingFigures(1000 / cost_ms, cost_ms, cost_ms, {"decode": cost_ms / 4})


def test_each_window_is_judged_by_those_around_it() -> None:
    """In turn, the reference first and last; a machine that gets slower changes no ratio."""
    log: list[str] = []
    lines: list[str] = []
    own: Any = Windows("own", [15, 24, 28], log)
    reference: Any = Windows("reference", [10, 20, 40, 40], log)
    found = compare_costs(own, reference, Path(), size="9x9", seconds=1, rounds=3, say=lines.append)
    assert log == ["reference", "own"] * 3 + ["reference"]
    assert (found.ratio_min, found.ratio, found.ratio_max) == pytest.approx((0.7, 0.8, 1.0))
    assert (found.cpu_ms_per_image, found.reference_cpu_ms_per_image) == (24, 30)
    assert (found.steps_ms, found.reference_steps_ms) == ({"decode": 6}, {"decode": 7.5})
    assert (found.rounds, len(lines)) == (3, 3)
    assert found.line()["images_per_s"] == pytest.approx(1000 / 24, abs=1e-4)


def test_a_subject_is_the_cards(tmp_path: Path) -> None:
    """Name, newest version and segmenter; front end and worker understand what they are set to."""
    for version in ("1", "2"):
        (tmp_path / "weights").write_bytes(b"weights")
        Repository(tmp_path / "models").publish(tiny_card(version, segmenter="network"), tmp_path / "weights")
    models = tmp_path / "models"
    subject = choose(models, "tiny")
    assert subject.facts == {"model": "tiny@2", "segmenter": "network"}
    assert choose(models, "tiny@1").key == "tiny@1"
    assert load_settings(ServerSettings, subject.environ).default_model == "tiny@2"
    settings = load_settings(WorkerSettings, subject.environ)
    assert (settings.serve_models, settings.models) == ("tiny@2", str(models))
    for unknown in ("tiny@3", "other"):
        with pytest.raises(RuntimeError, match="tiny@2"):
            choose(models, unknown)


def test_the_published_figures_are_of_one_model() -> None:
    """Alone and beside other serving systems, whatever a deployment serves when nobody says."""
    assert MODEL == nevus_up.NAME == "notebook-cnn"
    context: Any = type("Context", (), {"env": {}, "python": "python", "port": 1, "tmp": Path("x"), "workers": 2})
    nevus_up.commands(context)
    assert context.env["NEVUS_SERVE_MODELS"] == context.env["NEVUS_DEFAULT_MODEL"] == "notebook-cnn@1"
