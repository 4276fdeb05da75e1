"""A thousand images at once, workers killed meanwhile, and a client that goes away in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import psutil
import pytest

from nevus import Client
from support.lesions import lesion_jpeg
from support.system import BIN, System, environ, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_thousand_images_with_two_workers(system: System) -> None:
    """1,000 results, none twice, each under the caller's key, both workers with a share."""
    pictures = [lesion_jpeg(seed) for seed in range(50)]
    items = ((f"case-{number}", pictures[number % 50]) for number in range(1000))
    with Client(system.target) as client:
        outcomes = [(key, event) for key, event in client.analyze_many(items, in_flight=64) if event.final]
    keys = Counter(key for key, _ in outcomes)
    assert len(keys) == 1000
    assert set(keys.values()) == {1}
    assert Counter(event.state for _, event in outcomes) == {"SUCCEEDED": 1000}
    assert len({event.snapshot.name for _, event in outcomes}) == 1000
    by_picture: dict[int, set[float]] = {}
    for key, event in outcomes:
        by_picture.setdefault(int(key.removeprefix("case-")) % 50, set()).add(
            event.snapshot.result.classification.probability
        )
    assert max(max(group) - min(group) for group in by_picture.values()) <= 1e-6
    workers = Counter(event.snapshot.result.provenance.worker for _, event in outcomes)
    assert len(workers) == 2
    assert min(workers.values()) >= 100


def test_ctrl_c_in_the_middle_harms_nothing(system: System, tmp_path: Path) -> None:
    """The command ends with 130; the server is healthy; what it had accepted comes to its outcome."""
    for seed in range(300):
        (tmp_path / f"{seed:03}.jpg").write_bytes(lesion_jpeg(seed % 20))
    words = [BIN / "nevus", "analyze", tmp_path, "--json", "--label", "run=ctrl-c"]
    process = subprocess.Popen(
        words, env=environ(system.target), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(10):
        assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert system.nevus("doctor", "--quiet").returncode == 0
    with Client(system.target) as client:
        accepted = list(client.list(labels={"run": "ctrl-c"}))
        assert 10 <= len(accepted) < 300
        assert {client.wait(job.name).state for job in accepted} == {"SUCCEEDED"}


def test_a_stat_job_overtakes_a_full_bulk_queue(system: System) -> None:
    """Submitted after 200 bulk jobs it is started before those that still wait; the records' own times say so."""
    picture = lesion_jpeg(7, 3008, 2000)  # large, so that they come in faster than they are done
    with Client(system.target) as client, ThreadPoolExecutor(16) as threads:
        bulk = list(threads.map(lambda _: client.submit(picture, priority="bulk").name, range(200)))
        stat = client.analyze(picture, priority="stat")
        done = [client.wait(name) for name in bulk]
    assert stat.state == "SUCCEEDED"
    assert {job.state for job in done} == {"SUCCEEDED"}
    assert stat.create_time is not None
    assert stat.start_time is not None
    starts = [job.start_time for job in done if job.start_time is not None]
    waiting = [start for start in starts if start > stat.create_time]
    assert len(waiting) > 20
    assert sum(start < stat.start_time for start in waiting) <= 4  # taken while the stat job's message was on its way


@pytest.mark.chaos
def test_killed_workers_lose_nothing(tmp_path: Path) -> None:
    """kill -9 of one of two workers, three times under load: every job has one result, late ones on a later attempt."""
    pictures = [lesion_jpeg(seed, 1022, 767) for seed in range(10)]
    with running(tmp_path, workers=2) as system, Client(system.target) as client, ThreadPoolExecutor(16) as threads:
        names = list(threads.map(lambda number: client.submit(pictures[number % 10]).name, range(300)))
        for _ in range(3):
            _wait_for(lambda: len(list(islice(client.list(states=["RUNNING"]), 12))) == 12)
            os.kill(_workers(system)[0].pid, signal.SIGKILL)
            _wait_for(lambda: len(_workers(system)) == 2)
        jobs = [client.wait(name) for name in names]
        assert Counter(job.state for job in jobs) == {"SUCCEEDED": 300}
        assert max(job.attempt for job in jobs) >= 2
        assert all(job.attempt <= 3 for job in jobs)


def _workers(system: System) -> list[psutil.Process]:
    children = psutil.Process(system.process.pid).children()
    return [child for child in children if child.status() != psutil.STATUS_ZOMBIE and child.cmdline()[-1:] == ["work"]]


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
