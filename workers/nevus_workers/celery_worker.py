"""Celery at arm's length: one task of a few lines, one function that runs the worker until it is told to stop."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from celery import Celery, signals
from celery.exceptions import Reject, SecurityWarning

from nevus_core.celery_config import celery_config
from nevus_core.errors import Unavailable
from nevus_core.keys import TASK_NAME, Keys, queue_names
from nevus_core.settings import CommonSettings


def make_app(settings: CommonSettings, run_job: Callable[[str], None]) -> Celery:
    """Returns a Celery application whose one task hands a job's ref to `run_job`."""
    app = Celery("nevus", set_as_current=False)
    app.conf.update(celery_config(settings))

    @app.task(name=TASK_NAME)  # type: ignore[untyped-decorator]  # Celery is untyped
    def analyze_job(ref: str) -> None:
        try:
            run_job(ref)
        except Unavailable as error:
            raise Reject(error.reason, requeue=True) from error

    return app


def run_worker(app: Celery, settings: CommonSettings, *, name: str, threads: int, on_ready: Callable[[], None]) -> None:
    """Consumes until SIGTERM or SIGINT, then finishes what it holds and returns.

    Args:
        app: From `make_app`.
        settings: Names the queues.
        name: The process's id.
        threads: Jobs at a time.
        on_ready: Called once it consumes.
    """

    def ready(**_: object) -> None:
        on_ready()

    def keep_our_logs(**_: object) -> None:
        """Celery configures logging unless somebody listens to this signal."""

    # Celery warns root of what pickle could do; we take JSON alone, and containers run as a user of their own.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    signals.setup_logging.connect(keep_our_logs, weak=False)
    signals.worker_ready.connect(ready, weak=False)
    worker = app.Worker(
        hostname=f"nevus@{name}",
        pool="threads",
        concurrency=threads,
        queues=queue_names(Keys(settings.key_prefix)),
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="WARNING",
    )
    worker.start()
