"""Every way in which nevus says no, as one tree.

    NevusError
    ├── InvalidRequest          INVALID_ARGUMENT     a field is wrong; lists every violation
    │   └── InvalidImage        INVALID_ARGUMENT     the bytes are not an image that we analyse
    ├── NotFound                NOT_FOUND            no such job, artifact or model for this caller
    ├── RequestIdReused         ALREADY_EXISTS       same request id, other content
    ├── FailedPrecondition      FAILED_PRECONDITION  the job or model is in the wrong state for this call
    ├── QuotaExceeded           RESOURCE_EXHAUSTED   the tenant's share is used up
    ├── Unavailable             UNAVAILABLE          come back later: broker away, queue full, draining, no worker
    ├── DeadlineExceeded        DEADLINE_EXCEEDED    the call ran out of time; the job goes on
    ├── InternalError           INTERNAL             our bug; carries an id, never a stack trace
    ├── SettingsError           (start-up)           a setting is unknown or out of range
    ├── ModelError              (start-up, commands) a model can't be found, fetched, verified or loaded
    ├── Fenced                  (worker only)        the attempt no longer holds the job; its answer is dropped
    ├── Suspect                 (worker only)        the job's worker died; it is done alone or not at all
    └── OtherModel              (worker only)        the job needs a model that this worker does not hold

A class carries the gRPC code and whether a caller may retry; an instance adds the reason (ErrorInfo), a message that is
safe to show to a stranger, and the values that the message names. Messages never quote pixels, file names or free text
of a request. Causes stay inside through `raise ... from`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

DOMAIN = "nevus"
"""The `domain` of every ErrorInfo."""


class NevusError(Exception):
    """The root: anything that nevus refuses or fails at.

    Args:
        message: One sentence for a person: what was wrong, where, what to do.
        reason: UPPER_SNAKE_CASE, at most 63 characters, stable; what programs branch on.
        metadata: Every value that the message names, as text.
    """

    code: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, reason: str, metadata: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that is wrong: its path in the request, the reason, and a sentence."""

    field: str
    reason: str
    description: str


class InvalidRequest(NevusError):
    """One or more fields of a request can't be accepted. Retrying the same request never helps."""

    code = "INVALID_ARGUMENT"

    def __init__(self, violations: list[Violation], metadata: dict[str, str] | None = None) -> None:
        super().__init__(
            " ".join(f"{v.field}: {v.description}" for v in violations),
            reason=violations[0].reason,
            metadata=metadata,
        )
        self.violations = tuple(violations)


class InvalidImage(InvalidRequest):
    """The image bytes can't be analysed.

    Reasons: EMPTY_IMAGE, UNSUPPORTED_FORMAT, TRUNCATED_IMAGE, CORRUPT_IMAGE, ANIMATED_IMAGE, IMAGE_TOO_LARGE (bytes),
    TOO_MANY_PIXELS.
    """

    def __init__(self, reason: str, description: str, *, metadata: dict[str, str] | None = None) -> None:
        super().__init__([Violation("image", reason, description)], metadata)


class NotFound(NevusError):
    """The named resource does not exist, or is not the caller's."""

    code = "NOT_FOUND"

    def __init__(self, resource_type: str, resource_name: str, message: str, *, reason: str) -> None:
        super().__init__(message, reason=reason, metadata={"resource": resource_name})
        self.resource_type = resource_type
        self.resource_name = resource_name


class RequestIdReused(NevusError):
    """A request id came again with other content."""

    code = "ALREADY_EXISTS"

    def __init__(self, request_id: str, job_name: str) -> None:
        super().__init__(
            f"Request id {request_id} was already used for {job_name} with other content. "
            "Send a new UUID with every new request.",
            reason="REQUEST_ID_REUSED",
            metadata={"request_id": request_id, "job": job_name},
        )
        self.job_name = job_name


class FailedPrecondition(NevusError):
    """The resource exists but its state forbids this call."""

    code = "FAILED_PRECONDITION"

    def __init__(self, subject: str, message: str, *, reason: str) -> None:
        super().__init__(message, reason=reason, metadata={"subject": subject})
        self.subject = subject


class QuotaExceeded(NevusError):
    """The caller's tenant holds as much as it may; finished work frees its share."""

    code = "RESOURCE_EXHAUSTED"
    retryable = True

    def __init__(self, tenant: str, message: str, *, reason: str, retry_after_s: float) -> None:
        super().__init__(message, reason=reason, metadata={"tenant": tenant})
        self.subject = f"tenants/{tenant}"
        self.retry_after_s = retry_after_s


class Unavailable(NevusError):
    """Nothing is wrong with the request; the system can't take it now.

    Reasons: BROKER_UNAVAILABLE, QUEUE_FULL, STORE_FULL, FRONT_END_BUSY, NO_WORKER, DRAINING, STREAM_LIMIT.
    """

    code = "UNAVAILABLE"
    retryable = True

    def __init__(
        self, message: str, *, reason: str, retry_after_s: float = 1.0, metadata: dict[str, str] | None = None
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(NevusError):
    """The call's time ended before the job did. The job goes on; poll or watch it by its name."""

    code = "DEADLINE_EXCEEDED"

    def __init__(self, job_name: str) -> None:
        super().__init__(
            f"The call's deadline passed while {job_name} was still being worked on. "
            "The job goes on: poll it with GetJob or follow it with WatchJob.",
            reason="DEADLINE_EXCEEDED",
            metadata={"job": job_name},
        )
        self.job_name = job_name


class InternalError(NevusError):
    """A fault of ours. The id finds the stack trace in the logs."""

    def __init__(self, error_id: str) -> None:
        super().__init__(
            f"Internal error {error_id}. It is logged under this id; please report it.",
            reason="INTERNAL",
            metadata={"error_id": error_id},
        )


class SettingsError(NevusError):
    """A setting is unknown, has the wrong type, or lies outside its range."""

    code = "FAILED_PRECONDITION"

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="INVALID_SETTING")


class ModelError(NevusError):
    """A model can't be found, fetched, verified or loaded.

    Reasons: MODEL_NOT_FOUND, INVALID_MODEL_CARD, WEIGHTS_MISSING, WEIGHTS_DIGEST_MISMATCH, WEIGHTS_SIZE_MISMATCH,
    FETCH_FAILED, MODEL_NOT_LOADED, COLLAPSED (a training run that gives every image the same answer).
    """

    code = "FAILED_PRECONDITION"


class Fenced(NevusError):
    """This attempt does not hold the job any more: another one does, or the job has ended."""

    code = "ABORTED"

    def __init__(self, ref: str, attempt: int) -> None:
        super().__init__(
            f"Attempt {attempt} no longer holds job {ref}; its answer is dropped.",
            reason="FENCED",
            metadata={"job": ref, "attempt": str(attempt)},
        )


class Suspect(NevusError):
    """The job's last worker died with it, so a worker must do nothing beside it."""

    code = "ABORTED"

    def __init__(self, ref: str) -> None:
        super().__init__(f"Job {ref} is to be done alone.", reason="SUSPECT", metadata={"job": ref})


class OtherModel(NevusError):
    """The job needs a model that this worker does not hold."""

    code = "ABORTED"

    def __init__(self, ref: str) -> None:
        super().__init__(f"Job {ref} needs another model.", reason="OTHER_MODEL", metadata={"job": ref})
