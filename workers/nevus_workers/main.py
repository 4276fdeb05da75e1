"""A worker process's life: `run` reads from top to bottom, and is undone in reverse."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from msgspec.structs import replace

from nevus_core.heaps import arrange_heaps
from nevus_core.logs import configure_logs, get_logger
from nevus_core.machine import cores, gpus
from nevus_core.records import WorkerInfo
from nevus_core.settings import WorkerSettings, redacted
from nevus_core.work_store import WorkStore
from nevus_workers.arrangement import Arrangement, arrange
from nevus_workers.celery_worker import Waiting, make_app, run_worker
from nevus_workers.hangup import on_hangup
from nevus_workers.heartbeat import Heartbeat
from nevus_workers.imaging.decode import silence_decoders
from nevus_workers.imaging.segmenter import Segmenters, built_in_segmenters
from nevus_workers.jobs import Held, JobRunner
from nevus_workers.models.engine import configure_threads
from nevus_workers.models.librarian import Librarian, reread
from nevus_workers.models.library import Library
from nevus_workers.models.repository import Repository
from nevus_workers.models.serving import Loader
from nevus_workers.pipeline import Pipeline
from nevus_workers.room import Room
from nevus_workers.shadow import Shadow, ShadowPlan
from nevus_workers.stats import Stats
from nevus_workers.turns import make_turns

log = get_logger("worker")

POISON_VARIABLE = "NEVUS_TEST_POISON_SHA256"
"""A test's hook, not a setting: an image with this digest ends the process as a crashing decoder would."""


def run(settings: WorkerSettings, read_settings: Callable[[], WorkerSettings] | None = None) -> None:
    """Works until SIGTERM or SIGINT, then finishes what it holds. SIGHUP: looks for new models now.

    Args:
        settings: In force to the end, but for what says which models are served.
        read_settings: Reads them anew before each look at the models; without it they stay as they are.

    Raises:
        ModelError: There is no model to serve, or one that the settings name can't be verified or loaded.
    """
    arrange_heaps()
    configure_logs(settings)
    log.info("settings", **redacted(settings))
    worker_id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    with ExitStack() as undo:
        arrangement = arrange(settings, cores(), gpus())
        log.info("arrangement", **arrangement.described())
        configure_threads(1, arrangement.engine_threads)
        silence_decoders()
        stats, held, segmenters, room = Stats(), Held(), built_in_segmenters(), Room(arrangement.decoders)
        repository = Repository(Path(settings.models))
        loader = Loader(repository, segmenters, arrangement, make_turns(arrangement, room), stats)
        wanted = reread(read_settings, settings) if read_settings else lambda: settings
        librarian = _open_models(repository, loader, wanted, held, undo)
        library = librarian.library

        store = WorkStore.connect(settings, worker_id, library)
        undo.callback(store.close)
        undo.callback(librarian.stop)
        poison = os.environ.get(POISON_VARIABLE, "")
        pipeline = Pipeline(library, segmenters, room, worker_id, poison_sha256=poison)
        shadow = start_shadow(settings, library, held, stats, undo)
        waiting = Waiting()
        runner = JobRunner(store, pipeline, held, stats, waiting.any, on_success=shadow.offer if shadow else None)

        info = _introduction(worker_id, library, segmenters, arrangement)
        heartbeat = _heartbeat(settings, store, info, library, held, stats)
        undo.callback(heartbeat.stop)

        def ready() -> None:
            heartbeat.start()
            on_hangup(librarian.look_now)  # Celery has put its own there, which starts the process anew
            librarian.start()
            log.info("ready", worker=worker_id, models=list(library.keys()))

        def stopping() -> None:
            runner.stop()
            heartbeat.drain()

        run_worker(
            make_app(settings, runner.run, waiting),
            settings,
            name=worker_id,
            threads=arrangement.threads,
            on_ready=ready,
            on_stopping=stopping,
        )
        log.info("stopped")


def _open_models(
    repository: Repository, loader: Loader, wanted: Callable[[], WorkerSettings], held: Held, undo: ExitStack
) -> Librarian:
    """Returns who looks after the models, those that are wanted loaded and warm; `undo` closes them.

    Raises:
        ModelError: As `run` says.
    """
    library = Library()
    undo.callback(library.close)
    librarian = Librarian(library, loader, repository, wanted, held.models)
    on_hangup(librarian.look_now)
    librarian.open()
    return librarian


def _introduction(worker_id: str, library: Library, segmenters: Segmenters, arrangement: Arrangement) -> WorkerInfo:
    """Returns what this process says of itself at its start."""
    return WorkerInfo(
        id=worker_id,
        host=socket.gethostname(),
        pid=os.getpid(),
        started_ms=time.time_ns() // 1_000_000,
        models=library.cards(),
        segmenters=segmenters.names,
        concurrency=arrangement.threads,
    )


def _heartbeat(
    settings: WorkerSettings, store: WorkStore, info: WorkerInfo, library: Library, held: Held, stats: Stats
) -> Heartbeat:
    """Returns what tells the store, once started, that this process lives, what it serves and how much it has done."""
    return Heartbeat(
        store,
        held,
        lambda: replace(info, models=library.cards(), busy=len(held.all()), stats=stats.copy()),
        settings.heartbeat_s,
        round(settings.lease_s * 1000),
    )


def start_shadow(
    settings: WorkerSettings, library: Library, held: Held, stats: Stats, undo: ExitStack
) -> Shadow | None:
    """Returns the shadow that the settings ask for, started; `undo` stops it."""
    plan = ShadowPlan.parse(settings.shadow)
    if plan is None:
        return None
    shadow = Shadow(plan, library, lambda: not held.all(), stats)
    shadow.start()
    undo.callback(shadow.stop)
    return shadow
