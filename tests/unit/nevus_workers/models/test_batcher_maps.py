"""Maps that go through the micro-batcher: each image gets its own, and a broken one is an error."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nevus_workers.models.answers import Answers
from nevus_workers.models.batcher import Batcher

LONG_S = 60.0


def test_each_image_gets_its_own_map() -> None:
    """Proves that images that share a pass get their own row, as a copy that keeps neither the batch nor its maps."""
    entered, held = threading.Event(), threading.Event()
    given: list[NDArray[np.float32]] = []

    def predict(batch: NDArray[Any]) -> Answers:
        entered.set()
        assert held.wait(LONG_S)
        given.append(np.stack([np.full((2, 3), row[0], np.float32) for row in batch]))
        return Answers(batch[:, 0], given[-1])

    batcher = Batcher(predict, max_batch=4, max_wait_s=0)
    futures = [batcher.submit(np.array([0.0], np.float32))]
    assert entered.wait(LONG_S)
    futures += [batcher.submit(np.array([value], np.float32)) for value in (0.25, 0.5, 0.75)]
    held.set()
    found = [future.result(LONG_S) for future in futures]
    batcher.close()
    assert [prediction.batch_size for prediction in found] == [1, 3, 3, 3]
    for prediction, value in zip(found, (0.0, 0.25, 0.5, 0.75), strict=True):
        assert prediction.probability == value
        assert prediction.map is not None
        assert (prediction.map.shape, prediction.map.dtype) == ((2, 3), np.float32)
        assert (prediction.map == value).all()
        assert not any(np.shares_memory(prediction.map, maps) for maps in given)


@pytest.mark.parametrize(
    "maps", [np.full((1, 2, 2), np.nan), np.full((1, 2, 2), np.inf), np.zeros((2, 2, 2)), np.zeros((1, 2)), np.zeros(1)]
)
def test_maps_that_are_none(maps: NDArray[Any]) -> None:
    """Proves that a map with NaN, or another number of maps than images, is an error, not a result."""
    answers = Answers(np.array([0.5], np.float32), maps.astype(np.float32))
    batcher = Batcher(lambda _: answers, max_batch=1, max_wait_s=0)
    with pytest.raises(ArithmeticError):
        batcher.submit(np.array([1.0], np.float32)).result(LONG_S)
    batcher.close()


def test_only_the_image_with_a_broken_map_fails() -> None:
    """Proves that a batch in which one map is broken is split, and that the others get their answers."""

    def predict(batch: NDArray[Any]) -> Answers:
        maps = np.zeros((len(batch), 2, 2), np.float32)
        maps[batch[:, 0] == 2] = np.nan
        return Answers(batch[:, 0] / 10, maps)

    batcher = Batcher(predict, max_batch=4, max_wait_s=LONG_S)
    with batcher.expected():
        futures = [batcher.submit(np.array([number], np.float32)) for number in range(4)]
        for number in (0, 1, 3):
            assert futures[number].result(LONG_S).probability == pytest.approx(number / 10)
        with pytest.raises(ArithmeticError):
            futures[2].result(LONG_S)
    batcher.close()
