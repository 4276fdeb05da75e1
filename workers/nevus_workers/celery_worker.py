"""Celery at arm's length: one task of a few lines, one function that runs the worker until it is told to stop."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

from celery import Celery, signals
from celery.app.amqp import AMQP
from celery.apps import worker as celery_command
from celery.exceptions import Reject, SecurityWarning
from kombu.connection import Connection

from nevus_core.celery_config import celery_config
from nevus_core.errors import OtherModel, Unavailable
from nevus_core.keys import TASK_NAME, Keys, queue_names
from nevus_core.settings import CommonSettings

PUT_BACK_PAUSE_S = 0.2
"""Before a message that can't be dealt with here goes back, so that it does not run in circles."""


class PromptConnection(Connection):
    """Looks for a broker that is away about once a second; Celery itself waits up to 30 s between two looks."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the connection, once there is one."""
        return super().ensure_connection(  # type: ignore[no-untyped-call]
            *args, interval_start=0.1, interval_step=0.3, interval_max=1.0, **kwargs
        )


class PromptAMQP(AMQP):  # type: ignore[misc]  # Celery is untyped
    """Makes Celery use PromptConnection; there is no setting for it."""

    Connection = PromptConnection


class Waiting:
    """Messages that Celery has handed out and with which no thread has begun.

    After it lost its connection Celery fetches anew, whatever the threads are still at. A thread that always went on
    with the next job by itself would keep those messages waiting, a suspect's among them.
    """

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    def any(self) -> bool:
        """Whether there is one."""
        return self._count > 0

    def add(self, **_: object) -> None:
        """Counts one that was handed out; takes what Celery's signal says of it."""
        with self._lock:
            self._count += 1

    def remove(self) -> None:
        """Counts one with which a thread has begun."""
        with self._lock:
            self._count -= 1


def make_app(settings: CommonSettings, run_job: Callable[[str], None], waiting: Waiting) -> Celery:
    """Returns a Celery application whose one task hands a job's ref to `run_job`; `waiting` is kept up to date."""
    app = Celery("nevus", set_as_current=False, amqp=PromptAMQP)
    app.conf.update(celery_config(settings))

    @app.task(name=TASK_NAME)  # type: ignore[untyped-decorator]  # Celery is untyped
    def analyze_job(ref: str) -> None:
        waiting.remove()
        try:
            run_job(ref)
        except (Unavailable, OtherModel) as error:
            time.sleep(PUT_BACK_PAUSE_S)
            raise Reject(error.reason, requeue=True) from error

    signals.task_received.connect(waiting.add, weak=False)
    return app


def run_worker(
    app: Celery,
    settings: CommonSettings,
    *,
    name: str,
    threads: int,
    on_ready: Callable[[], None],
    on_stopping: Callable[[], None],
) -> None:
    """Consumes until SIGTERM or SIGINT, then finishes what it holds and returns.

    Args:
        app: From `make_app`.
        settings: Names the queues.
        name: The process's id.
        threads: Jobs at a time.
        on_ready: Called once it consumes.
        on_stopping: Called when it is told to stop, before it finishes what it holds.
    """

    def ready(**_: object) -> None:
        on_ready()

    def stopping(**_: object) -> None:
        on_stopping()

    def keep_our_logs(**_: object) -> None:
        """Celery configures logging unless somebody listens to this signal."""

    # Celery warns root of what pickle could do; we take JSON alone, and containers run as a user of their own.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    celery_command.safe_say = _say_nothing  # "worker: Warm shutdown" on the terminal of `nevus up`
    signals.setup_logging.connect(keep_our_logs, weak=False)
    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutting_down.connect(stopping, weak=False)
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


def _say_nothing(*_: object, **__: object) -> None:
    pass
