"""Checking what a request says, field by field; every violation is found before any is told.

Image bytes are never touched here; `intake` has them checked from their header.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping

from google.protobuf import duration_pb2

from nevus.v1 import job_pb2
from nevus_core.errors import InvalidRequest, Violation
from nevus_core.records import Artifact, JobOptions, ModelCard, Priority
from nevus_core.settings import ServerSettings
from nevus_server.fleet import LATEST, Fleet

MAX_LABELS = 16
_LABEL_KEY = re.compile(r"[a-z0-9_-]{1,64}")
_LABEL_VALUE_LENGTH = 64
_JOB_NAME = re.compile(r"jobs/([0-9a-z]{1,64})")
_MODEL_NAME = re.compile(r"models/([a-z0-9-]{1,64})(?:/versions/([0-9.]{1,32}|latest))?")
_MODEL_SPEC = re.compile(r"[a-z0-9-]{1,64}(@([0-9.]{1,32}|latest))?")

_PRIORITIES: dict[int, Priority] = {
    job_pb2.JOB_PRIORITY_UNSPECIFIED: Priority.ROUTINE,
    job_pb2.JOB_PRIORITY_STAT: Priority.STAT,
    job_pb2.JOB_PRIORITY_ROUTINE: Priority.ROUTINE,
    job_pb2.JOB_PRIORITY_BULK: Priority.BULK,
}
_ARTIFACTS: dict[int, Artifact] = {
    job_pb2.ARTIFACT_KIND_OVERLAY: Artifact.OVERLAY,
    job_pb2.ARTIFACT_KIND_MASK: Artifact.MASK,
    job_pb2.ARTIFACT_KIND_HEAT_MAP: Artifact.HEAT_MAP,
}
_KNOWN_ARTIFACTS = "must be OVERLAY, MASK or HEAT_MAP."


class Violations:
    """Collects what is wrong with one request."""

    def __init__(self) -> None:
        self._found: list[Violation] = []

    def add(self, field: str, reason: str, description: str) -> None:
        """Notes one violation."""
        self._found.append(Violation(field, reason, description))

    def raise_any(self) -> None:
        """Raises InvalidRequest with everything noted, if anything was."""
        if self._found:
            raise InvalidRequest(self._found)


def job_id_of(name: str) -> str:
    """Returns the id in `jobs/{job}`.

    Raises:
        InvalidRequest: INVALID_NAME.
    """
    match = _JOB_NAME.fullmatch(name)
    if match is None:
        raise InvalidRequest([Violation("name", "INVALID_NAME", "must look like jobs/0123abcd.")])
    return match[1]


def model_of(name: str) -> tuple[str, str]:
    """Returns model and version ("" where there is none, or `latest`) of a model's resource name.

    Raises:
        InvalidRequest: INVALID_NAME.
    """
    match = _MODEL_NAME.fullmatch(name)
    if match is None:
        description = "must look like models/derm-joint or models/derm-joint/versions/1."
        raise InvalidRequest([Violation("name", "INVALID_NAME", description)])
    return match[1], "" if match[2] in {None, LATEST} else match[2]


def artifact_kind_of(kind: int) -> Artifact:
    """Returns the artifact that a request asks for.

    Raises:
        InvalidRequest: UNKNOWN_ARTIFACT.
    """
    if kind not in _ARTIFACTS:
        raise InvalidRequest([Violation("kind", "UNKNOWN_ARTIFACT", _KNOWN_ARTIFACTS)])
    return _ARTIFACTS[kind]


def check_request_id(request_id: str) -> str:
    """Returns the request id in its canonical form; "" where there is none.

    Raises:
        InvalidRequest: INVALID_REQUEST_ID.
    """
    if not request_id:
        return ""
    try:
        return str(uuid.UUID(request_id))
    except ValueError as error:
        raise InvalidRequest([Violation("request_id", "INVALID_REQUEST_ID", "must be a UUID.")]) from error


def job_options(
    options: job_pb2.AnalysisOptions, fleet: Fleet, settings: ServerSettings, *, outcome_only: bool = False
) -> JobOptions:
    """Returns a request's options with every default filled in and the model's version pinned.

    Raises:
        InvalidRequest: One or more options can't be met.
        FailedPrecondition: The model's version is not served.
        Unavailable: No worker is alive.
    """
    wrong = Violations()
    if options.model and not _MODEL_SPEC.fullmatch(options.model):
        wrong.add("options.model", "UNKNOWN_MODEL", "must be NAME, NAME@latest or NAME@VERSION.")
    if options.priority not in _PRIORITIES:
        wrong.add("options.priority", "INVALID_PRIORITY", "must be STAT, ROUTINE or BULK.")
    _check_labels(options.labels, wrong)
    artifacts = _artifacts(options.artifacts, wrong)
    queue_ttl_ms = _duration_ms(
        options, "queue_ttl", settings.queue_ttl_s, settings.queue_ttl_max_s, wrong
    )  # fmt: skip
    timeout_ms = _duration_ms(
        options, "execution_timeout", settings.execution_timeout_s, settings.execution_timeout_max_s, wrong
    )  # fmt: skip
    wrong.raise_any()
    card = fleet.choose(options.model or settings.default_model)
    segmenter = options.segmenter or card.segmenter
    point = options.operating_point or card.default_operating_point
    _check_against(card, segmenter, point, fleet, wrong)
    wrong.raise_any()
    return JobOptions(
        model=card.name,
        version=card.version,
        segmenter=segmenter,
        operating_point=point,
        priority=_PRIORITIES[options.priority],
        artifacts=artifacts,
        queue_ttl_ms=queue_ttl_ms,
        execution_timeout_ms=timeout_ms,
        labels=dict(options.labels),
        outcome_only=outcome_only,
    )


def check_labels(labels: Mapping[str, str], field: str = "labels") -> None:
    """Checks the labels of a list's filter.

    Raises:
        InvalidRequest: INVALID_LABEL.
    """
    wrong = Violations()
    _check_labels(labels, wrong, field)
    wrong.raise_any()


def _check_against(card: ModelCard, segmenter: str, point: str, fleet: Fleet, wrong: Violations) -> None:
    # Workers announce what they have for every model. A network's own map is not among it: the card's default says that
    # the model gives one, and other models do not have it.
    segmenters = sorted({card.segmenter, *fleet.segmenters})
    if segmenter not in segmenters:
        wrong.add("options.segmenter", "UNKNOWN_SEGMENTER", f"{card.key} has only: {', '.join(segmenters)}.")
    if point not in card.operating_points:
        known = ", ".join(card.operating_points)
        wrong.add("options.operating_point", "UNKNOWN_OPERATING_POINT", f"{card.key} has only: {known}.")


def _check_labels(labels: Mapping[str, str], wrong: Violations, field: str = "options.labels") -> None:
    if len(labels) > MAX_LABELS:
        wrong.add(field, "TOO_MANY_LABELS", f"at most {MAX_LABELS} labels.")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or len(value) > _LABEL_VALUE_LENGTH:
            wrong.add(field, "INVALID_LABEL", "keys are 1 to 64 of a-z, 0-9, _ and -; values at most 64 characters.")
            return


def _artifacts(kinds: Iterable[int], wrong: Violations) -> tuple[Artifact, ...]:
    wanted = []
    for kind in kinds:
        if kind not in _ARTIFACTS:
            wrong.add("options.artifacts", "UNKNOWN_ARTIFACT", _KNOWN_ARTIFACTS)
            break
        wanted.append(_ARTIFACTS[kind])
    return tuple(dict.fromkeys(wanted))


def _duration_ms(
    options: job_pb2.AnalysisOptions, field: str, default_s: float, longest_s: float, wrong: Violations
) -> int:
    if not options.HasField(field):
        return round(default_s * 1000)
    duration: duration_pb2.Duration = getattr(options, field)
    milliseconds = duration.seconds * 1000 + duration.nanos // 1_000_000
    if not 0 < milliseconds <= longest_s * 1000:
        wrong.add(f"options.{field}", "INVALID_DURATION", f"must be more than 0 s and at most {longest_s:g} s.")
    return milliseconds
