"""The network of `derm-joint`: its encoder against the original, its cost, its two forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nevus_core.errors import SettingsError
from nevus_workers.models import architectures, derm_joint, efficientnet_lite
from nevus_workers.models.cost import mega_flops
from nevus_workers.training.fold import fold_norms
from nevus_workers.training.pretrained import PRETRAINED_FILE, load_encoder
from support.make_lite0_fixture import drawn_pixels

TOP = Path(__file__).parents[4]


def test_ported_encoder_gives_the_original_s_logits() -> None:
    """Proves that Keras layers with the stored weights answer three drawn pictures as the PyTorch original did."""
    import keras

    network = efficientnet_lite.classifier()
    load_encoder(network, TOP / "models" / PRETRAINED_FILE)
    body = keras.Model(network.input, network.get_layer("pooled").output)
    with np.load(TOP / "tests" / "fixtures" / "lite0_logits.npz") as original:
        logits = np.asarray(body(drawn_pixels(), training=False)) @ original["kernel"] + original["bias"]
        assert np.ptp(original["logits"]) > 5
        assert np.abs(logits - original["logits"]).max() < 1e-3


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Proves a clear refusal of a missing file and of one without a layer."""
    network = efficientnet_lite.classifier(32)
    with pytest.raises(SettingsError, match="no pretrained weights"):
        load_encoder(network, tmp_path / "nothing.npz")
    np.savez(tmp_path / "other.npz", **{"stem/0": np.zeros((3, 3, 3, 32), np.float32)})
    with pytest.raises(SettingsError, match="stem_norm"):
        load_encoder(network, tmp_path / "other.npz")


def test_cost_is_counted_as_by_hand() -> None:
    """Proves the count on a network small enough to count on paper, and on the published size of the encoder."""
    import keras
    from keras import layers

    pixels = keras.Input((8, 6, 3))
    wide = layers.Conv2D(5, 3, strides=2, padding="same")(pixels)
    filtered = layers.DepthwiseConv2D(3, padding="same")(wide)
    answer = layers.Dense(2)(layers.GlobalAveragePooling2D()(filtered))
    by_hand = 4 * 3 * (3 * 3 * 3 * 5) + 4 * 3 * (3 * 3 * 5) + 5 * 2
    assert mega_flops(keras.Model(pixels, answer)) == pytest.approx(2 * by_hand / 1e6)
    assert mega_flops(architectures.build("notebook-cnn")) == pytest.approx(1747, abs=1)


def test_one_pass_is_cheap_and_small() -> None:
    """Proves the bounds that issue 5 sets: at most 1.0 GFLOP, and weights under 16 MiB as float32."""
    network = architectures.build("derm-joint")
    assert mega_flops(network) <= 1000
    assert network.count_params() * 4 < 16 * 2**20


def shaken(network: Any) -> Any:
    """Returns the network with ImageNet weights and batch norms all moved a little, so that a wrong fold shows."""
    load_encoder(network, TOP / "models" / PRETRAINED_FILE)
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if layer.name.endswith("_norm"):
            gamma, beta, mean, variance = layer.get_weights()
            factors = rng.uniform(0.9, 1.1, (2, len(gamma)))
            moves = rng.normal(0, 0.05, (2, len(gamma)))
            layer.set_weights([gamma * factors[0], beta + moves[0], mean + moves[1], variance * factors[1]])
    return network


def test_folded_network_is_the_same_function() -> None:
    """Proves that the form that serves gives the sigmoid of the logits of the form that was trained."""
    trained, serving = shaken(derm_joint.trainable(3)), derm_joint.derm_joint()
    fold_norms(trained, serving)
    images = drawn_pixels()
    logits, found = trained(images, training=False), serving(images, training=False)
    for output in ("mask", "malignant"):
        expected = 1 / (1 + np.exp(-np.asarray(logits[output], np.float64)))
        assert np.ptp(expected) > 1e-3
        assert np.abs(np.asarray(found[output]) - expected).max() < 1e-4
    assert found["mask"].shape == (3, 112, 112, 1)
    assert found["malignant"].shape == (3, 1)
    assert logits["diagnosis"].shape == (3, 3)


@pytest.mark.parametrize("side_px", [64, 96])
def test_the_form_that_trains_takes_other_sizes(side_px: int) -> None:
    """Proves that small images give small masks."""
    found = derm_joint.trainable(2)(np.zeros((1, side_px, side_px, 3), np.float32), training=False)
    assert found["mask"].shape == (1, side_px // 2, side_px // 2, 1)
