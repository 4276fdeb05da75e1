"""A worker process's life: `run` reads from top to bottom, and is undone in reverse."""

from __future__ import annotations

import os
import secrets
import socket
import time
from contextlib import ExitStack
from pathlib import Path

from msgspec.structs import replace

from nevus_core.errors import ModelError
from nevus_core.logs import configure_logs, get_logger
from nevus_core.machine import cores, gpus
from nevus_core.records import ModelCard, WorkerInfo
from nevus_core.settings import WorkerSettings, redacted
from nevus_core.work_store import WorkStore
from nevus_workers.arrangement import Arrangement, arrange
from nevus_workers.celery_worker import make_app, run_worker
from nevus_workers.heartbeat import Heartbeat
from nevus_workers.imaging.decode import silence_decoders
from nevus_workers.imaging.segmenter import built_in_segmenters
from nevus_workers.jobs import Held, JobRunner
from nevus_workers.memory import bound_arenas
from nevus_workers.models.batcher import Batcher
from nevus_workers.models.engine import KerasEngine, configure_threads
from nevus_workers.models.repository import Repository
from nevus_workers.pipeline import Pipeline, ServingModel
from nevus_workers.stats import Stats

log = get_logger("worker")

POISON_VARIABLE = "NEVUS_TEST_POISON_SHA256"
"""A test's hook, not a setting: an image with this digest ends the process as a crashing decoder would."""


def run(settings: WorkerSettings) -> None:
    """Works until SIGTERM or SIGINT, then finishes what it holds.

    Raises:
        ModelError: There is no model to serve, or one can't be verified or loaded.
    """
    bound_arenas()
    configure_logs(settings)
    log.info("settings", **redacted(settings))
    worker_id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    with ExitStack() as undo:
        arrangement = arrange(settings, cores(), gpus())
        log.info("arrangement", **arrangement.described())
        configure_threads(1, arrangement.engine_threads)
        silence_decoders()
        stats = Stats()
        models = load_models(settings, arrangement, stats, undo)
        segmenters = built_in_segmenters()

        store = WorkStore.connect(settings, worker_id, models)
        undo.callback(store.close)
        held = Held()
        poison = os.environ.get(POISON_VARIABLE, "")
        pipeline = Pipeline(models, segmenters, worker_id, decoders=arrangement.decoders, poison_sha256=poison)
        runner = JobRunner(store, pipeline, held, stats)

        info = WorkerInfo(
            id=worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_ms=time.time_ns() // 1_000_000,
            models=tuple(model.engine.card for model in models.values()),
            segmenters=segmenters.names,
            concurrency=arrangement.threads,
        )
        heartbeat = Heartbeat(
            store,
            held,
            lambda: replace(info, busy=len(held.all()), stats=stats.copy()),
            settings.heartbeat_s,
            round(settings.lease_s * 1000),
        )
        undo.callback(heartbeat.stop)

        def ready() -> None:
            heartbeat.start()
            log.info("ready", worker=worker_id, models=list(models))

        def stopping() -> None:
            runner.stop()
            heartbeat.drain()

        run_worker(
            make_app(settings, runner.run),
            settings,
            name=worker_id,
            threads=arrangement.threads,
            on_ready=ready,
            on_stopping=stopping,
        )
        log.info("stopped")


def load_models(
    settings: WorkerSettings, arrangement: Arrangement, stats: Stats, undo: ExitStack
) -> dict[str, ServingModel]:
    """Returns every model to serve, loaded and warmed; `stats` counts their passes, `undo` ends their batchers.

    Raises:
        ModelError: There is none, or one can't be verified or loaded.
    """
    models = {}
    max_batch = arrangement.max_batch
    for card in cards_to_serve(settings):
        began = time.monotonic()
        engine = KerasEngine(card, Repository(Path(settings.models)).weights_path(card), max_batch, arrangement.strips)
        engine.warm()
        batcher = Batcher(engine.predict, max_batch, settings.max_wait_ms / 1000, on_pass=stats.passes_of(card.key))
        undo.callback(batcher.close)
        models[card.key] = ServingModel(engine, batcher)
        log.info(
            "model_ready", model=card.key, weights_sha256=card.weights_sha256, s=round(time.monotonic() - began, 1)
        )
    return models


def cards_to_serve(settings: WorkerSettings) -> list[ModelCard]:
    """Returns the cards that the settings name; by default the newest version of every model that has its weights.

    Raises:
        ModelError: There is none, or a named one is missing.
    """
    repository = Repository(Path(settings.models))
    if settings.serve_models:
        specs = [spec.strip().partition("@") for spec in settings.serve_models.split(",")]
        return [repository.resolve(name, version or None) for name, _, version in specs]
    cards = {}
    for card in repository.cards():  # by name, then by version, oldest first
        if repository.has_weights(card):
            cards[card.name] = card
    if not cards:
        raise ModelError(
            f"There is no model with weights in {settings.models}. Train one (`nevus train notebook-cnn`) or fetch one "
            "(`nevus models fetch notebook-cnn`), or name another folder with NEVUS_MODELS.",
            reason="MODEL_NOT_FOUND",
        )
    return list(cards.values())
