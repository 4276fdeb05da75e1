"""One side of the backlog's comparison: a stand, one caller and one worker's calls, each step timed by itself.

A job's whole way is taken, bell included: SubmitJob over gRPC (record, bytes and Celery message), the message taken and
acknowledged by kombu as a Celery worker does, claim, two stages, outcome. Beside a backlog it is the oldest message.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import grpc
import redis
from celery import Celery

from bench.scale_stand import PREFIX, Stand, work_store
from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1 import job_pb2
from nevus.v1.analysis_service_pb2_grpc import AnalysisServiceStub
from nevus_core.broker import CONNECTION, call_args
from nevus_core.celery_config import celery_config
from nevus_core.functions import version
from nevus_core.keys import Keys
from nevus_core.records import Priority
from nevus_core.settings import CommonSettings
from nevus_core.states import Stage
from support import made_up

SWEEP_LOCK_MS = 1500
LOST_MS = 2000
SHORTEST_US = 10
"""The broker notes what takes longer: our functions, but not the commands that they consist of."""


class Side:
    """Times every step of jobs on one stand.

    Args:
        stand: Running.
        image: Sent with every job.
    """

    def __init__(self, stand: Stand, image: bytes) -> None:
        self.stand = stand
        self.times_ms: defaultdict[str, list[float]] = defaultdict(list)
        self.resent = 0
        self.client = redis.Redis.from_url(stand.url, **CONNECTION)
        self._channel = grpc.insecure_channel(stand.target)
        self._stub: Any = AnalysisServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self._request = pb.SubmitJobRequest(image=image)
        self._work = work_store(stand.url)
        self._celery = Celery("bench", set_as_current=False)
        self._celery.conf.update(celery_config(CommonSettings(redis_url=stand.url, key_prefix=PREFIX)))
        self._kombu: Any = self._celery.connection_for_read()
        self._queue = Keys(PREFIX).queue(Priority.ROUTINE)

    def close(self) -> None:
        """Closes every connection."""
        self._kombu.close()
        self._celery.close()
        self._work.close()
        self._channel.close()
        self.client.close()

    def cycle(self) -> None:
        """Submits one job and does the oldest one."""
        with self._timed("a whole job"):
            self.submit()
            with self._timed("message taken"):
                message = self._kombu.default_channel.basic_get(self._queue)
            ((ref,), *_) = message.payload
            with self._timed("claim"):
                claim = self._work.claim(ref)
            assert claim is not None
            with self._timed("2 stages + outcome"):
                self._work.advance(claim, Stage.SEGMENTING)
                self._work.advance(claim, Stage.CLASSIFYING, made_up.REGIONS)
                self._work.settle_succeeded(claim, made_up.result(), {}, 60_000)
            message.ack()

    def submit(self) -> None:
        """Submits one job."""
        with self._timed("SubmitJob"):
            self._stub.SubmitJob(self._request)

    def look(self) -> None:
        """Reads two first pages (newest of all; newest done, which are the same on both sides) and sweeps."""
        with self._timed("ListJobs, newest"):
            self._stub.ListJobs(pb.ListJobsRequest())
        with self._timed("ListJobs, succeeded"):
            page = self._stub.ListJobs(pb.ListJobsRequest(states=[job_pb2.JOB_STATE_SUCCEEDED]))
        assert page.jobs
        # Under the name of the sweeper that holds the lock, or the call would do nothing.
        holder = self.client.get(f"{PREFIX}:sweeper") or b"bench"
        words: tuple[Any, ...] = call_args("sweep", PREFIX, None, holder, SWEEP_LOCK_MS, 3, LOST_MS, 200, 1)
        with self._timed("sweep"):
            reply: Any = self.client.execute_command(*words)  # type: ignore[no-untyped-call]
        assert reply
        self.resent += len(reply[0])

    def forget(self) -> None:
        """Begins a new measurement, here and in the broker's log of commands."""
        self.times_ms.clear()
        self.client.slowlog_reset()
        self.client.config_set("slowlog-max-len", 1_000_000)
        self.client.config_set("slowlog-log-slower-than", SHORTEST_US)

    def broker_us(self) -> dict[str, list[float]]:
        """Returns how long the broker was busy with each of our functions since `forget`, microseconds.

        That is execution alone: the wait for the disk comes after it.
        """
        self.client.config_set("slowlog-log-slower-than", -1)
        found: defaultdict[str, list[float]] = defaultdict(list)
        for entry in self.client.slowlog_get(1_000_000):
            words = entry["command"].decode(errors="replace").split(" ", 2)
            if words[0] == "FCALL":
                found[words[1].removesuffix(f"_{version()}")].append(float(entry["duration"]))
        self.client.slowlog_reset()
        return found

    @contextlib.contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began_s = time.perf_counter()
        yield
        self.times_ms[what].append((time.perf_counter() - began_s) * 1000)
