"""How long jobs that lost their worker, or their worker's claim, took to run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaos.faults import BROKER_FAULTS, WORKER_FAULTS, Fault, Strike
from nevus_core.records import Job, JobEvent, job_name
from nevus_core.states import State

BEFORE_MS = 100
"""A claim this shortly before the broker's end may have been its last, whose answer never arrived."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """One job's way from a fault to its next attempt.

    Attributes:
        strike: What took the worker away, or the broker with the answer to a claim.
        name: The job.
        whole_ms: From the strike to the next RUNNING.
        took_ms: The same from the last fault that could hit the job: another worker's end, which may have had its
            message in hand, or the broker's return.
        beside: Other faults from five seconds before to the end.
    """

    strike: Strike
    name: str
    whole_ms: int
    took_ms: int
    beside: tuple[str, ...]


def recoveries(strikes: Sequence[Strike], records: Mapping[str, Job]) -> tuple[list[Recovery], list[str]]:
    """Returns every job's recoveries, and the jobs that lost an attempt though no fault had hit them."""
    struck = {
        (job_name(victim.ref.partition("/")[2]), victim.attempt): strike
        for strike in strikes
        for victim in strike.victims
    }
    found, unexplained = [], []
    for name, job in records.items():
        for attempt in range(1, job.attempt):
            last = [event for event in job.events if event.attempt == attempt and event.state is State.RUNNING][-1]
            again = next(e for e in job.events if e.attempt == attempt + 1 and e.state is State.RUNNING)
            strike = struck.get((name, attempt)) or _likely_strike(strikes, last, again)
            if strike is None:
                unexplained.append(name)
            else:
                found.append(_recovery(strike, strikes, name, again.at_ms))
    return found, unexplained


def idle_strikes(strikes: Sequence[Strike]) -> int:
    """Returns how many strikes met a worker that held nothing."""
    return sum(strike.fault in WORKER_FAULTS and not strike.victims for strike in strikes)


def _likely_strike(strikes: Sequence[Strike], last: JobEvent, again: JobEvent) -> Strike | None:
    """Returns the fault that took a claim's answer away: the broker's, or a worker's just as it claimed."""
    for strike in strikes:
        at_once = abs(strike.at_ms - last.at_ms) <= BEFORE_MS and strike.fault in WORKER_FAULTS
        later = last.at_ms - BEFORE_MS <= strike.at_ms < again.at_ms and strike.fault in BROKER_FAULTS
        if at_once or later:
            return strike
    return None


def _recovery(strike: Strike, strikes: Sequence[Strike], name: str, again_ms: int) -> Recovery:
    meanwhile = [other for other in strikes if strike.at_ms <= other.at_ms and other.over_ms < again_ms]
    begin_ms = max((other.over_ms for other in meanwhile if other.fault is not Fault.KILL_FRONT), default=strike.at_ms)
    beside = tuple(
        f"{other.fault} {(other.at_ms - strike.at_ms) / 1000:+.1f} s"
        for other in strikes
        if other is not strike and strike.at_ms - 5000 < other.at_ms < again_ms
    )
    return Recovery(strike, name, again_ms - strike.at_ms, again_ms - begin_ms, beside)
