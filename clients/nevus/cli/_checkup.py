"""The steps of `nevus doctor`, in the order in which an image needs what they check."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from nevus._follow import Deadline
from nevus.cli._tables import probability_text
from nevus.client import Client
from nevus.errors import DeadlineExceeded, NevusError, ServerFault, ServerUnreachable
from nevus.jobs import Event, JobPriority, JobState
from nevus.synthetic import synthetic_lesion


class Trouble(Exception):
    """The first thing that is wrong.

    Args:
        wrong: What it is, as a sentence.
        remedy: What to do about it.
        no_server: Whether there is no nevus server at all.
    """

    def __init__(self, wrong: str, remedy: str, *, no_server: bool = False) -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.remedy = remedy
        self.no_server = no_server

    @classmethod
    def from_error(cls, error: NevusError) -> Trouble:
        """Returns the trouble that an error of a call stands for."""
        if isinstance(error, DeadlineExceeded):
            remedy = "Workers may be busy: try again with a longer --timeout, and see `nevus list --state queued`."
        elif error.metadata.get("error_id"):
            remedy = f"Look for {error.metadata['error_id']} in the server's log."
        else:
            remedy = "Look at the server's and the worker's log."
        return cls(error.message, remedy, no_server=isinstance(error, ServerUnreachable))


class Checkup:
    """What the steps share: a client without retries, and the time that is left."""

    def __init__(self, target: str, timeout_s: float) -> None:
        self.target = target
        self.client = Client(target, retry_for_s=0, call_timeout_s=max(0.1, timeout_s))
        self._deadline = Deadline(timeout_s)

    def close(self) -> None:
        """Closes the connection."""
        self.client.close()

    def remaining_s(self) -> float:
        """Returns the seconds left, at least a tenth, so that a step fails for its own reason."""
        return max(0.1, self._deadline.remaining_s() or 0.0)


def connect(checkup: Checkup) -> str:
    """Checks that the address resolves and that something listens there.

    Raises:
        Trouble: It does not, or nothing does.
    """
    address = _address(checkup.target)
    if address is None:
        return "not a HOST:PORT, left to gRPC"
    try:
        with socket.create_connection(address, timeout=min(5.0, checkup.remaining_s())) as connection:
            return f"{connection.getpeername()[0]} port {address[1]}"
    except socket.gaierror as error:
        raise Trouble(f"The name {address[0]} can't be resolved.", "Check --target.", no_server=True) from error
    except OSError as error:
        why = error.strerror or str(error) or "timed out"
        remedy = "Start a server with `nevus up`, or name another with --target or NEVUS_TARGET."
        raise Trouble(f"Nothing listens at {checkup.target}: {why}.", remedy, no_server=True) from error


def health(checkup: Checkup) -> str:
    """Checks that the server says that it can work (grpc.health.v1).

    Raises:
        Trouble: It says that it can't, or says nothing.
    """
    if checkup.client.ready(timeout_s=min(5.0, checkup.remaining_s())):
        return "serving"
    # Asked only to find out why.
    try:
        cards = checkup.client.models()
    except (DeadlineExceeded, ServerFault, ServerUnreachable) as error:
        wrong = f"Something listens at {checkup.target}, but it does not answer as a nevus server: {error.message}"
        raise Trouble(wrong, "Check --target: host, port, and whether TLS is wanted.", no_server=True) from error
    wrong = "The server says that it is not serving" + ("." if cards else ", and no live worker holds a model.")
    raise Trouble(wrong, "Start a worker (`nevus work`), or wait until it is warm; else look at the server's log.")


def worker(checkup: Checkup) -> str:
    """Checks that a live worker holds a model, and that the model is healthy.

    Raises:
        Trouble: None does, or it is not.
    """
    cards = checkup.client.models()
    if not cards:
        raise Trouble("No live worker holds a model.", "Start one with `nevus work`, and wait until it is warm.")
    for card in cards:
        if checkup.client.ready(f"model/{card.model}", timeout_s=min(5.0, checkup.remaining_s())):
            return f"{card.model}@{card.version} on {card.workers} worker{'' if card.workers == 1 else 's'}"
    names = ", ".join(sorted({card.model for card in cards}))
    raise Trouble(f"No model is healthy: {names}.", "Look at the worker's log.")


def one_image(checkup: Checkup) -> str:
    """Checks that a synthetic image comes through, regions before the class; purges it afterwards.

    Raises:
        Trouble: It does not come through as it should.
    """
    events: list[Event] = []
    try:
        for event in checkup.client.stream(
            synthetic_lesion(), timeout_s=checkup.remaining_s(), priority=JobPriority.STAT, labels={"nevus": "doctor"}
        ):
            events.append(event)  # noqa: PERF402 -- what came before a failure is wanted as well
    finally:
        if events:
            with contextlib.suppress(NevusError):
                checkup.client.delete(events[-1].job)
    return _verdict(events)


STEPS: tuple[tuple[str, Callable[[Checkup], str]], ...] = (
    ("connection", connect),
    ("health", health),
    ("worker and model", worker),
    ("one image, end to end", one_image),
)
"""Title and check, in order. A check returns what it found, or raises."""


def _verdict(events: list[Event]) -> str:
    """Returns the result in a few words."""
    final = events[-1] if events else None
    job = final.snapshot if final else None
    if final is None or job is None or not final.final:
        raise Trouble("The stream of events ended before the outcome.", "Look at the server's log.")
    if job.state is not JobState.SUCCEEDED or job.result is None:
        why = f"{job.error.reason}: {job.error.message}" if job.error else "without a reason"
        raise Trouble(f"The synthetic image ended {job.state} ({why}).", "Look at the worker's log.")
    if not any(event.regions is not None for event in events[:-1]):
        raise Trouble("The regions did not come before the class.", "Server and worker may be of different versions.")
    if not job.result.not_for_clinical_use:
        raise Trouble("The result is not marked as not for clinical use.", "This is no genuine nevus server.")
    found = job.result.classification
    count = len(job.result.regions)
    return f"{count} region{'' if count == 1 else 's'}, {found.label} {probability_text(found.probability)}"


def _address(target: str) -> tuple[str, int] | None:
    """Returns host and port of `HOST:PORT`, also with `dns:` before it; None for gRPC's other kinds of target."""
    host, colon, port = target.removeprefix("dns:").removeprefix("///").rpartition(":")
    if not colon or not port.isdigit() or (":" in host and not host.startswith("[")):
        return None
    return host.strip("[]"), int(port)
