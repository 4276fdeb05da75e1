"""Asks the broker whether a worker process of this host is alive: its models loaded and warmed, its heart beating.

The containers' health check: `python -m nevus_workers.probe` exits 0 if so. In a container the host name is the
container's own. It reads what the heartbeat wrote, with the same settings as the worker beside it; it loads no model.
"""

from __future__ import annotations

import socket
import sys

import msgspec
import redis

from nevus_core.broker import CONNECTION, text
from nevus_core.errors import SettingsError
from nevus_core.keys import Keys
from nevus_core.records import WorkerInfo
from nevus_core.settings import CommonSettings, WorkerSettings, broker_url, load_settings


def alive(settings: CommonSettings, host: str) -> bool:
    """Returns whether the broker knows a live, warmed worker process on `host`; False where the broker is away."""
    keys = Keys(settings.key_prefix)
    with redis.Redis.from_url(broker_url(settings), **CONNECTION) as client:
        try:
            ids = client.zrange(keys.workers, 0, -1)
            rows = client.mget([keys.worker(text(worker)) for worker in ids]) if ids else []
        except redis.RedisError:
            return False
    # An entry ends with the heartbeat that it came with, so what is there is alive.
    return any(msgspec.json.decode(row, type=WorkerInfo).host == host for row in rows if row)


if __name__ == "__main__":
    try:
        sys.exit(0 if alive(load_settings(WorkerSettings), socket.gethostname()) else 1)
    except SettingsError as error:
        sys.exit(error.message)
