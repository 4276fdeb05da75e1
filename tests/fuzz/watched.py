"""A decoding process that is watched: does it answer in time, does it live, does its memory grow."""

from __future__ import annotations

import contextlib
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

TESTS = Path(__file__).parent.parent
READY_LIMIT_S = 60.0
PATIENCE = 12
"""How many times longer than its limit of CPU time an answer may take on the wall's clock."""


class Watched:
    """One process of `decode_path`.

    What counts is its own CPU time: on a shared machine the clock on the wall says little.

    Attributes:
        slowest_s: Most CPU time that one answer took.
    """

    def __init__(self) -> None:
        path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fuzz.decode_path"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libjpeg and libpng speak there
            env={**os.environ, "PYTHONPATH": path},
        )
        self.slowest_s = 0.0
        self._ask(b"", READY_LIMIT_S)

    def analyse(self, name: str, data: bytes, limit_s: float) -> str:
        """Returns the answer for a file.

        Raises:
            AssertionError: The process died or took too long; says of which file, and its bytes where they are few.
        """
        began_s = self._cpu_s()
        answer = self._ask(data, limit_s)
        if answer:
            self.slowest_s = max(self.slowest_s, self._cpu_s() - began_s)
        assert answer, f"{name}: {self._fate(limit_s)}; {len(data)} bytes: {data[:600].hex()}"
        return answer

    def rss_bytes(self) -> int:
        """Returns what the process holds in memory now."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    def peak_bytes(self) -> int:
        """Returns the most that the process ever held in memory; 0 where the system does not tell."""
        status = Path(f"/proc/{self._process.pid}/status")
        lines = status.read_text("ascii").splitlines() if status.exists() else []
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, data: bytes, limit_s: float) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it died of the file before this one reached it
            self._process.stdin.write(struct.pack("<I", len(data)) + data)
            self._process.stdin.flush()
        ends_at_s, give_up_at_s = self._cpu_s() + limit_s, time.monotonic() + PATIENCE * limit_s
        while not select.select([self._process.stdout], [], [], limit_s / 10)[0]:
            if self._cpu_s() > ends_at_s or time.monotonic() > give_up_at_s:
                return ""
        return self._process.stdout.readline().decode().strip()

    def _cpu_s(self) -> float:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = psutil.Process(self._process.pid).cpu_times()
            return float(times.user + times.system)
        return 0.0

    def _fate(self, limit_s: float) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return f"the process ended with {self._process.wait(0.5)}"
        return f"no answer within {limit_s:g} s"


@contextlib.contextmanager
def watched() -> Iterator[Watched]:
    """Runs such a process while the context lasts."""
    process = Watched()
    try:
        yield process
    finally:
        process.close()
