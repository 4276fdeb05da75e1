"""The benchmark of bfloat16: what it calls moved, and whose passes it times."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parents[3]))  # the benchmark is no installed package

from bench.precision import answers, moved, pass_ms
from nevus_workers.models.answers import Answers
from support.tiny_models import tiny_card

CARD = tiny_card(operating_points={"balanced": 0.5, "screening": 0.1}, default_operating_point="balanced")


class Counting:
    """An engine that says what the first pixel says, and counts its passes."""

    card = CARD
    max_batch = 4

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def predict(self, batch: NDArray[Any]) -> Answers:
        """Answers; a map of one cell."""
        self.sizes.append(len(batch))
        said = batch[:, 0, 0, 0].astype(np.float32)
        return Answers(said, said[:, None, None])


def said(*probabilities: float, mapped: bool = True) -> Answers:
    """Answers with maps of two cells, the first of which is always inside."""
    values = np.array(probabilities, np.float32)
    maps = np.stack([np.ones_like(values), values], axis=1)[:, None]
    return Answers(values, maps if mapped else None)


def test_moved() -> None:
    """Differences, flips at each operating point, and how the maps agree."""
    found = moved(said(0.05, 0.45, 0.9, 0.3), said(0.15, 0.55, 0.8, 0.3), CARD)
    assert (found.images, round(found.largest, 6), round(found.mean, 6)) == (4, 0.1, 0.075)
    assert found.flips == {"balanced": 1, "screening": 1}
    assert (found.least_jaccard, found.mean_jaccard) == (0.5, 0.875)
    without = moved(said(0.2, mapped=False), said(0.2, mapped=False), CARD)
    assert (without.largest, without.least_jaccard, without.mean_jaccard) == (0, None, None)


def test_answers_of_batches() -> None:
    """In their order, in batches of the size that is asked for."""
    engine: Any = Counting()
    images = [np.full((2, 2, 3), number / 10, np.float32) for number in range(5)]
    found = answers(engine, images, 2)
    assert engine.sizes == [2, 2, 1]
    assert np.allclose(found.probabilities, np.arange(5) / 10)
    assert found.maps is not None
    assert found.maps.shape == (5, 1, 1)


def test_engines_take_turns() -> None:
    """Each is timed as often as the other, after two passes that do not count."""
    engines: dict[str, Any] = {"one": Counting(), "other": Counting()}
    costs = pass_ms(engines, np.zeros((3, 2, 2, 3), np.uint8), laps=4)
    assert set(costs) == set(engines)
    assert all(cost >= 0 for cost in costs.values())
    assert [engine.sizes for engine in engines.values()] == [[3] * 6] * 2
