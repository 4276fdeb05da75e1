"""The sixth proof: every front end and worker is restarted with SIGTERM under load, and no caller notices."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from chaos.backstage import Tail
from chaos.ledger import Ledger
from chaos.load import Load
from chaos.report import failures, print_failures, print_table, say
from chaos.stage import Actor, Stage
from chaos.verdict import judge
from nevus import Client

LABEL = "rolling"
AHEAD = 40
"""Images that always wait for a free client."""


def rolling(*, rounds: int = 1, settings: Mapping[str, str] | None = None, folder: Path | None = None) -> list[str]:
    """Runs it and prints its table. Returns what must not be; empty if it holds."""
    ledger = Ledger()
    with Stage(settings=settings, folder=folder) as stage:
        tail = Tail(stage.broker.url)
        load = Load(stage.target, ledger, label=LABEL)

        def tend() -> None:
            if load.waiting < AHEAD:
                load.release(AHEAD)
            stage.tend()

        load.start()
        _let_run(tend, 3)
        ends = [_restart(stage, actor, tend) for _ in range(rounds) for actor in (*stage.fronts, *stage.workers)]
        _let_run(tend, 3)
        load.finish(stage.tend)
        with Client(stage.target) as client:
            verdict = judge(client, stage.backstage, tail, ledger, LABEL)
        verdict.ended = stage.unwanted_ends()
    print_table(verdict, [], settings or {}, f"Rolling restart, {rounds} round(s)")
    found = [*failures(verdict), *(end for end in ends if end)]
    if verdict.attempts.keys() - {1}:
        found.append(f"a worker that drained left jobs behind: attempts {dict(verdict.attempts)}")
    print_failures(found)
    return found


def _restart(stage: Stage, actor: Actor, tend: Callable[[], None]) -> str:
    """Restarts one process and waits until it is ready. Returns what was wrong with its end."""
    process, began = actor.process, time.monotonic()
    assert process is not None
    actor.ask_to_stop()
    while process.poll() is None:
        if time.monotonic() - began > 40:
            return f"{actor.name} did not end within 40 s of SIGTERM"
        _let_run(tend, 0.05)
    drained_s = time.monotonic() - began
    actor.tend()
    deadline = time.monotonic() + 90
    while not stage.all_ready():
        if time.monotonic() > deadline:
            return f"{actor.name} did not become ready again"
        _let_run(tend, 0.1)
    say(f"{actor.name}: drained in {drained_s:.1f} s, exit code {process.returncode}, ready again after "
        f"{time.monotonic() - began:.1f} s")  # fmt: skip
    return f"{actor.name} ended with {process.returncode}" if process.returncode else ""


def _let_run(tend: Callable[[], None], seconds: float) -> None:
    until = time.monotonic() + seconds
    while True:
        tend()
        time.sleep(0.02)
        if time.monotonic() > until:
            return
