"""The stage: a broker, front ends and workers as real processes, each of which can be killed, paused and brought back.

What a service manager does for an installation, `tend` does here: a process that has ended is started again at once, in
the same place. Call everything here from one thread: children are tied to the thread that starts them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from chaos.backstage import Backstage
from nevus_server.embedded import EmbeddedBroker
from nevus_server.probe import ready

TOP = Path(__file__).parent.parent.parent
START_LIMIT_S = 90.0
STOP_LIMIT_S = 40.0
MODEL = {"NEVUS_DEFAULT_MODEL": "notebook-cnn", "NEVUS_SERVE_MODELS": "notebook-cnn"}
"""One model: how soon a killed worker is back is compared from run to run."""


@dataclass(slots=True)
class Actor:
    """One front end or worker process, in its present life or between two lives."""

    name: str
    words: tuple[str, ...]
    environ: dict[str, str]
    log: Path
    target: str = ""
    process: subprocess.Popen[bytes] | None = None
    paused: bool = False
    ends_wanted: int = 0
    started_s: float = 0.0
    unwanted_ends: list[int] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """Of the present life; 0 while there is none."""
        return self.process.pid if self.process and self.process.poll() is None else 0

    def start(self) -> None:
        """Begins a life."""
        words = [sys.executable, "-m", "nevus_server.tether", sys.executable, "-m", "nevus", *self.words]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                words, env=self.environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self.started_s = time.monotonic()

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.ends_wanted += 1
        self.process.kill()
        self.process.wait()
        self.paused = False

    def ask_to_stop(self) -> None:
        """Sends SIGTERM."""
        assert self.process is not None
        self.ends_wanted += 1
        self.process.terminate()

    def pause(self) -> None:
        """Sends SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)
        self.paused = True

    def wake(self) -> None:
        """Sends SIGCONT."""
        if self.paused:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGCONT)
        self.paused = False

    def tend(self) -> None:
        """Starts it again if it has ended, and notes an end that nobody here asked for."""
        if self.process is None or self.process.poll() is None:
            return
        if self.ends_wanted:
            self.ends_wanted -= 1
        else:
            self.unwanted_ends.append(self.process.returncode)
        self.start()


class Stage:
    """One system while the context lasts.

    Args:
        workers, fronts: How many of each.
        settings: NEVUS_* variables over the defaults, without the prefix, for every process.
        folder: Keeps logs and the broker's data; without one they are thrown away if all goes well.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        fronts: int = 2,
        settings: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._own_folder = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="chaos-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.settings = dict(settings or {})
        self.broker = EmbeddedBroker(self.folder / "data")
        self._crew = (fronts, workers)
        self.fronts: list[Actor] = []
        self.workers: list[Actor] = []

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self._own_folder and error is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def target(self) -> str:
        """What a client is given: every front end."""
        return "ipv4:" + ",".join(front.target for front in self.fronts)

    @property
    def actors(self) -> list[Actor]:
        """Front ends, then workers."""
        return [*self.fronts, *self.workers]

    def tend(self) -> None:
        """Starts again whatever has ended."""
        for actor in self.actors:
            actor.tend()

    def wait(self, condition: Callable[[], bool], limit_s: float = START_LIMIT_S, why: str = "") -> None:
        """Returns once the condition holds, tending meanwhile.

        Raises:
            TimeoutError: It took too long.
        """
        deadline = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"After {limit_s:g} s: {why or condition}; logs in {self.folder}")
            self.tend()
            time.sleep(0.02)

    def ready_workers(self) -> list[Actor]:
        """Returns the workers that live, are awake and have said that they are warm."""
        warm = self.backstage.worker_ids()
        return [worker for worker in self.workers if not worker.paused and worker.pid in warm]

    def all_ready(self) -> bool:
        """Returns whether every process is up."""
        return len(self.ready_workers()) == len(self.workers) and all(ready(front.target) for front in self.fronts)

    def unwanted_ends(self) -> list[str]:
        """Returns the processes that ended by themselves, with their exit codes."""
        return [f"{actor.name} ({code})" for actor in self.actors for code in actor.unwanted_ends]

    def kill_broker(self) -> None:
        """kill -9 of the broker."""
        broker = psutil.Process(self.broker.pid)
        broker.kill()
        self.broker.stop()  # reaps it

    def start_broker(self) -> None:
        """Starts the broker on the data that it left."""
        self.broker.start()

    def close(self) -> None:
        """Stops everything in good order."""
        for actor in self.actors:
            actor.wake()
        for group in (self.fronts, self.workers):
            for actor in group:
                if actor.pid:
                    actor.ask_to_stop()
            for actor in group:
                self._bury(actor)
        if hasattr(self, "backstage"):
            self.backstage.close()
        self.broker.stop()

    def _open(self) -> None:
        self.broker.start()
        self.backstage = Backstage(self.broker.url)
        fronts, workers = self._crew
        for number in range(workers):
            self.workers.append(self._actor(f"worker-{number + 1}", ("work",)))
        for number in range(fronts):
            target = f"127.0.0.1:{_free_port()}"
            self.fronts.append(self._actor(f"front-{number + 1}", ("serve", "--listen", target), target))
        for actor in self.actors:
            actor.start()
        self.wait(self._up_or_hopeless, why="not everything became ready")
        if hopeless := self._hopeless():
            raise RuntimeError(f"{hopeless.name} can't start:\n" + hopeless.log.read_text()[-2000:])

    def _up_or_hopeless(self) -> bool:
        return self._hopeless() is not None or self.all_ready()

    def _hopeless(self) -> Actor | None:
        return next((actor for actor in self.actors if len(actor.unwanted_ends) >= 3), None)

    def _actor(self, name: str, words: tuple[str, ...], target: str = "") -> Actor:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("NEVUS_")}
        own = {f"NEVUS_{key}": value for key, value in self.settings.items()}
        ours = {"NEVUS_REDIS_URL": self.broker.url, "NEVUS_MODELS": str(TOP / "models"), **MODEL}
        return Actor(name, words, {**kept, **ours, **own}, self.folder / f"{name}.log", target)

    def _bury(self, actor: Actor) -> None:
        if actor.process is None:
            return
        try:
            actor.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            actor.process.kill()
            actor.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
