"""Every way in which a call to nevus can fail, as one tree.

    NevusError                                       catch this one for "anything that nevus refused or failed at"
    ├── InvalidRequest          INVALID_ARGUMENT     a field is wrong; `violations` lists every one
    │   └── UnreadableImage     INVALID_ARGUMENT     raised here: the image file can't be read; nothing was sent
    ├── NotFound                NOT_FOUND            no such job, picture or model for this caller
    ├── RequestIdReused         ALREADY_EXISTS       the request id was used for other content
    ├── FailedPrecondition      FAILED_PRECONDITION  the job or model is in the wrong state for this call
    ├── QuotaExceeded           RESOURCE_EXHAUSTED   the tenant's share is used up; wait `retry_after_s`
    ├── MessageTooLarge         RESOURCE_EXHAUSTED   from the transport, without details: upload instead
    ├── Unavailable             UNAVAILABLE          come back later: broker away, queue full, draining, no worker
    │   └── ServerUnreachable   UNAVAILABLE          nobody answers at the target, or the connection broke
    ├── DeadlineExceeded        DEADLINE_EXCEEDED    the call's time ended; an accepted job goes on
    ├── Denied                  UNAUTHENTICATED, PERMISSION_DENIED
    ├── DamagedDownload         DATA_LOSS            raised here: a picture does not match its digest
    ├── ServerFault             INTERNAL and others  a fault of the server; `metadata["error_id"]` finds it in its log
    └── JobFailed               the job's own code   `Job.raise_for_state`: FAILED, EXPIRED or CANCELLED

`code` is gRPC's name of the code, `reason` what programs branch on. `nevus._status` makes these of what the wire says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nevus.jobs import Job


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that is wrong.

    Attributes:
        field: Path in the request, for example `options.model`.
        reason: UPPER_SNAKE_CASE, for programs.
        description: One sentence, for a person.
    """

    field: str
    reason: str
    description: str


class NevusError(Exception):
    """The root: anything that nevus refused or failed at.

    Attributes:
        code: gRPC's name of the status code, for example "NOT_FOUND".
        reason: UPPER_SNAKE_CASE, stable; "" where the server gave none.
        message: One sentence: what was wrong, where, what to do. Also `str(error)`.
        metadata: Values that the message names.
        retry_after_s: Seconds to wait before the same call makes sense again; None where it never does, or where the
            server did not say.
        violations: The wrong fields of the request; empty for other failures.
        resource: Name of the resource that the failure is about; "" where none was named.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
        violations: tuple[Violation, ...] = (),
        resource: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.retry_after_s = retry_after_s
        self.violations = violations
        self.resource = resource

    @property
    def retryable(self) -> bool:
        """Whether the very same call may succeed later. True for UNAVAILABLE, and for quotas that name a delay."""
        return self.code == "UNAVAILABLE" or (self.code == "RESOURCE_EXHAUSTED" and self.retry_after_s is not None)


class InvalidRequest(NevusError):
    """A field of the request can't be accepted; see `violations`. Repeating it never helps."""


class UnreadableImage(InvalidRequest):
    """The image file can't be read here. Nothing was sent."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"{path}: {why}.", code="INVALID_ARGUMENT", reason="UNREADABLE_FILE", metadata={"path": path, "why": why}
        )


class NotFound(NevusError):
    """There is no such job, picture or model, or it belongs to another tenant."""


class RequestIdReused(NevusError):
    """The request id came before with another image or other options."""


class FailedPrecondition(NevusError):
    """The resource exists, but its state forbids this call."""


class QuotaExceeded(NevusError):
    """The tenant holds as much as it may."""


class MessageTooLarge(NevusError):
    """The transport refused the message for its size."""


class Unavailable(NevusError):
    """Nothing is wrong with the request; the server can't take it now."""


class ServerUnreachable(Unavailable):
    """Nobody answers at the target, or the connection broke."""


class DeadlineExceeded(NevusError):
    """The call's time ended. A job that was accepted goes on."""


class Denied(NevusError):
    """The caller did not say who it is, or may not do this."""


class DamagedDownload(NevusError):
    """A picture that came does not match the digest that the server announced."""

    def __init__(self, name: str, expected_sha256: str, actual_sha256: str) -> None:
        super().__init__(
            f"The picture of {name} came damaged: sha256 {actual_sha256}, announced {expected_sha256}. Fetch it again.",
            code="DATA_LOSS",
            reason="DIGEST_MISMATCH",
            metadata={"name": name, "expected_sha256": expected_sha256, "actual_sha256": actual_sha256},
        )


class ServerFault(NevusError):
    """The server failed, or answered with something that this client does not know."""


class JobFailed(NevusError):
    """A job came to its outcome without a result.

    Attributes:
        job: The job: FAILED, EXPIRED or CANCELLED.
    """

    def __init__(self, job: Job) -> None:
        failure = job.error
        super().__init__(
            f"{job.name} ended {job.state}" + (f": {failure.message}" if failure else "."),
            code=failure.code if failure else "CANCELLED",
            reason=failure.reason if failure else str(job.state),
            metadata=failure.metadata if failure else None,
            resource=job.name,
        )
        self.job = job
