"""What the store itself says, read past every front end: live workers, who holds what, records, counters, keys."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import redis

from nevus_core.broker import CONNECTION, text
from nevus_core.codec import job_from_hash
from nevus_core.keys import Keys
from nevus_core.records import Job, WorkerInfo
from nevus_core.states import FINAL_STATES

PREFIX = "nevus"
TENANT = "default"


@dataclass(frozen=True, slots=True)
class Holding:
    """A job in a worker's hands at a moment."""

    ref: str
    attempt: int


class Backstage:
    """Reads the broker. Every read but `holdings` waits for a broker that is away."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url, **CONNECTION)
        self._url = url
        self._keys = Keys(PREFIX)

    def worker_ids(self) -> dict[int, str]:
        """Returns the id of every warm worker by its process id; none while the broker is away."""
        try:
            ids = self._client.zrange(self._keys.workers, 0, -1)
            rows = self._client.mget([self._keys.worker(text(one)) for one in ids]) if ids else []
        except (redis.RedisError, OSError):
            return {}
        infos = [msgspec.json.decode(row, type=WorkerInfo) for row in rows if row]
        return {info.pid: info.id for info in infos}

    def holdings(self, worker_id: str) -> list[Holding]:
        """Returns what a worker holds now; nothing while the broker is away."""
        try:
            refs = [text(ref) for ref in self._client.zrange(f"{PREFIX}:leases", 0, -1)]
            with self._client.pipeline(transaction=False) as pipe:
                for ref in refs:
                    pipe.hmget(self._keys.job(ref), "worker", "attempt")
                rows = pipe.execute()
        except (redis.RedisError, OSError):
            return []
        return [
            Holding(ref, int(attempt))
            for ref, (worker, attempt) in zip(refs, rows, strict=True)
            if worker is not None and text(worker) == worker_id
        ]

    def records(self, names: Iterable[str]) -> dict[str, Job]:
        """Returns the records of jobs by name, as they stand; those that are gone are missing."""
        wanted = list(names)
        found: dict[str, Job] = {}
        for begin in range(0, len(wanted), 500):
            part = wanted[begin : begin + 500]
            with self._client.pipeline(transaction=False) as pipe:
                for name in part:
                    pipe.hgetall(self._keys.job(_ref(name)))
                rows = pipe.execute()
            found.update({name: job_from_hash(_ref(name), row) for name, row in zip(part, rows, strict=True) if row})
        return found

    def stats(self) -> dict[str, int]:
        """Returns the counters."""
        return {text(key): int(value) for key, value in self._client.hgetall(self._keys.stats).items()}

    def keys(self) -> Counter[str]:
        """Returns how many keys there are of each kind (the name's parts before ids and numbers)."""
        kinds: Counter[str] = Counter()
        for key in self._client.scan_iter(count=1000):
            kinds[":".join(text(key).split(":")[:2])] += 1
        return kinds

    def memory(self) -> tuple[int, int]:
        """Returns the bytes that the broker uses for data, and its resident set."""
        info = self._client.info("memory")
        return int(info["used_memory"]), int(info["used_memory_rss"])

    def close(self) -> None:
        """Closes every connection."""
        self._client.close()


class Tail:
    """Follows the event stream from its beginning in a thread, and counts every job's outcomes in it."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url, **CONNECTION)
        self._stream = Keys(PREFIX).events
        self._stop = threading.Event()
        self._last_id = "0-0"
        self.outcomes: Counter[str] = Counter()
        self.entries = 0
        self._thread = threading.Thread(target=self._run, name="tail", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Reads to the end, then stops."""
        self._stop.set()
        self._thread.join(30)
        self._client.close()

    def _run(self) -> None:
        while True:
            last_round = self._stop.is_set()
            try:
                reply = self._client.xread({self._stream: self._last_id}, count=500, block=200)
            except (redis.RedisError, OSError):
                time.sleep(0.1)
                continue
            for entry_id, fields in reply[0][1] if reply else ():
                self._last_id = text(entry_id)
                self._note(fields)
            if last_round and not reply:
                return

    def _note(self, fields: dict[bytes, bytes]) -> None:
        self.entries += 1
        if fields.get(b"event") and json.loads(fields[b"event"])["state"] in FINAL_STATES:
            self.outcomes["jobs/" + text(fields[b"ref"]).partition("/")[2]] += 1


def _ref(name: str) -> str:
    return f"{TENANT}/{name.removeprefix('jobs/')}"
