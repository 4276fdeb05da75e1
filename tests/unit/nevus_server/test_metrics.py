"""What becomes of a snapshot: names, labels, buckets; and what is left out when it can't be known."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from redis import asyncio as aioredis

from nevus_core.backlog import QUEUES, Backlog
from nevus_core.errors import SettingsError, Unavailable
from nevus_core.keys import Keys
from nevus_core.records import WorkerInfo
from nevus_core.worker_stats import Histogram, WorkerStats
from nevus_server.metric_families import Snapshot, families
from nevus_server.metrics import STALE_S, Metrics
from support import made_up

NOTHING = Backlog(dict.fromkeys(QUEUES, 0), dict.fromkeys(QUEUES, 0.0), 0, 0, 0)
BUSY = replace(
    made_up.worker_info("w1"),
    busy=3,
    started_ms=1_500,
    stats=WorkerStats(
        passes={"notebook-cnn@1": Histogram((0.1, 1.0), (2, 3, 1), 5.5)}, jobs={"succeeded": 7, "CORRUPT_IMAGE": 1}
    ),
)


class Broker:
    """Stands in for the store."""

    keys = Keys("none")
    watchers = 4

    async def workers(self) -> list[WorkerInfo]:
        """Is away."""
        raise Unavailable("away", reason="BROKER_UNAVAILABLE")


def values(metrics: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    """Returns every sample by its name and its labels' values, as Prometheus would read them."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for metric in metrics
        for sample in metric.samples
    }


def metrics_of_nobody(**changes: object) -> Metrics:
    """Returns metrics whose broker is away."""
    broker = Broker()
    return Metrics(broker, aioredis.Redis(), broker, **changes)  # type: ignore[arg-type]


def test_buckets_are_cumulative_and_end_with_everything() -> None:
    """What a worker counts by bucket, Prometheus wants by bound: all that is at most it."""
    found = values(families(Snapshot(workers=[BUSY], backlog=NOTHING)))
    name = "nevus_worker_pass_seconds"
    labels = ("notebook-cnn@1", "w1")
    assert found[f"{name}_bucket", "0.1", *labels] == 2
    assert found[f"{name}_bucket", "1.0", *labels] == 5
    assert found[f"{name}_bucket", "+Inf", *labels] == found[f"{name}_count", *labels] == 6
    assert found[f"{name}_sum", *labels] == 5.5


def test_a_workers_own_words() -> None:
    """Busy threads, start, jobs by outcome; and who holds which model."""
    idle = made_up.worker_info("w2")
    found = values(families(Snapshot(workers=[BUSY, idle], backlog=NOTHING)))
    assert found["nevus_workers",] == 2
    assert found["nevus_model_workers", "notebook-cnn@1"] == 2
    assert (found["nevus_worker_busy_threads", "w1"], found["nevus_worker_threads", "w1"]) == (3, 4)
    assert found["nevus_worker_start_time_seconds", "w1"] == 1.5
    assert found["nevus_worker_jobs_total", "succeeded", "w1"] == 7
    assert found["nevus_worker_jobs_total", "CORRUPT_IMAGE", "w1"] == 1
    assert not any("w2" in key for key in found if key[0] == "nevus_worker_jobs_total"), "it counts nothing"


def test_a_worker_that_is_gone_leaves_nothing() -> None:
    """The next snapshot without it has no series of it."""
    found = values(families(Snapshot(workers=[], backlog=NOTHING)))
    assert not any("w1" in key for key in found)
    assert found["nevus_workers",] == 0


def test_counters_begin_at_zero() -> None:
    """A store that has counted nothing yet still has every series."""
    found = values(families(Snapshot(counters={"accepted": 5, "failed": 2}, backlog=NOTHING)))
    assert found["nevus_jobs_accepted_total",] == 5
    assert found["nevus_late_answers_total",] == 0
    outcomes = {key[1]: value for key, value in found.items() if key[0] == "nevus_jobs_finished_total"}
    assert outcomes == {"succeeded": 0, "failed": 2, "cancelled": 0, "expired": 0}


async def test_a_broker_that_is_away_is_told_and_nothing_old_is() -> None:
    """The gauge falls to 0, what only the broker knows is absent, what this process knows stays."""
    metrics = metrics_of_nobody()
    await metrics.refresh()
    assert values(metrics.collect()) == {("nevus_broker_up",): 0, ("nevus_watches",): 4}


async def test_a_snapshot_that_nobody_renews_goes_bad() -> None:
    """A loop that hangs must not look like a system at rest."""
    now = [50.0]
    metrics = metrics_of_nobody(monotonic=lambda: now[0])
    metrics._latest = (now[0], Snapshot(1, [BUSY], {}, NOTHING))
    now[0] += STALE_S
    assert values(metrics.collect())["nevus_broker_up",] == 1
    now[0] += 0.1
    assert values(metrics.collect()) == {("nevus_broker_up",): 0, ("nevus_watches",): 1}


def test_calls_are_counted_by_method_and_code() -> None:
    """And each front end has a registry of its own."""
    metrics, other = metrics_of_nobody(), metrics_of_nobody()
    metrics.call_ended("GetJob", "OK", 0.004)
    metrics.call_ended("GetJob", "NOT_FOUND", 0.2)
    metrics.call_ended("WatchJob", "CANCELLED", 4000.0)
    found = values(metrics.registry.collect())
    assert found["nevus_rpcs_total", "OK", "GetJob"] == found["nevus_rpcs_total", "NOT_FOUND", "GetJob"] == 1
    assert found["nevus_rpc_seconds_count", "GetJob"] == 2
    assert found["nevus_rpc_seconds_bucket", "0.005", "GetJob"] == 1
    assert found["nevus_rpc_seconds_bucket", "300.0", "WatchJob"] == 0
    assert not any("nevus_rpcs_total" in key for key in values(other.registry.collect()))
    assert not any(key[0].endswith("_created") for key in found)
    assert isinstance(metrics.registry, CollectorRegistry)


@pytest.mark.parametrize(
    "listen", ["9464", ":9464", "localhost", "127.0.0.1:http", "127.0.0.1:99999", "192.0.2.1:9464"]
)
async def test_addresses_that_will_not_do(listen: str) -> None:
    """Each is refused with the setting's name."""
    with pytest.raises(SettingsError, match="NEVUS_METRICS_LISTEN"):
        async with metrics_of_nobody().served(listen):
            pass
