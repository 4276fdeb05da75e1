"""The metrics of a real front end, scraped over HTTP while a worker reports, and read as Prometheus reads them."""

from __future__ import annotations

import asyncio
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1.analysis_service_pb2_grpc import AnalysisServiceStub
from nevus_core.errors import SettingsError
from nevus_core.settings import ServerSettings
from nevus_core.worker_stats import Histogram, ShadowCount, WorkerStats
from nevus_server.address import free_address
from nevus_server.main import serving
from support import made_up
from support.channels import target
from support.scripted_worker import ScriptedWorker

LIMIT_S = 30.0
PAGE = Path(__file__).parent.parent.parent / "docs" / "metrics.md"

Samples = dict[tuple[str, ...], float]
"""Value by name and label values, those in the order of their labels' names."""

STATS = WorkerStats(
    stages={stage: Histogram((0.01, 0.1), (4, 2, 1), 0.5) for stage in ("claim", "decode")},
    queued={"routine": Histogram((1.0,), (3, 4), 60.5)},
    batch_images={"notebook-cnn@1": Histogram((1.0, 2.0, 4.0), (1, 0, 2, 0), 7.0)},
    batch_waits={"notebook-cnn@1": Histogram((0.01,), (7, 0), 0.02)},
    passes={"notebook-cnn@1": Histogram((0.1,), (3, 0), 0.21)},
    jobs={"succeeded": 6, "CORRUPT_IMAGE": 1},
    shadows=(
        ShadowCount(
            model="notebook-cnn@1",
            shadow="derm-joint@2",
            pairs=5,
            agreements=4,
            difference_sum=0.5,
            difference_max=0.25,
            skipped=3,
        ),
    ),
)


@pytest.fixture
def settings(settings: ServerSettings, monkeypatch: pytest.MonkeyPatch) -> ServerSettings:
    """A front end that serves metrics, and renews them often."""
    monkeypatch.setattr("nevus_server.metrics.REFRESH_S", 0.02)
    return replace(settings, metrics_listen=free_address("127.0.0.1:0"))


def fetch(settings: ServerSettings) -> str:
    """Returns the page that Prometheus would get."""
    with urllib.request.urlopen(f"http://{settings.metrics_listen}/metrics", timeout=LIMIT_S) as answer:
        assert answer.headers.get_content_type() == "text/plain"
        return str(answer.read().decode())


def scrape(settings: ServerSettings) -> Samples:
    """Returns all samples of one scrape."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(fetch(settings))
        for sample in family.samples
    }


async def scrape_until(settings: ServerSettings, arrived: Callable[[Samples], bool]) -> Samples:
    """Scrapes until something is there; fails where it does not come."""
    deadline = time.monotonic() + LIMIT_S
    while not arrived(samples := await asyncio.to_thread(scrape, settings)):
        assert time.monotonic() < deadline, samples
        await asyncio.sleep(0.02)
    return samples


def report(worker: ScriptedWorker, worker_id: str = "w", stats: WorkerStats = STATS) -> None:
    """Has the worker send a heartbeat."""
    worker.store.heartbeat(replace(made_up.worker_info(worker_id), busy=2, stats=stats), [], alive_ms=120_000)


async def test_what_workers_report_is_exposed(settings: ServerSettings, worker: ScriptedWorker) -> None:
    """Counters and histograms of the heartbeat, under the worker's id, follow it up and go with it."""
    report(worker)
    async with serving(settings):
        seen = await asyncio.to_thread(scrape, settings)
        assert seen["nevus_worker_jobs_total", "succeeded", "w"] == 6
        assert seen["nevus_worker_jobs_total", "CORRUPT_IMAGE", "w"] == 1
        assert seen["nevus_worker_busy_threads", "w"] == 2
        batches = {key[1]: value for key, value in seen.items() if key[0] == "nevus_worker_batch_images_bucket"}
        assert batches == {"1.0": 1, "2.0": 1, "4.0": 3, "+Inf": 3}
        assert seen["nevus_worker_batch_images_sum", "notebook-cnn@1", "w"] == 7
        assert seen["nevus_worker_stage_seconds_bucket", "0.1", "decode", "w"] == 6
        assert seen["nevus_worker_stage_seconds_count", "claim", "w"] == 7
        assert seen["nevus_worker_queue_seconds_sum", "routine", "w"] == 60.5
        assert seen["nevus_worker_batch_wait_seconds_count", "notebook-cnn@1", "w"] == 7
        assert seen["nevus_worker_pass_seconds_sum", "notebook-cnn@1", "w"] == 0.21
        shadow = {key[0]: value for key, value in seen.items() if key[1:] == ("notebook-cnn@1", "derm-joint@2", "w")}
        assert shadow == {
            "nevus_shadow_pairs_total": 5,
            "nevus_shadow_agreements_total": 4,
            "nevus_shadow_difference_total": 0.5,
            "nevus_shadow_difference_max": 0.25,
            "nevus_shadow_skipped_total": 3,
        }

        report(worker, stats=replace(STATS, jobs={"succeeded": 9}))
        await scrape_until(settings, lambda now: now["nevus_worker_jobs_total", "succeeded", "w"] == 9)
        worker.store.heartbeat(None, [], alive_ms=1)
        gone = await scrape_until(settings, lambda now: now["nevus_workers",] == 0)
        assert not any(key[0].startswith("nevus_worker_") for key in gone)


