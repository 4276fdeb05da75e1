"""Ten thousand watches on one front end while jobs flow: `PYTHONPATH=tests:. python -m bench.watches`.

Every job is watched from before its first move to its outcome. What is told: events missed, memory a watch, how late
events arrive, and how busy each process was, so that a figure that is the clients' fault can be seen to be that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from bench.scale_canary import Canary
from bench.scale_hands import STEP_PAUSE_S, STEPS, work
from bench.scale_stand import Busy, Stand, blank_png, percentile, submit_many
from bench.scale_watchers import Heard, watch

CLIENTS = 2
REVISIONS = tuple(range(1, STEPS + 2))
"""Acceptance, then one for each step of the worker."""

P99_LIMIT_MS = 50.0
PHASE_LIMIT_S = 300.0
Answer = tuple[list[str], list[Heard], list[str]]
"""From one client process: names of jobs, what was heard of each, what broke."""

SPAWN = multiprocessing.get_context("spawn")


def measure(watches: int, renewals: int, per_s: float) -> dict[str, Any]:
    """Runs it once.

    Args:
        watches: Open at a time, each on a job of its own.
        renewals: Watches that are opened on a new job when one has ended; then their number falls to none.
        per_s: Jobs that the worker does in a second.

    Returns:
        All figures, by name; the unit is in the name.
    """
    jobs = watches + renewals
    with tempfile.TemporaryDirectory(prefix="nevus-watches-") as folder, Stand(Path(folder)) as stand:
        names = asyncio.run(submit_many(stand.target, blank_png(), watches))
        worker, worker_pipe = _spawn(work, stand.url, jobs, per_s)
        clients = [_spawn(watch, stand.target) for _ in range(CLIENTS)]
        idle_rss = _settled_rss(stand.front)
        began_s = time.monotonic()
        parts = [names[number::CLIENTS] for number in range(CLIENTS)]
        for (_, pipe), part in zip(clients, parts, strict=True):
            pipe.send((part, renewals // CLIENTS))
        for _, pipe in clients:
            _receive(pipe, PHASE_LIMIT_S)
        open_s = time.monotonic() - began_s
        open_rss = _settled_rss(stand.front)
        busy = Busy(_processes(stand, worker, [client for client, _ in clients]))
        began_s = time.monotonic()
        with Canary(Path(folder) / "canary") as canary:
            worker_pipe.send("go")
            told = _receive(worker_pipe, jobs / per_s + PHASE_LIMIT_S)
        flow_s = time.monotonic() - began_s
        shares = busy.shares()
        answers = [_receive(pipe, PHASE_LIMIT_S) for _, pipe in clients]
        end_rss = _settled_rss(stand.front)
        for process, _ in [(worker, worker_pipe), *clients]:
            process.join(PHASE_LIMIT_S)
    return {
        "watches": watches,
        "renewals": renewals,
        "jobs_per_s": jobs / flow_s,
        "open_s": open_s,
        "rss_idle_mib": idle_rss / 2**20,
        "rss_open_mib": open_rss / 2**20,
        "rss_end_mib": end_rss / 2**20,
        "rss_kib_per_watch": (open_rss - idle_rss) / watches / 1024,
        "busy_cores": shares,
        "machine": canary.figures(),
        **_judge(answers, told),
    }


def _judge(answers: list[Answer], told: list[Any]) -> dict[str, Any]:
    """Returns what each watcher missed or had twice, and how late events were."""
    calls = {(job_id, revision): (began_ns, ended_ns) for job_id, revision, began_ns, ended_ns in told}
    delays: dict[str, list[float]] = {"after_call_began": [], "after_answer": [], "after_stamp": []}
    missed = repeated = 0
    for names, heard, _ in answers:
        seen: defaultdict[int, list[int]] = defaultdict(list)
        for number, revision, at_ns, wall_ms, stamp_ms in heard:
            seen[number].append(revision)
            if revision == 1:  # long past when the watch was opened
                continue
            began_ns, ended_ns = calls[names[number].removeprefix("jobs/"), revision]
            delays["after_call_began"].append((at_ns - began_ns) / 1e6)
            delays["after_answer"].append((at_ns - ended_ns) / 1e6)
            delays["after_stamp"].append(float(wall_ms - stamp_ms))
        for number in range(len(names)):
            missed += len(set(REVISIONS) - set(seen[number]))
            repeated += len(seen[number]) - len(set(seen[number]))
            repeated += seen[number] != sorted(seen[number])
    spread = {
        name: {f"p{share * 100:g}": percentile(sorted(values), share) for share in (0.5, 0.95, 0.99, 0.999, 1.0)}
        for name, values in delays.items()
    }
    events = sum(len(heard) for _, heard, _ in answers)
    broken = [one for _, _, errors in answers for one in errors]
    return {"events": events, "missed": missed, "repeated": repeated, "broken": broken, "delay_ms": spread}


def _processes(stand: Stand, worker: BaseProcess, clients: list[BaseProcess]) -> dict[str, psutil.Process]:
    named = {f"client {number}": psutil.Process(client.pid) for number, client in enumerate(clients, start=1)}
    return {"front end": stand.front, "broker": stand.broker, "worker": psutil.Process(worker.pid), **named}


def _spawn(act: Any, *words: object) -> tuple[BaseProcess, Connection]:
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=act, args=(there, *words), daemon=True)
    process.start()
    there.close()
    return process, here


def _receive(pipe: Connection, limit_s: float) -> Any:
    if not pipe.poll(limit_s):
        raise TimeoutError(f"Nothing after {limit_s:g} s.")
    return pipe.recv()


def _settled_rss(process: psutil.Process) -> int:
    """Returns the resident set once it has stopped changing."""
    last = -1
    for _ in range(50):
        now = int(process.memory_info().rss)
        if now == last:
            break
        last = now
        time.sleep(0.5)
    return last


def failures(found: dict[str, Any]) -> list[str]:
    """Returns what must not be on any machine; empty if the run is good."""
    wrong = [f"{name}: {found[name]}" for name in ("missed", "repeated") if found[name]]
    return wrong + [f"broken: {one}" for one in found["broken"][:5]]


def table(found: dict[str, Any]) -> str:
    """Returns the figures for a person."""
    spread = found["delay_ms"]
    head = (
        f"{found['watches']} watches on one front end, {found['renewals']} of them renewed, "
        f"{found['jobs_per_s']:.1f} jobs/s, {STEPS} moves a job {STEP_PAUSE_S * 1000:g} ms apart\n"
        f"  events heard {found['events']}, missed {found['missed']}, repeated {found['repeated']}, "
        f"broken streams {len(found['broken'])}\n"
        f"  opened in {found['open_s']:.1f} s; RSS {found['rss_idle_mib']:.0f} -> {found['rss_open_mib']:.0f} MiB: "
        f"{found['rss_kib_per_watch']:.1f} KiB a watch; {found['rss_end_mib']:.0f} MiB at the end"
    )
    lines = [head, f"  {'delay, ms':<34}{'p50':>8}{'p95':>8}{'p99':>8}{'p99.9':>8}{'max':>8}"]
    words = {
        "after_call_began": "from the worker's call",
        "after_answer": "from the worker's answer",
        "after_stamp": "from the event's stamp (1 ms steps)",
    }
    for name, label in words.items():
        lines.append(f"  {label:<34}" + "".join(f"{value:8.1f}" for value in spread[name].values()))
    for name, label in {
        "wakes_late_ms": "the machine: a sleeper wakes late",
        "disk_ms": "the machine: fdatasync",
    }.items():
        p50, p99, most = found["machine"][name].values()
        lines.append(f"  {label:<34}{p50:8.1f}{p99:24.1f}{most:16.1f}")
    lines.append("  busy, cores: " + ", ".join(f"{name} {share:.2f}" for name, share in found["busy_cores"].items()))
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Measures, prints, writes; returns 0 if no event was missed, told twice or broken off."""
    parser = argparse.ArgumentParser(prog="bench.watches", description=__doc__)
    parser.add_argument("--watches", type=int, default=10_000)
    parser.add_argument("--renewals", type=int, default=2_500, help="new watches in the place of those that end")
    parser.add_argument("--rate", type=float, default=50.0, help="jobs a second")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args(words)
    found = {**measure(given.watches, given.renewals, given.rate), "cores": os.cpu_count()}
    print(table(found))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    late_ms = found["delay_ms"]["after_call_began"]["p99"]
    print(f"  p99 {late_ms:.1f} ms, aim {P99_LIMIT_MS:g} ms: {'held' if late_ms <= P99_LIMIT_MS else 'NOT HELD'}")
    wrong = failures(found)
    for one in wrong:
        print(f"FAILED {one}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
