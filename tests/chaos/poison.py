"""The second proof: an image that kills its worker outright fails alone; its neighbours do not pay for it."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from chaos.report import print_failures, say, stated_settings
from chaos.stage import Stage
from nevus import Client
from support.lesions import lesion_jpeg

POISON_SEED = 4711
PICTURES = 25


def poison(
    *, neighbours: int = 200, settings: Mapping[str, str] | None = None, folder: Path | None = None
) -> list[str]:
    """Runs it and prints its figures. Returns what must not be; empty if it holds."""
    image = lesion_jpeg(POISON_SEED)
    changed = {"TEST_POISON_SHA256": hashlib.sha256(image).hexdigest(), **(settings or {})}
    with Stage(settings=changed, folder=folder) as stage, Client(stage.target) as client:
        pictures = [lesion_jpeg(seed) for seed in range(PICTURES)]
        began = time.monotonic()
        names = [client.submit(pictures[number % PICTURES]).name for number in range(neighbours // 2)]
        poisoned = client.submit(image).name
        names += [client.submit(pictures[number % PICTURES]).name for number in range(neighbours - len(names))]
        wanted = [poisoned, *names]
        stage.wait(lambda: all(job.state.final for job in _jobs(stage, wanted)), 110, "not every job has its outcome")
        took_s = time.monotonic() - began
        records = stage.backstage.records(wanted)
        verdict = records.pop(poisoned)
        ends = stage.unwanted_ends()
    states = Counter(str(job.state) for job in records.values())
    attempts = Counter(job.attempt for job in records.values())
    reason = verdict.failure.reason if verdict.failure else ""
    say(f"\nPoison: {verdict.state} {reason} after {verdict.attempt} attempts; neighbours: {dict(states)}")
    say(f"  by attempts {dict(attempts)}; workers that died: {ends}; {took_s:.1f} s")
    say(f"settings: {stated_settings(settings or {})}")
    found = []
    if (verdict.state, reason) != ("FAILED", "WORKER_LOST"):
        found.append(f"the poisoned job is {verdict.state} {reason}")
    if states != {"SUCCEEDED": neighbours}:
        found.append(f"neighbours: {dict(states)}")
    if max(attempts) > 2:
        found.append(f"a neighbour used {max(attempts)} attempts")
    if not ends:
        found.append("no worker died: is there no NEVUS_TEST_POISON_SHA256?")
    if any(not end.startswith("worker") for end in ends):
        found.append(f"ended by themselves: {ends}")
    print_failures(found)
    return found


def _jobs(stage: Stage, names: list[str]) -> list:
    records = stage.backstage.records(names)
    return [records[name] for name in names]
