"""How a worker process divides its part of the machine."""

from __future__ import annotations

from msgspec.structs import replace

from nevus_core.settings import WorkerSettings
from nevus_workers.arrangement import Arrangement, arrange


def test_on_a_cpu() -> None:
    """One process a core: few of everything, two threads for a lonely request."""
    expected = Arrangement(
        device="cpu", max_batch=8, max_wait_ms=2.0, turns=False, threads=12, decoders=1, engine_threads=2
    )
    assert arrange(WorkerSettings(), cores=8, gpus=0) == expected
    assert arrange(WorkerSettings(), cores=1, gpus=0).engine_threads == 1


def test_on_a_gpu() -> None:
    """One process a card: large batches, its share of the cores decodes."""
    expected = Arrangement(
        device="gpu", max_batch=32, max_wait_ms=2.0, turns=False, threads=72, decoders=8, engine_threads=16
    )
    assert arrange(WorkerSettings(), cores=16, gpus=2) == expected


def test_on_one_core_of_several() -> None:
    """Decoding and the network take turns there, and a batch waits for what is being decoded; a card has no turns."""
    settings = replace(WorkerSettings(), own_cores=1)
    shared = arrange(settings, cores=8, gpus=0)
    assert (shared.turns, shared.max_wait_ms, shared.engine_threads) == (True, 100.0, 2)
    assert arrange(WorkerSettings(), cores=1, gpus=0).turns
    assert not arrange(settings, cores=8, gpus=1).turns
    assert arrange(replace(settings, max_wait_ms=0.0), cores=8, gpus=0).max_wait_ms == 0
    told = replace(settings, home_core=5)
    assert shared.home_core is None
    assert [arrange(told, cores=8, gpus=cards).home_core for cards in (0, 1)] == [5, None]


def test_what_is_set_holds() -> None:
    """On either device; the jobs at a time follow the batch."""
    chosen = {"max_batch": 4, "decoders": 3, "engine_threads": 5, "engine_dtype": "bfloat16", "reduced_decode": False}
    settings = replace(WorkerSettings(), **chosen)
    for cards in (0, 1):
        found = arrange(settings, cores=16, gpus=cards)
        assert chosen.items() <= found.described().items()
        assert found.threads > found.max_batch
    assert arrange(replace(settings, threads=7), cores=16, gpus=0).threads == 7
