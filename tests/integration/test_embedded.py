"""The embedded broker: durable, private, and never two on one folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis

from nevus_core.errors import SettingsError
from nevus_server.embedded import EmbeddedBroker


def test_data_survive_a_kill(tmp_path: Path) -> None:
    """What was answered is on disk: a write, kill -9, a new start, and the value is there."""
    broker = EmbeddedBroker(tmp_path)
    broker.start()
    client = redis.Redis.from_url(broker.url)
    client.set("key", "value")
    os.kill(broker.pid, signal.SIGKILL)
    broker.stop()  # only collects what is dead
    again = EmbeddedBroker(tmp_path)
    again.start()
    assert redis.Redis.from_url(again.url).get("key") == b"value"
    assert client.config_get("appendfsync") == {"appendfsync": "always"}
    again.stop()


def test_no_port_is_open_and_the_socket_is_private(tmp_path: Path) -> None:
    """It listens on a socket that only its owner may use, and nowhere else."""
    broker = EmbeddedBroker(tmp_path)
    broker.start()
    kinds = [connection for connection in psutil.Process(broker.pid).net_connections("inet") if connection.laddr]
    mode = Path(broker.url.removeprefix("unix://")).stat().st_mode & 0o777
    broker.stop()
    assert (kinds, mode) == ([], 0o700)


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    """A second start on the same folder must not share or steal it."""
    broker = EmbeddedBroker(tmp_path)
    broker.start()
    with pytest.raises(SettingsError, match="in use"):
        EmbeddedBroker(tmp_path).start()
    assert broker.running
    broker.stop()


def test_a_long_path_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    """A unix socket's path is at most some hundred bytes long; the data folder's may be longer."""
    broker = EmbeddedBroker(tmp_path / ("deep" * 30))
    broker.start()
    assert redis.Redis.from_url(broker.url).ping()
    broker.stop()


def test_an_impossible_folder_is_named(tmp_path: Path) -> None:
    """A file where the folder should be: the error says which path and why."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="file"):
        EmbeddedBroker(tmp_path / "file").start()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's service on Linux")
def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    """kill -9 of the process that started it ends it."""
    code = (
        "import sys, time, pathlib\nfrom nevus_server.embedded import EmbeddedBroker\n"
        "broker = EmbeddedBroker(pathlib.Path(sys.argv[1]))\nbroker.start()\n"
        "print(broker.pid, flush=True)\ntime.sleep(100)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    _, alive = psutil.wait_procs([server], timeout=10)
    assert alive == []
