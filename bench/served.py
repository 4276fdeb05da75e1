"""The served system, as a person starts it: `nevus up`, loaded by `nevus bench` as a process of its own.

One image at a time goes in a call of its own, with every event; several share one stream, each with its outcome alone.
Processor time is read for every process at the moment when the client's window begins and when it ends, and summed by
role.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import nevus
from bench.children import child, hear
from bench.subject import Subject

START_LIMIT_S = 180.0
ROLES = ("client", "server", "redis", "worker")
OUTSIDE = "BEFORE_OR_AFTER_THE_WINDOW"
"""Counts as one error where the client tells that something failed then."""


@dataclass(frozen=True, slots=True)
class ServedFigures:
    """One window of the served system.

    Attributes:
        bench: What `nevus bench` printed for it.
        errors: Reason to count.
        cpu_ms_per_image: Processor time by role.
        workers: Worker processes.
    """

    bench: Mapping[str, Any]
    errors: Mapping[str, int]
    cpu_ms_per_image: Mapping[str, float]
    workers: int

    @property
    def images_per_s(self) -> float:
        """Answers a second."""
        return float(self.bench["images_per_s"])

    @property
    def images(self) -> int:
        """Answers in the window."""
        return int(self.bench["images"])

    @property
    def failed(self) -> int:
        """Images that got no result."""
        return sum(self.errors.values())


class Served:
    """A running `nevus up`.

    Args:
        target: Where it listens.
        pid: Its process.
        subject: What its load asks for.
    """

    def __init__(self, target: str, pid: int, subject: Subject) -> None:
        self._target = target
        self._subject = subject
        self._processes = _by_role(psutil.Process(pid))

    @property
    def workers(self) -> int:
        """How many worker processes it runs."""
        return len(self._processes["worker"])

    def measure(self, folder: Path, in_flight: int, seconds: float, warm_up_s: float) -> ServedFigures:
        """Returns the figures of one window over the images of a folder.

        Raises:
            RuntimeError: The client or a process of the system ended, or nothing was answered.
        """
        words = ["-m", "nevus", "bench", "--json", "--target", self._target, "--data", folder, "--in-flight", in_flight]
        if in_flight == 1:  # seen by a person: the boxes come before the class
            words += ["--events"]
        words += ["--seconds", seconds, "--warm-up", warm_up_s]
        words += ["--model", self._subject.key, "--segmenter", self._subject.segmenter]
        with child([str(word) for word in words], environ=_environ({})) as client:
            processes = {**self._processes, "client": [psutil.Process(client.pid)]}
            hear(client)
            before_s = _cpu_s(processes)
            figures = hear(client)
            after_s = _cpu_s(processes)
            code = client.wait(START_LIMIT_S)
        images = figures["images"]
        if not images:
            raise RuntimeError(f"Not one image was answered in the window. Errors: {figures['errors'] or 'none'}.")
        spent = {role: 1e3 * (after_s[role] - before_s[role]) / images for role in ROLES}
        errors = dict(figures["errors"]) or ({OUTSIDE: 1} if code else {})
        return ServedFigures(figures, errors, spent, self.workers)


@contextmanager
def served(folder: Path, subject: Subject, *, workers: int | None, settings: Mapping[str, str]) -> Iterator[Served]:
    """Yields the system once every worker is warm; stops it afterwards.

    Args:
        folder: For the broker's data and the log; must exist.
        subject: The model that it serves, and no other.
        workers: Worker processes. None: as many as `nevus up` chooses.
        settings: NEVUS_* variables over the defaults.

    Raises:
        RuntimeError: It did not start; the message holds its log.
    """
    target = f"127.0.0.1:{_free_port()}"
    words = ["-m", "nevus", "up", "--listen", target, "--data", str(folder / "data")]
    words += [] if workers is None else ["--workers", str(workers)]
    environ = _environ({**subject.environ, "NEVUS_LOG_LEVEL": "warning", **settings})
    log = folder / "up.log"
    with log.open("w") as out, child(words, environ=environ, log=out) as process:
        deadline = time.monotonic() + START_LIMIT_S
        while not _all_warm(target, process.pid, log):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("nevus up did not become ready:\n" + log.read_text()[-2000:])
            time.sleep(0.1)
        yield Served(target, process.pid, subject)


def _all_warm(target: str, pid: int, log: Path) -> bool:
    """Returns whether the front end is up and sees every worker process, which say so when they are warm."""
    if "ready at" not in log.read_text():
        return False
    with nevus.Client(target) as client:
        seen = max((card.workers for card in client.models()), default=0)
    return seen >= len(_by_role(psutil.Process(pid))["worker"]) > 0


def _by_role(up: psutil.Process) -> dict[str, list[psutil.Process]]:
    """Returns the processes of a `nevus up` by what they do."""
    found: dict[str, list[psutil.Process]] = {"server": [], "redis": [], "worker": []}
    for process in up.children(recursive=True):
        role = _role(process.cmdline())
        if role:
            found[role].append(process)
    return found


def _role(words: list[str]) -> str:
    if words and "valkey" in Path(words[0]).name:
        return "redis"
    command = words[words.index("nevus") + 1 :] if "nevus" in words else []
    return {"serve": "server", "work": "worker"}.get(command[0], "") if command else ""


def _cpu_s(processes: Mapping[str, list[psutil.Process]]) -> dict[str, float]:
    """Returns user and system time by role.

    Raises:
        RuntimeError: A process has ended.
    """
    try:
        times = {role: [process.cpu_times() for process in group] for role, group in processes.items()}
    except psutil.NoSuchProcess as error:
        raise RuntimeError("A process of the system ended during the measurement.") from error
    return {role: sum(one.user + one.system for one in group) for role, group in times.items()}


def _environ(settings: Mapping[str, str]) -> dict[str, str]:
    """Returns this environment without settings of its own, with those given."""
    return {name: value for name, value in os.environ.items() if not name.startswith("NEVUS_")} | dict(settings)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
