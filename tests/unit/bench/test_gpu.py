"""The benchmark on a machine with a GPU: what it reads from nvidia-smi, what it sets, and what it calls the bound."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[3]))  # the benchmark is no installed package

from bench.gpu import gpu_settings
from bench.gpu_bound import Load, Parts, name_bound
from bench.gpu_card import Sample, Usage, find_backend, parse_cards, parse_sample, usage
from nevus_core.settings import WorkerSettings, load_settings

UNKNOWN = Usage(None, None, None, None)
PARTS = Parts(
    decode_images_per_s=2000,
    decode_processes_images_per_s=2400,
    decode_cpu_ms=6.0,
    engine_images_per_s={8: 1000.0, 64: 4000.0},
    engine_cpu_ms={8: 0.5, 64: 0.25},
    engine_usage={8: UNKNOWN, 64: UNKNOWN},
)
IDLE = {"client": 0.1, "server": 0.1, "redis": 0.1, "worker": 1.0}
CALM = Load(
    images_per_s=100,
    p50_ms=80,
    queued_ms=1,
    batch_size=7.5,
    busy_cores=IDLE,
    utilisation_percent=10.0,
    cores=16,
    workers=1,
    decoders=13,
)


def test_cards_are_read_from_nvidia_smi() -> None:
    """One line a card; other lines, as of a driver that fails, are no cards."""
    text = "NVIDIA H100 80GB HBM3, 81559, 580.159.04\nNVIDIA L4, [N/A], 550.1\n"
    assert parse_cards(text) == [
        {"name": "NVIDIA H100 80GB HBM3", "memory_mib": 81559, "driver": "580.159.04"},
        {"name": "NVIDIA L4", "memory_mib": None, "driver": "550.1"},
    ]
    assert parse_cards("") == parse_cards("No devices were found\n") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("42, 1234\n", Sample(42, 1234)),
        ("3, 80\n97, 20\n", Sample(97, 80)),
        ("[N/A], 1234\n", Sample(None, 1234)),
        ("[Not Supported], [N/A]\n12, 5\n", Sample(12, 5)),
        ("", Sample(None, None)),
    ],
)
def test_a_sample_is_of_the_busiest_card(text: str, expected: Sample) -> None:
    """What a card does not tell does not count."""
    assert parse_sample(text) == expected


def test_samples_amount_to_mean_and_maximum() -> None:
    """A moment of which nothing is known is left out, and not taken for zero."""
    assert usage([Sample(10, 100), Sample(None, 300), Sample(40, None)]) == Usage(25, 40, 200, 300)
    assert usage([]) == usage([Sample(None, None)]) == UNKNOWN


@pytest.mark.parametrize(("mean", "expected"), [(1, 8), (8, 8), (8.1, 64), (64, 64), (100, 64)])
def test_a_mean_batch_is_judged_by_the_next_larger_measured_one(mean: float, expected: int) -> None:
    """The largest where there is none."""
    assert PARTS.measured_batch(mean) == expected


@pytest.mark.parametrize(
    ("load", "bound"),
    [
        (CALM, "load"),
        (replace(CALM, utilisation_percent=None), "load"),
        (replace(CALM, utilisation_percent=90.0), "engine"),
        (replace(CALM, images_per_s=900), "engine"),
        (replace(CALM, images_per_s=900, batch_size=30), "load"),
        (replace(CALM, busy_cores={**IDLE, "server": 0.95}), "front end"),
        (replace(CALM, busy_cores={**IDLE, "redis": 0.95}), "queue"),
        (replace(CALM, busy_cores={**IDLE, "client": 0.95}), "client"),
        (replace(CALM, images_per_s=1800, batch_size=40), "decode"),
        (replace(CALM, images_per_s=160, decoders=1), "decode"),
        (replace(CALM, images_per_s=900, batch_size=40, cores=8, busy_cores={**IDLE, "worker": 7.5}), "decode"),
        (replace(CALM, images_per_s=100, cores=2, busy_cores={**IDLE, "worker": 1.6}), "queue"),
        (replace(CALM, busy_cores={**IDLE, "worker": 1.5}), "queue"),
        (replace(CALM, queued_ms=60), "queue"),
    ],
)
def test_the_bound_is_what_is_full(load: Load, bound: str) -> None:
    """Each rule, with a reason that a person can read."""
    found, why = name_bound(load, PARTS)
    assert found == bound
    assert why


def test_the_settings_are_ones_that_a_worker_knows() -> None:
    """Two batches of jobs fit beside those that are decoded; few cores are not given away to nothing."""
    environ = gpu_settings(64, 16)
    settings = load_settings(WorkerSettings, environ)
    assert settings.max_batch == 64
    assert settings.threads == 2 * 64 + 13
    assert load_settings(WorkerSettings, gpu_settings(8, 2)).threads == 18


def test_without_the_wanted_backend_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither with a GPU nor, by request, without one; otherwise the first with a GPU is taken."""
    probes = {"tensorflow": "print(0)", "jax": "raise SystemExit(1)", "torch": "print('loading'); print(2)"}
    monkeypatch.setattr("bench.gpu_card.PROBES", probes)
    assert find_backend(None, any_device=False) == (
        "torch", 2, "tensorflow: 0 GPU(s), jax: not usable, torch: 2 GPU(s)",
    )  # fmt: skip
    assert find_backend("tensorflow", any_device=False)[0] == ""
    assert find_backend("tensorflow", any_device=True)[:2] == ("tensorflow", 0)
    assert find_backend("jax", any_device=True) == ("", 0, "jax: not usable")
