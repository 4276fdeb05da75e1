"""The whole system as a person starts it: `nevus up` in processes of its own, with models that come with nevus."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parent.parent.parent
START_LIMIT_S = 120
BIN = Path(sys.executable).parent
NOTEBOOK = {"NEVUS_DEFAULT_MODEL": "notebook-cnn", "NEVUS_SERVE_MODELS": "notebook-cnn"}
"""One model, so that workers start soon: for tests of the system, to which it does not matter which one."""
SHIPPED: Mapping[str, str] = {}
"""No word about models: what a deployment does by itself."""


@dataclass(frozen=True, slots=True)
class System:
    """A running `nevus up`."""

    target: str
    process: subprocess.Popen[bytes]
    data: Path
    log: Path

    def nevus(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command against it."""
        return subprocess.run(
            [BIN / "nevus", *words], env=environ(self.target), capture_output=True, text=True, check=check
        )

    @contextlib.contextmanager
    def another_worker(self, settings: Mapping[str, str]) -> Iterator[None]:
        """Runs one more worker on the same broker while the context lasts."""
        url = {"NEVUS_REDIS_URL": f"unix://{self.data.resolve()}/valkey.sock"}
        process = subprocess.Popen([BIN / "nevus", "work"], env=environ(self.target, {**settings, **url}))
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Waits for a condition, for a bounded time."""
        deadline = time.monotonic() + START_LIMIT_S
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)


def environ(target: str, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the environment of a command: this one without settings of its own, and those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEVUS_")}
    ours = {"NEVUS_TARGET": target, "NEVUS_MODELS": str(TOP / "models"), "NEVUS_LOG_LEVEL": "info"}
    return {**kept, **ours, **(settings or {})}


@contextlib.contextmanager
def running(folder: Path, workers: int, settings: Mapping[str, str] = NOTEBOOK) -> Iterator[System]:
    """Runs `nevus up` while the context lasts; settings of a test's own take the place of NOTEBOOK."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{probe.getsockname()[1]}"
    log = folder / "up.log"
    words = [BIN / "nevus", "up", "--listen", target, "--data", folder / "data", "--workers", str(workers)]
    with log.open("wb") as out:
        process = subprocess.Popen(words, env=environ(target, settings), stdout=out, stderr=out)
    system = System(target, process, folder / "data", log)
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while b"ready at" not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield system
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
