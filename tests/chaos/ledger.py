"""What clients were promised and what they were told: the account that the store is held against."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from dataclasses import dataclass

from nevus import Job, NevusError


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job's outcome as a client saw it; two of one job must be equal."""

    state: str
    attempt: int
    ended: str
    probability: float | None
    worker: str


class Ledger:
    """Notes what every client sends and hears. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sent = 0
        self.names: dict[int, str] = {}
        self.renamed: list[tuple[int, str, str]] = []
        self.outcomes: defaultdict[str, set[Outcome]] = defaultdict(set)
        self.errors: list[str] = []
        self.hidden: Counter[str] = Counter()

    def send(self) -> None:
        """An image is about to be sent."""
        with self._lock:
            self.sent += 1

    def promise(self, number: int, name: str) -> None:
        """The system told the name of the job of an image."""
        with self._lock:
            known = self.names.setdefault(number, name)
            if known != name:
                self.renamed.append((number, known, name))

    def tell(self, job: Job) -> None:
        """A client saw a job in a final state."""
        result = job.result
        outcome = Outcome(
            job.state,
            job.attempt,
            str(job.end_time),
            result.classification.probability if result and result.classification else None,
            result.provenance.worker if result and result.provenance else "",
        )
        with self._lock:
            self.outcomes[job.name].add(outcome)

    def error(self, number: int, way: str, error: BaseException) -> None:
        """A client's call failed for good."""
        reason = f"{error.code} {error.reason}" if isinstance(error, NevusError) else type(error).__name__
        with self._lock:
            self.errors.append(f"image {number}, {way}: {reason}: {error}")

    def retry(self, error: NevusError, delay_s: float) -> None:
        """The client library hid a failure: its retry policy's `on_retry`."""
        with self._lock:
            self.hidden[error.reason] += 1
