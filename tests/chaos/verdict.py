"""The verdict: what clients were promised and told, held against the API, the records and the event stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from chaos.backstage import Backstage, Tail
from chaos.ledger import Ledger
from chaos.recovery import Recovery
from nevus import Client, NevusError
from nevus_core.records import Job
from nevus_core.states import State

LAST_OUTCOME_LIMIT_S = 90.0


@dataclass(slots=True)
class Verdict:
    """Figures of one run.

    Attributes:
        sent, accepted, succeeded: Images sent, jobs promised, results.
        failed: Reasons of the rest.
        lost: Promised jobs that are gone or have no outcome.
        doubled: Jobs with two outcomes: in the record, in the stream, or as two clients saw them.
        twice: Images for which there are two jobs, or jobs that no client knows of.
        uncovered: Client-visible errors that the documented retries did not hide.
        hidden: Failures that they did hide, by reason.
        fenced: Late answers dropped (the store's counter).
        attempts: How many jobs took so many attempts.
        recoveries: Of every job that ran again.
        unexplained: Jobs that lost an attempt though no fault had hit them: a live worker was too slow for its lease.
        ended: Processes that ended though nobody had asked them to.
    """

    sent: int = 0
    accepted: int = 0
    succeeded: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    uncovered: list[str] = field(default_factory=list)
    hidden: Counter[str] = field(default_factory=Counter)
    fenced: int = 0
    attempts: Counter[int] = field(default_factory=Counter)
    recoveries: list[Recovery] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    longest_wait_ms: int = 0
    stream_entries: int = 0

    @property
    def worst_recovery_s(self) -> float:
        """From the last fault that struck a job to its running again, at worst."""
        return max((recovery.took_ms for recovery in self.recoveries), default=0) / 1000


def judge(client: Client, backstage: Backstage, tail: Tail, ledger: Ledger, label: str) -> Verdict:
    """Returns the verdict; waits for what has no outcome yet.

    Args:
        client: Any front end.
        backstage: The records.
        tail: The event stream, followed from its beginning; closed here.
        ledger: Of all clients.
        label: That all jobs of the run carry.
    """
    verdict = Verdict(sent=ledger.sent, uncovered=list(ledger.errors), hidden=Counter(ledger.hidden))
    listed = {job.name for job in client.list(labels={"run": label}, page_size=500)}
    names = set(ledger.names.values())
    for name in sorted(names | listed):
        _settle(client, name, ledger, verdict)
    tail.close()
    verdict.stream_entries = tail.entries
    records = backstage.records(sorted(names | listed))
    verdict.accepted = len(names)
    verdict.lost += sorted(f"{name}: not in the list" for name in names - listed)
    _count(records.values(), verdict)
    _find_doubled(records, tail, ledger, verdict)
    _find_twice(names, listed, ledger, verdict)
    verdict.fenced = backstage.stats().get("fenced", 0)
    return verdict


def _settle(client: Client, name: str, ledger: Ledger, verdict: Verdict) -> None:
    """Waits for a job's outcome and notes it as one more client's view."""
    try:
        job = client.wait(name, timeout_s=LAST_OUTCOME_LIMIT_S)
    except NevusError as error:
        verdict.lost.append(f"{name}: {error.code} {error.reason}")
        return
    if job.final:
        ledger.tell(job)
    else:
        verdict.lost.append(f"{name}: {job.state}, attempt {job.attempt}, revision {job.revision}")


def _count(jobs: Iterable[Job], verdict: Verdict) -> None:
    for job in jobs:
        verdict.attempts[job.attempt] += 1
        if job.state is State.SUCCEEDED:
            verdict.succeeded += 1
        elif job.state.final:
            verdict.failed[job.failure.reason if job.failure else job.state] += 1
        first = next((event.at_ms for event in job.events if event.state is State.RUNNING), job.finished_ms)
        verdict.longest_wait_ms = max(verdict.longest_wait_ms, first - job.created_ms)


def _find_doubled(records: dict[str, Job], tail: Tail, ledger: Ledger, verdict: Verdict) -> None:
    for name, job in records.items():
        outcomes = sum(event.state.final for event in job.events)
        revisions = [event.revision for event in job.events]
        if job.state.final and outcomes != 1:
            verdict.doubled.append(f"{name}: {outcomes} outcomes in its record")
        if revisions != list(range(1, job.revision + 1)):
            verdict.doubled.append(f"{name}: revisions {revisions}")
        if job.state.final and tail.outcomes[name] != 1:
            verdict.doubled.append(f"{name}: {tail.outcomes[name]} outcomes in the event stream")
        if len(ledger.outcomes[name]) > 1:
            verdict.doubled.append(f"{name}: clients saw {sorted(map(str, ledger.outcomes[name]))}")


def _find_twice(names: set[str], listed: set[str], ledger: Ledger, verdict: Verdict) -> None:
    verdict.twice += [f"image {number} is {first} and {second}" for number, first, second in ledger.renamed]
    shared = Counter(ledger.names.values())
    verdict.twice += [f"{name} stands for {count} images" for name, count in shared.items() if count > 1]
    if not ledger.errors:  # after an error a client may have a job without knowing its name
        verdict.twice += [f"{name}: nobody was told of it" for name in sorted(listed - names)]
