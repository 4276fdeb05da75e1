"""`nevus up`: broker, workers and front end as child processes of this one, started in order, stopped in reverse.

Children die with this process even if it is killed (see `tether`). A child that ends by itself is started again, with a
pause that grows while it keeps ending; the front end's end or the broker's ends everything.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from nevus_core.errors import SettingsError
from nevus_core.machine import core_numbers, cores, gpus, memory_bytes, visible_gpus
from nevus_core.settings import ServerSettings, WorkerSettings, load_settings
from nevus_server.address import free_address
from nevus_server.embedded import EmbeddedBroker
from nevus_server.probe import ready

POLL_S = 0.1
STOP_LIMIT_S = 30.0
LONGEST_PAUSE_S = 30.0
WORKER_BYTES = 1_500_000_000
"""What a worker process may come to; measured 1.3 GB with the two that are shipped."""
STABLE_S = 30.0
"""A child that ran for so long starts again at once when it ends."""


class _Stopped(Exception):  # a wish, not an error
    """SIGTERM or SIGINT came."""


@dataclass(slots=True)
class Child:
    """One child process and its restarts."""

    name: str
    words: list[str]
    environ: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    failures: int = 0
    restart_at_s: float = field(default=0.0)

    def start(self) -> None:
        """Starts it, tied to this process, in a process group of its own so that Ctrl-C does not reach it."""
        words = [sys.executable, "-m", "nevus_server.tether", sys.executable, "-m", "nevus", *self.words]
        self.process = subprocess.Popen(words, env=self.environ, stdin=subprocess.DEVNULL, start_new_session=True)
        self.started_s = time.monotonic()

    def ended(self) -> bool:
        """Returns whether it has ended by itself."""
        return self.process is not None and self.process.poll() is not None

    def ask_to_stop(self) -> None:
        """Sends SIGTERM."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait_for_end(self) -> None:
        """Waits for it, and kills it where it takes too long."""
        if self.process is None:
            return
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run(*, listen: str | None, data: Path, workers: int) -> int:
    """Runs everything until SIGTERM or Ctrl-C. Returns the exit code.

    Args:
        listen: HOST:PORT instead of the setting's.
        data: The embedded broker's folder.
        workers: Worker processes; 0 for one a graphics card, or one a core where the memory allows.

    Raises:
        SettingsError: A setting is wrong, the data folder is in use, or the address can't be listened on.
        Unavailable: The broker did not start.
    """
    # Whatever can be wrong is found before anything is started.
    address = free_address(load_settings(ServerSettings, listen=listen).listen)
    load_settings(WorkerSettings)
    with ExitStack() as undo:
        _catch_signals(undo)
        try:
            say("starting the broker")
            broker = EmbeddedBroker(data)
            broker.start()
            undo.callback(broker.stop)
            environ = _environ(broker.url)

            crew = _crew(workers, environ)
            say(f"starting {len(crew)} worker{'s' * (len(crew) > 1)} ({_machine()}): loading and warming the models")
            for worker in crew:
                worker.start()
            undo.callback(_stop, crew)
            front = Child("front end", ["serve", "--listen", address], environ)
            front.start()
            undo.callback(_stop, [front])

            _wait_until_ready(front, crew, address)
            say(f"ready at {address} — NOT FOR CLINICAL USE. Ctrl-C stops.")
            return _watch_over(broker, front, crew)
        except _Stopped:
            say("stopping: finishing what is held, then the broker")
            return 0


def say(text: str) -> None:
    """Tells the person at the terminal."""
    print(f"nevus up: {text}", file=sys.stderr, flush=True)  # noqa: T201


def worker_count(cores: int, memory: int, gpus: int) -> int:
    """Returns how many worker processes serve a machine best.

    Args:
        cores: That may be used.
        memory: Bytes; 0 where nobody knows.
        gpus: Graphics cards; with any, one process each.
    """
    if gpus:
        return gpus
    return max(1, min(cores, memory // WORKER_BYTES if memory else cores))


def core_share(number: int, workers: int, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables that tell a worker how many cores are its own and, if it is one, which.

    Where somebody has set the former there is nothing to say. Under a quota no core is given out: others have the same.

    Args:
        number: The worker's, from 0.
        workers: All of them.
        environ: What they are started with.
    """
    settings = load_settings(WorkerSettings, environ)
    if settings.own_cores:
        return {}
    numbers, usable = core_numbers(), cores()
    share = {"NEVUS_OWN_CORES": str(max(1, usable // workers))}
    if settings.home_core is None and 1 < workers <= usable < 2 * workers and usable == len(numbers):
        share["NEVUS_HOME_CORE"] = str(numbers[number])
    return share


def _crew(workers: int, environ: dict[str, str]) -> list[Child]:
    cards = gpus()
    count = workers or worker_count(cores(), memory_bytes(), cards)
    children = []
    for number in range(count):
        # One card for each process, in turn; CUDA numbers those that it is shown.
        own = {"CUDA_VISIBLE_DEVICES": visible_gpus()[number % cards]} if cards > 1 else {}
        children.append(
            Child(f"worker {number + 1}", ["work"], {**environ, **own, **core_share(number, count, environ)})
        )
    return children


def _machine() -> str:
    cards = gpus()
    return f"{cores()} cores" + (f", {cards} graphics cards" if cards else "")


def _catch_signals(undo: ExitStack) -> None:
    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        for again in (signal.SIGTERM, signal.SIGINT):  # a second Ctrl-C must not break the stopping
            signal.signal(again, signal.SIG_IGN)
        raise _Stopped

    for number in (signal.SIGTERM, signal.SIGINT):
        undo.callback(signal.signal, number, signal.getsignal(number))
        signal.signal(number, stop)


def _environ(redis_url: str) -> dict[str, str]:
    environ = {**os.environ, "NEVUS_REDIS_URL": redis_url}
    environ.setdefault("NEVUS_REFLECTION", "true")
    environ.setdefault("NEVUS_PROBE_PERIOD_S", "0")  # no balancer in front of it
    environ.setdefault("NEVUS_LOG_LEVEL", "warning")
    if sys.stderr.isatty():
        environ.setdefault("NEVUS_LOG_FORMAT", "console")
    return environ


def _wait_until_ready(front: Child, crew: list[Child], address: str) -> None:
    while not ready(address):
        if front.ended():
            raise SettingsError("The front end did not start; its message is above.")
        if all(worker.ended() for worker in crew):
            raise SettingsError("No worker could start; its message is above.")
        time.sleep(POLL_S)


def _watch_over(broker: EmbeddedBroker, front: Child, crew: list[Child]) -> int:
    while True:
        time.sleep(POLL_S)
        if not broker.running:
            say("the broker ended; see valkey.log in its data folder")
            return 1
        if front.ended():
            say("the front end ended")
            return 1
        for worker in crew:
            if worker.ended():
                _restart(worker)


def _restart(worker: Child) -> None:
    now = time.monotonic()
    if not worker.restart_at_s:
        worker.failures = 0 if now - worker.started_s > STABLE_S else worker.failures + 1
        pause_s = min(0.5 * 2**worker.failures, LONGEST_PAUSE_S) if worker.failures else 0.0
        worker.restart_at_s = now + pause_s
        say(f"{worker.name} ended; its jobs go to others; starting it again in {pause_s:g} s")
    if now >= worker.restart_at_s:
        worker.restart_at_s = 0.0
        worker.start()


def _stop(children: list[Child]) -> None:
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.wait_for_end()
