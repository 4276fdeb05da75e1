"""Which rows of an image a strip needs."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers

from nevus_workers.models.strips import in_strips, row_cuts, rows_needed

PLAIN = [layers.Conv2D(2, 4), layers.MaxPooling2D(2), layers.Conv2D(2, 4), layers.MaxPooling2D(2)]


def test_cuts_are_as_equal_as_can_be() -> None:
    """They follow one another without a gap; there are not more of them than rows."""
    assert row_cuts(122, 2) == [(0, 61), (61, 122)]
    assert row_cuts(10, 3) == [(0, 3), (3, 7), (7, 10)]
    assert row_cuts(2, 5) == [(0, 1), (1, 2)]


def test_rows_through_convolutions_and_poolings() -> None:
    """One row behind two convolutions of four and two poolings of two comes from 4 + 3 x 2 + 3 rows."""
    assert rows_needed(PLAIN, 0, 1) == (0, 13)
    assert rows_needed(PLAIN, 61, 122) == (244, 497)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(2, 3, padding="same"), layers.Conv2D(2, 3, strides=2), layers.MaxPooling2D(2, strides=1),
        layers.MaxPooling2D(2, padding="same"), layers.BatchNormalization(), layers.Conv2D(2, 3, dilation_rate=2),
    ],
)  # fmt: skip
def test_what_can_not_be_cut_is_left_whole(layer: Any) -> None:
    """Padding, strides, whatever is not known here."""
    assert rows_needed([*PLAIN, layer], 0, 1) is None
    assert in_strips([*PLAIN, layer], 10, 2) is None


def test_strips_together_are_the_whole() -> None:
    """For any number of strips, also where rows are left over at the edge."""
    network = keras.Sequential([keras.Input((43, 30, 3)), *PLAIN])
    images = keras.random.uniform((2, 43, 30, 3), seed=1)
    whole = keras.ops.convert_to_numpy(network(images))
    assert in_strips(PLAIN, whole.shape[1], 1) is None
    for strips in (2, 3, whole.shape[1]):
        forward = in_strips(PLAIN, whole.shape[1], strips)
        assert forward is not None
        assert keras.ops.convert_to_numpy(forward(images)) == pytest.approx(whole, abs=1e-6)
