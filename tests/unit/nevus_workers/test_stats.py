"""What a worker counts: every observation once, in the right bucket, whoever counts beside."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import msgspec
import pytest
from msgspec.structs import replace

from nevus_core.codec import encode
from nevus_core.records import Priority, Timings, WorkerInfo
from nevus_core.work_store import Claim
from nevus_workers.stats import IMAGES, SECONDS, STAGES, Stats
from support import made_up

THREADS, ROUNDS = 8, 2000


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads are switched as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def claim(attempt: int = 1, queued_ms: int = 300, priority: Priority = Priority.ROUTINE) -> Claim:
    """Returns a claim of a job that waited so long."""
    options = made_up.options(priority=priority)
    return Claim("default/a", attempt, 1_000, 1_000 + queued_ms, made_up.image_info(), b"", options)


def test_everything_known_is_there_from_the_start() -> None:
    """A series that appears with its first observation would hide that one from `rate`."""
    stats = Stats()
    stats.passes_of("m@1")
    copy = stats.copy()
    assert copy.stages.keys() == set(STAGES)
    assert copy.queued.keys() == {"stat", "routine", "bulk"}
    assert copy.jobs == {"succeeded": 0}
    for histograms in (copy.stages, copy.queued, copy.batch_images, copy.batch_waits, copy.passes):
        for histogram in histograms.values():
            assert len(histogram.counts) == len(histogram.bounds) + 1
            assert (sum(histogram.counts), histogram.total) == (0, 0.0)


def test_a_bound_belongs_to_its_bucket() -> None:
    """As Prometheus counts: at most the bound. What is above all of them is counted last."""
    stats = Stats()
    for value in (0.0, SECONDS[0], SECONDS[0] + 1e-9, SECONDS[-1], SECONDS[-1] + 1):
        stats.settled(value)
    settle = stats.copy().stages["settle"]
    assert (settle.counts[0], settle.counts[1], settle.counts[-2], settle.counts[-1]) == (2, 1, 1, 1)
    assert settle.total == pytest.approx(2 * SECONDS[0] + 2 * SECONDS[-1] + 1, abs=1e-6)


def test_stages_come_from_the_timings_in_seconds() -> None:
    """Milliseconds of the result's provenance become seconds, each in its own stage."""
    stats = Stats()
    stats.analysed(Timings(decode_ms=4.0, segment_ms=1.5, classify_ms=80.0))
    stages = stats.copy().stages
    totals = {name: (sum(stage.counts), stage.total) for name, stage in stages.items()}
    assert totals == {
        "claim": (0, 0.0), "decode": (1, 0.004), "segment": (1, 0.0015), "classify": (1, 0.08), "settle": (0, 0.0),
    }  # fmt: skip


def test_the_queue_is_waited_in_once() -> None:
    """A second claim (its worker died) has not waited since acceptance; nor does a clock that was set back count."""
    stats = Stats()
    stats.claimed(claim(priority=Priority.STAT), 0.002)
    stats.claimed(claim(attempt=2), 0.002)
    stats.claimed(claim(queued_ms=-5, priority=Priority.BULK), 0.002)
    copy = stats.copy()
    totals = {name: (sum(queued.counts), queued.total) for name, queued in copy.queued.items()}
    assert totals == {"stat": (1, 0.3), "routine": (0, 0.0), "bulk": (1, 0.0)}
    assert sum(copy.stages["claim"].counts) == 3


def test_a_pass_counts_for_its_model_alone() -> None:
    """Images, every image's wait, and the pass itself once."""
    stats = Stats()
    passed = stats.passes_of("a@1")
    stats.passes_of("b@1")
    passed([0.25, 0.5, 0.75], 0.1)
    copy = stats.copy()
    assert copy.batch_images["a@1"].counts == (0, 0, 1, 0, 0, 0, 0)
    assert (copy.batch_images["a@1"].bounds, copy.batch_images["a@1"].total) == (IMAGES, 3.0)
    assert (sum(copy.batch_waits["a@1"].counts), copy.batch_waits["a@1"].total) == (3, 1.5)
    assert (sum(copy.passes["a@1"].counts), copy.passes["a@1"].total) == (1, 0.1)
    assert sum(copy.passes["b@1"].counts) == 0


def test_a_copy_does_not_change() -> None:
    """What a heartbeat took along stays as it was."""
    stats = Stats()
    stats.ended("succeeded")
    before = stats.copy()
    stats.ended("succeeded")
    stats.settled(0.1)
    assert before.jobs == {"succeeded": 1}
    assert sum(before.stages["settle"].counts) == 0


@pytest.mark.usefixtures("hasty_threads")
def test_nothing_is_lost_between_threads() -> None:
    """Eight threads count, one copies all the while: the sums are exact, and no copy goes back or is torn."""
    stats = Stats()
    passed = stats.passes_of("m@1")
    ready, done, torn = threading.Barrier(THREADS + 1), threading.Event(), []

    def count() -> None:
        ready.wait()
        for _ in range(ROUNDS):
            stats.claimed(claim(), 0.001)
            stats.analysed(Timings(decode_ms=1.0, segment_ms=1.0, classify_ms=1.0))
            passed([0.002, 0.002], 0.02)
            stats.ended("succeeded")

    def watch() -> None:
        latest = 0
        while not done.is_set():
            copy = stats.copy()
            jobs = copy.jobs["succeeded"]
            stages_fit = copy.stages["decode"] == copy.stages["classify"]
            waits_fit = sum(copy.batch_waits["m@1"].counts) == copy.batch_images["m@1"].total
            if jobs < latest or not stages_fit or not waits_fit:
                torn.append(copy)
            latest = jobs

    counters = [threading.Thread(target=count) for _ in range(THREADS)]
    watcher = threading.Thread(target=watch)
    for thread in (*counters, watcher):
        thread.start()
    ready.wait()
    for thread in counters:
        thread.join()
    done.set()
    watcher.join()
    copy, everything = stats.copy(), THREADS * ROUNDS
    assert torn == []
    assert copy.jobs == {"succeeded": everything}
    assert copy.batch_images["m@1"].total == 2 * everything
    assert copy.batch_waits["m@1"].total == pytest.approx(0.004 * everything)
    for stage in ("claim", "decode", "segment", "classify"):
        assert sum(copy.stages[stage].counts) == everything
        assert copy.stages[stage].total == pytest.approx(0.001 * everything)


def test_the_heartbeat_carries_them() -> None:
    """A report with stats reads back as it was written; one of a worker without any still reads."""
    stats = Stats()
    stats.passes_of("m@1")([0.1], 0.2)
    stats.ended("CORRUPT_IMAGE")
    info = replace(made_up.worker_info(), stats=stats.copy())
    assert msgspec.json.decode(encode(info), type=WorkerInfo) == info
    assert b"stats" not in encode(made_up.worker_info())
