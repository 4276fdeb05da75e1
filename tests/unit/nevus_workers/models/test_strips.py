"""Which rows of an image a strip needs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from nevus_workers.models.strips import image_by_image, in_strips, row_cuts, rows_needed

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


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="cuts TensorFlow's graphs only")
def test_images_one_by_one_are_the_batch() -> None:
    """For any number of them in one graph, bytes as well as floats; what can't be cut is left to others."""
    import tensorflow as tf

    network = keras.Sequential([keras.Input((43, 30, 3)), *PLAIN])
    images = np.random.default_rng(1).integers(0, 256, (3, 43, 30, 3), np.uint8)
    whole = keras.ops.convert_to_numpy(network(images.astype(np.float32)))
    forward = image_by_image(PLAIN, whole.shape[1])
    assert forward is not None
    for dtype in (np.uint8, np.float32):
        compiled = tf.function(forward, [tf.TensorSpec((None, 43, 30, 3), tf.as_dtype(dtype))])
        for count in (1, 3):
            assert compiled(images[:count].astype(dtype)).numpy() == pytest.approx(whole[:count], rel=1e-5, abs=1e-3)
    assert image_by_image([*PLAIN, layers.BatchNormalization()], whole.shape[1]) is None
