"""What workers and broker say, as Prometheus' metric families. Names and labels are promised by docs/metrics.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from nevus_core.backlog import Backlog
from nevus_core.records import WorkerInfo
from nevus_core.worker_stats import Histogram

OUTCOMES = ("succeeded", "failed", "cancelled", "expired")

COUNTERS = {
    "accepted": ("nevus_jobs_accepted", "Jobs that were accepted."),
    "requeued": ("nevus_jobs_requeued", "Jobs that lost their worker and were queued again."),
    "deleted": ("nevus_jobs_deleted", "Jobs that a caller deleted."),
    "fenced": ("nevus_late_answers", "Answers of workers that no longer held the job; they were dropped."),
}
"""The store's counter, and the metric's name and meaning."""

HISTOGRAMS = {
    "stages": ("nevus_worker_stage_seconds", "Seconds of each stage of a job.", "stage"),
    "queued": ("nevus_worker_queue_seconds", "Seconds between a job's acceptance and its first claim.", "priority"),
    "batch_images": ("nevus_worker_batch_images", "Images that shared a pass of the network.", "model"),
    "batch_waits": ("nevus_worker_batch_wait_seconds", "Seconds that an image waited for its pass.", "model"),
    "passes": ("nevus_worker_pass_seconds", "Seconds of a pass of the network.", "model"),
}
"""Field of WorkerStats, and the metric's name, meaning and label beside `worker`."""


SHADOWS = {
    "pairs": ("nevus_shadow_pairs", "Images that a model and its shadow both answered."),
    "agreements": ("nevus_shadow_agreements", "Of these, those to which both gave the same label."),
    "difference_sum": ("nevus_shadow_difference", "Sum of the differences of the two probabilities."),
    "skipped": ("nevus_shadow_skipped", "Images that were chosen for the shadow and not given to it."),
}
"""Field of ShadowCount, and the counter's name and meaning."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was known at one moment; without a backlog the broker was away, and nothing is known of workers."""

    watches: int = 0
    workers: Sequence[WorkerInfo] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    backlog: Backlog | None = None


def families(snapshot: Snapshot) -> Iterable[Metric]:
    """Yields every family. What can't be known while the broker is away is absent rather than old."""
    yield GaugeMetricFamily(
        "nevus_broker_up", "1 while this front end hears from the broker.", int(snapshot.backlog is not None)
    )
    yield GaugeMetricFamily("nevus_watches", "Streams and long polls that follow a job here.", snapshot.watches)
    if snapshot.backlog is not None:
        yield from _of_counters(snapshot.counters)
        yield from _of_backlog(snapshot.backlog)
        yield from _of_fleet(snapshot.workers)
        yield from _of_each_worker(snapshot.workers)
        yield from _of_shadows(snapshot.workers)
        for name in HISTOGRAMS:
            yield _histogram(name, snapshot.workers)


def _of_counters(counters: Mapping[str, int]) -> Iterable[Metric]:
    for name, (metric, meaning) in COUNTERS.items():
        yield CounterMetricFamily(metric, meaning, counters.get(name, 0))
    finished = CounterMetricFamily("nevus_jobs_finished", "Jobs that came to their outcome.", labels=["outcome"])
    for outcome in OUTCOMES:
        finished.add_metric([outcome], counters.get(outcome, 0))
    yield finished


def _of_backlog(backlog: Backlog) -> Iterable[Metric]:
    queued = GaugeMetricFamily("nevus_queued_jobs", "Jobs that wait for a worker.", labels=["queue"])
    oldest = GaugeMetricFamily(
        "nevus_oldest_queued_seconds", "Age of the job at the head of the queue; 0 where none waits.", labels=["queue"]
    )
    for queue, waiting in backlog.queued.items():
        queued.add_metric([queue], waiting)
        oldest.add_metric([queue], backlog.oldest_s[queue])
    yield queued
    yield oldest
    yield GaugeMetricFamily("nevus_running_jobs", "Jobs that workers hold.", backlog.running)
    yield GaugeMetricFamily(
        "nevus_dead_letters", "Failed jobs whose image is kept for ResubmitJob.", backlog.dead_letters
    )
    yield GaugeMetricFamily("nevus_image_bytes", "Bytes of images that the broker holds.", backlog.image_bytes)


def _of_fleet(workers: Sequence[WorkerInfo]) -> Iterable[Metric]:
    yield GaugeMetricFamily("nevus_workers", "Live worker processes.", len(workers))
    holders: dict[str, int] = {}
    for card in (card for worker in workers for card in worker.models):
        holders[card.key] = holders.get(card.key, 0) + 1
    models = GaugeMetricFamily("nevus_model_workers", "Live workers that hold the model.", labels=["model"])
    for model, count in holders.items():
        models.add_metric([model], count)
    yield models


def _of_each_worker(workers: Sequence[WorkerInfo]) -> Iterable[Metric]:
    started = GaugeMetricFamily(
        "nevus_worker_start_time_seconds", "When the worker started, since the epoch.", labels=["worker"]
    )
    threads = GaugeMetricFamily("nevus_worker_threads", "Jobs that the worker can hold at a time.", labels=["worker"])
    busy = GaugeMetricFamily("nevus_worker_busy_threads", "Jobs that the worker holds.", labels=["worker"])
    jobs = CounterMetricFamily(
        "nevus_worker_jobs", "Jobs by how they ended in this worker.", labels=["worker", "outcome"]
    )
    for worker in workers:
        started.add_metric([worker.id], worker.started_ms / 1000)
        threads.add_metric([worker.id], worker.concurrency)
        busy.add_metric([worker.id], worker.busy)
        for outcome, count in worker.stats.jobs.items():
            jobs.add_metric([worker.id, outcome], count)
    yield from (started, threads, busy, jobs)


def _of_shadows(workers: Sequence[WorkerInfo]) -> Iterable[Metric]:
    labels = ["worker", "model", "shadow"]
    families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {
        name: CounterMetricFamily(metric, meaning, labels=labels) for name, (metric, meaning) in SHADOWS.items()
    }
    families["difference_max"] = GaugeMetricFamily(
        "nevus_shadow_difference_max", "Largest difference of the two probabilities.", labels=labels
    )
    for worker in workers:
        for count in worker.stats.shadows:
            for name, family in families.items():
                family.add_metric([worker.id, count.model, count.shadow], getattr(count, name))
    yield from families.values()


def _histogram(field_name: str, workers: Sequence[WorkerInfo]) -> Metric:
    metric, meaning, label = HISTOGRAMS[field_name]
    family = HistogramMetricFamily(metric, meaning, labels=["worker", label])
    for worker in workers:
        observed: dict[str, Histogram] = getattr(worker.stats, field_name)
        for value, histogram in observed.items():
            family.add_metric([worker.id, value], _buckets(histogram), histogram.total)
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Returns Prometheus' buckets: each counts all that is at most its bound, the last one everything."""
    bounds = [*(str(bound) for bound in histogram.bounds), "+Inf"]
    return list(zip(bounds, accumulate(histogram.counts), strict=True))
