"""The heartbeat's own life, against a store that writes down what it hears."""

from __future__ import annotations

import threading

from nevus_core.errors import Unavailable
from nevus_core.records import WorkerInfo
from nevus_core.work_store import Claim
from nevus_workers.heartbeat import Heartbeat
from nevus_workers.jobs import Held
from support import made_up

LIMIT_S = 5.0


class Notebook:
    """Stands in for the store: notes each beat, and answers with what is lost."""

    def __init__(self) -> None:
        self.beats: list[WorkerInfo | None] = []
        self.lost: set[str] = set()
        self.away = False
        self.heard = threading.Semaphore(0)

    def heartbeat(self, info: WorkerInfo | None, held: list[Claim], alive_ms: int) -> set[str]:
        """Notes a beat."""
        self.beats.append(info)
        self.heard.release()
        if self.away:
            raise Unavailable("away", reason="BROKER_UNAVAILABLE")
        return self.lost


def heartbeat_on(notebook: Notebook, **changes: object) -> Heartbeat:
    """Returns a heartbeat that beats when it is woken, not by itself."""
    return Heartbeat(notebook, Held(), made_up.worker_info, every_s=60.0, alive_ms=4000, **changes)  # type: ignore[arg-type]


def test_draining_and_stopping_say_so_at_once() -> None:
    """First a description, then none as soon as it drains, and none at the end; then silence."""
    notebook = Notebook()
    heartbeat = heartbeat_on(notebook)
    heartbeat.start()
    assert notebook.heard.acquire(timeout=LIMIT_S)
    heartbeat.drain()
    assert notebook.heard.acquire(timeout=LIMIT_S)
    heartbeat.stop()
    assert notebook.beats[0] == made_up.worker_info()
    assert set(notebook.beats[1:]) == {None}
    heartbeat.stop()


def test_a_broker_that_is_away_does_not_end_it() -> None:
    """Beats that fail are followed by others."""
    notebook = Notebook()
    notebook.away = True
    heartbeat = heartbeat_on(notebook)
    for _ in range(3):
        heartbeat._beat()
    notebook.away = False
    heartbeat._beat()
    assert len(notebook.beats) == 4


def test_a_description_that_fails_does_not_end_it() -> None:
    """Whatever breaks while the worker describes itself, the beats go on."""
    notebook, broken = Notebook(), [True]

    def describe() -> WorkerInfo:
        if broken[0]:
            raise RuntimeError
        return made_up.worker_info()

    heartbeat = Heartbeat(notebook, Held(), describe, every_s=60.0, alive_ms=4000)  # type: ignore[arg-type]
    heartbeat._beat()
    broken[0] = False
    heartbeat._beat()
    assert notebook.beats == [made_up.worker_info()]


def test_a_thread_that_is_stuck_with_a_lost_job_ends_the_process() -> None:
    """Only after the time allowed, and not for a job that was let go in between."""
    notebook, ended, now = Notebook(), [], [0.0]
    heartbeat = heartbeat_on(notebook, stuck_s=10.0, end_process=lambda: ended.append(now[0]), monotonic=lambda: now[0])
    for second, lost in ((0, {"a", "b"}), (5, {"b"}), (9, {"a", "b"}), (11, {"a"})):
        now[0], notebook.lost = float(second), lost
        heartbeat._beat()
    assert ended == []
    for second in (15, 18, 20):
        now[0] = float(second)
        heartbeat._beat()
    assert ended == [20.0]
