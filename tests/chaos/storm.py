"""The first proof: a load, a seeded schedule of faults, the verdict."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from chaos.backstage import Tail
from chaos.faults import FULL, Fault, Schedule, Strike, Striker
from chaos.ledger import Ledger
from chaos.load import Load
from chaos.recovery import recoveries
from chaos.report import failures, print_failures, print_table, say
from chaos.stage import Stage
from chaos.verdict import judge
from nevus import Client
from nevus_core.settings import ServerSettings

LABEL = "storm"


def storm(
    *,
    jobs: int,
    seed: int,
    minutes: float,
    faults: Mapping[Fault, int] = FULL,
    settings: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> list[str]:
    """Runs it and prints its table.

    Args:
        jobs: At least so many, spread over one wave a fault.
        seed: Of the schedule.
        minutes: Faults that have not struck by then are left out, which is a failure.
        faults: How many of each.
        settings: Over the defaults.
        folder: Keeps logs and data.

    Returns:
        What must not be; empty if it passes.
    """
    began = time.monotonic()
    schedule = Schedule.of(dict(faults), seed)
    wave = -(-jobs // len(schedule.faults))
    ledger = Ledger()
    with Stage(settings=settings, folder=folder) as stage:
        say(f"stage ready after {time.monotonic() - began:.0f} s; logs in {stage.folder}")
        tail = Tail(stage.broker.url)
        load = Load(stage.target, ledger, label=LABEL)
        lease_s = float(stage.settings.get("LEASE_S", ServerSettings().lease_s))
        striker = Striker(stage, load, schedule.dice, lease_s)
        load.start()
        for number, fault in enumerate(schedule.faults):
            if time.monotonic() - began > minutes * 60:
                break
            striker.strike(fault, wave)
            _say_progress(began, number, len(schedule.faults), striker.strikes[-1], ledger)
            striker.sleep(schedule.dice.uniform(1.0, 4.0))
        striker.wake_all()
        load.finish(stage.tend)
        with Client(stage.target) as client:
            verdict = judge(client, stage.backstage, tail, ledger, LABEL)
        records = stage.backstage.records(set(ledger.names.values()))
        verdict.recoveries, verdict.unexplained = recoveries(striker.strikes, records)
        verdict.ended = stage.unwanted_ends()
    took_s = time.monotonic() - began
    print_table(verdict, striker.strikes, settings or {}, f"Chaos, seed {seed}, {took_s:.0f} s")
    found = failures(verdict)
    if len(striker.strikes) < len(schedule.faults):
        found.append(f"{len(schedule.faults) - len(striker.strikes)} faults did not fit into {minutes:g} minutes")
    if verdict.sent < jobs:
        found.append(f"{verdict.sent} images were sent instead of {jobs}")
    print_failures(found)
    return found


def _say_progress(began: float, number: int, of: int, strike: Strike, ledger: Ledger) -> None:
    say(
        f"{time.monotonic() - began:6.1f} s  {number + 1}/{of}  {strike.fault} (it held {len(strike.victims)}); "
        f"{len(ledger.names)} accepted, {len(ledger.outcomes)} done, {len(ledger.errors)} errors"
    )