async def test_jobs_queues_and_watches(settings: ServerSettings, worker: ScriptedWorker, png: bytes) -> None:
    """What waits, what is held, what came of it, and who watches, as gauges and counters of the whole system."""
    async with serving(settings) as port, grpc.aio.insecure_channel(target(port)) as channel:
        analysis = AnalysisServiceStub(channel)
        first, second = [(await analysis.SubmitJob(pb.SubmitJobRequest(image=png))).job.name for _ in range(2)]
        # The counters are read before the queues: a snapshot that has counted a job has also seen it wait.
        waiting = await scrape_until(settings, lambda now: now["nevus_jobs_accepted_total",] == 2)
        assert (waiting["nevus_queued_jobs", "routine"], waiting["nevus_queued_jobs", "stat"]) == (2, 0)
        assert waiting["nevus_image_bytes",] == 2 * len(png)
        assert waiting["nevus_broker_up",] == waiting["nevus_workers",] == 1
        assert waiting["nevus_model_workers", "notebook-cnn@1"] == 1
        assert waiting["process_resident_memory_bytes",] > 0
        await scrape_until(settings, lambda now: now["nevus_oldest_queued_seconds", "routine"] > 0)

        watch = analysis.WatchJob(pb.WatchJobRequest(name=second))
        await watch.read()
        await scrape_until(settings, lambda now: now["nevus_watches",] == 1)
        worker.do(first)
        held = worker.claim(second)
        await scrape_until(settings, lambda now: now["nevus_running_jobs",] == 1)
        worker.fail(held)
        after = await scrape_until(settings, lambda now: now["nevus_jobs_finished_total", "failed"] == 1)
        assert after["nevus_jobs_finished_total", "succeeded"] == 1
        assert after["nevus_queued_jobs", "routine"] == after["nevus_oldest_queued_seconds", "routine"] == 0
        await scrape_until(settings, lambda now: now["nevus_watches",] == 0)


async def test_calls_are_counted(settings: ServerSettings, worker: ScriptedWorker, png: bytes) -> None:
    """Each call by its method and how it ended, a stream that the caller left too; probes are left out."""
    async with serving(settings) as port, grpc.aio.insecure_channel(target(port)) as channel:
        analysis = AnalysisServiceStub(channel)
        name = (await analysis.SubmitJob(pb.SubmitJobRequest(image=png))).job.name
        with pytest.raises(grpc.aio.AioRpcError):
            await analysis.GetJob(pb.GetJobRequest(name="jobs/" + "0" * 27))
        watch = analysis.WatchJob(pb.WatchJobRequest(name=name))
        await watch.read()
        watch.cancel()
        await HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        seen = await scrape_until(settings, lambda now: ("nevus_rpcs_total", "CANCELLED", "WatchJob") in now)
    calls = {key[1:]: value for key, value in seen.items() if key[0] == "nevus_rpcs_total"}
    assert calls == {("OK", "SubmitJob"): 1, ("NOT_FOUND", "GetJob"): 1, ("CANCELLED", "WatchJob"): 1}
    assert seen["nevus_rpc_seconds_count", "SubmitJob"] == 1
    assert seen["nevus_rpc_seconds_sum", "SubmitJob"] > 0


async def test_no_other_metrics_than_the_documented_ones(settings: ServerSettings, worker: ScriptedWorker) -> None:
    """docs/metrics.md names every metric that there is, and none that there is not."""
    report(worker)
    async with serving(settings):
        page = await asyncio.to_thread(fetch, settings)
    exposed = set(re.findall(r"^# TYPE (nevus_\w+) ", page, re.MULTILINE))
    documented = set(re.findall(r"^\| `(nevus_\w+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert exposed == documented


async def test_metrics_are_off_unless_asked_for(settings: ServerSettings) -> None:
    """Without the setting nobody listens."""
    async with serving(replace(settings, metrics_listen="")):
        with pytest.raises(urllib.error.URLError):
            await asyncio.to_thread(scrape, settings)


async def test_the_port_is_free_again_afterwards(settings: ServerSettings) -> None:
    """A front end that ended leaves no thread that listens."""
    for _ in range(2):
        async with serving(settings):
            assert ("nevus_workers",) in await asyncio.to_thread(scrape, settings)
        with pytest.raises(urllib.error.URLError):
            await asyncio.to_thread(scrape, settings)


async def test_an_address_in_use_ends_the_start_with_advice(settings: ServerSettings) -> None:
    """The error names the setting; nothing of the front end goes on in the background."""
    host, _, port = settings.metrics_listen.rpartition(":")
    with socket.socket() as taken:
        taken.bind((host, int(port)))
        taken.listen()
        with pytest.raises(SettingsError, match=r"in use.*NEVUS_METRICS_LISTEN"):
            async with serving(settings):
                pass
