"""One broker and one front end, each a process of its own, and what their processors and memory do meanwhile.

The workers of the scale measurements have no network to run (`bench.scale_hands`): what is measured is the system
around it. Bounds that would refuse so many jobs are raised; everything else is at its default.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import psutil
import redis

from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1.analysis_service_pb2_grpc import AnalysisServiceStub
from nevus_core.broker import CONNECTION
from nevus_core.work_store import WorkStore
from nevus_server.embedded import EmbeddedBroker
from nevus_server.probe import ready
from support import made_up
from support.images import png_chunk, png_header

PREFIX = "nevus"
WIDE_BOUNDS = {
    "MAX_QUEUED": "1000000",
    "MAX_QUEUED_PER_TENANT": "1000000",
    "MAX_HELD_BYTES": str(16 * 2**30),
    "MAX_HELD_BYTES_PER_TENANT": str(16 * 2**30),
    "QUEUE_TTL_S": "86400",
    "EXECUTION_TIMEOUT_S": "600",
    "DEFAULT_MODEL": made_up.CARD.name,
}
"""Settings without NEVUS_: no measurement here is about refusals."""

START_LIMIT_S = 60.0
SUBMITTING = 32
"""Submissions in flight."""
LOG_SHOWN = 4000
"""Characters of the front end's log that are shown after an error."""
ALIVE_MS = 7_200_000
"""The worker says once that it lives."""


class Stand:
    """A broker and a front end while the context lasts.

    Args:
        folder: Holds the broker's data and the front end's log.
        settings: NEVUS_* variables without the prefix, over the wide bounds.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.log = folder / "front.log"
        self._broker = EmbeddedBroker(folder / "data")
        self._settings = {**WIDE_BOUNDS, **(settings or {})}
        self.target = ""
        self._front: subprocess.Popen[bytes] | None = None

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
        if error is not None and self.log.exists():  # the folder is a temporary one
            sys.stderr.write(f"The last of the front end's log:\n{self.log.read_text()[-LOG_SHOWN:]}\n")

    @property
    def url(self) -> str:
        """The broker's."""
        return self._broker.url

    @property
    def front(self) -> psutil.Process:
        """The front end's process."""
        assert self._front is not None
        return psutil.Process(self._front.pid)

    @property
    def broker(self) -> psutil.Process:
        """The broker's process."""
        return psutil.Process(self._broker.pid)

    def close(self) -> None:
        """Stops both in good order."""
        if self._front is not None:
            self._front.send_signal(signal.SIGTERM)
            try:
                self._front.wait(30)
            except subprocess.TimeoutExpired:
                self._front.kill()
                self._front.wait()
            self._front = None
        self._broker.stop()

    def _open(self) -> None:
        self._broker.start()
        work = work_store(self.url)
        work.heartbeat(made_up.worker_info("hands"), [], ALIVE_MS)
        work.close()
        self.target = f"127.0.0.1:{_free_port()}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("NEVUS_")}
        own = {f"NEVUS_{key}": value for key, value in self._settings.items()}
        words = [sys.executable, "-m", "nevus_server.tether", sys.executable, "-m", "nevus"]
        words += ["serve", "--listen", self.target, "--redis", self.url]
        with self.log.open("wb") as out:
            self._front = subprocess.Popen(words, env={**kept, **own}, stdout=out, stderr=out)
        deadline = time.monotonic() + START_LIMIT_S
        while not ready(self.target):
            if self._front.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError(f"The front end did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.05)


class Busy:
    """Processor time of some processes from now on.

    Args:
        processes: Name to process.
    """

    def __init__(self, processes: Mapping[str, psutil.Process]) -> None:
        self._processes = dict(processes)
        self._began_s = time.monotonic()
        self._before_s = {name: _cpu_s(process) for name, process in self._processes.items()}

    def shares(self) -> dict[str, float]:
        """Returns for each process how much of one core it used, 0..1 for each of its busy threads."""
        passed_s = time.monotonic() - self._began_s
        return {name: spent_s / passed_s for name, spent_s in self.seconds().items()}

    def seconds(self) -> dict[str, float]:
        """Returns each process's processor seconds."""
        return {name: _cpu_s(process) - self._before_s[name] for name, process in self._processes.items()}


def work_store(url: str) -> WorkStore:
    """Returns a worker's access to the records."""
    return WorkStore(redis.Redis.from_url(url, **CONNECTION), PREFIX, "hands", 600_000, [made_up.CARD.key])


def blank_png(size_bytes: int = 0) -> bytes:
    """Returns a file with a PNG's header and so many incompressible bytes behind it; nobody here decodes it."""
    body = png_chunk(b"IDAT", os.urandom(size_bytes))
    file: bytes = png_header(1022, 767) + body + png_chunk(b"IEND", b"")
    return file


async def submit_many(target: str, image: bytes, count: int) -> list[str]:
    """Submits the same image so many times; returns the jobs' names in the order of submission."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Any = AnalysisServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        request = pb.SubmitJobRequest(image=image)
        slots = asyncio.Semaphore(SUBMITTING)

        async def one() -> str:
            async with slots:
                return str((await stub.SubmitJob(request)).job.name)

        return await asyncio.gather(*[one() for _ in range(count)])


def percentile(ordered: list[float], share: float) -> float:
    """Returns the value below which a share (0..1) of sorted values lies; NaN where there are none."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
