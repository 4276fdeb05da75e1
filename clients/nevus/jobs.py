"""A job and its moves, as frozen records: what `Client` and `AsyncClient` return instead of protobuf messages.

Times are timezone-aware datetimes in UTC, by the server's clock; durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypedDict

from nevus.errors import JobFailed
from nevus.results import Region, Result


class JobState(StrEnum):
    """Where a job stands. SUCCEEDED, FAILED, CANCELLED and EXPIRED are final: a job has exactly one outcome.

    UNSPECIFIED stands for states that are newer than this client.
    """

    UNSPECIFIED = "UNSPECIFIED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def final(self) -> bool:
        """Whether the job has its one outcome."""
        return self in _FINAL


_FINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED})


class JobStage(StrEnum):
    """What a running job is at; UNSPECIFIED while it is not running."""

    UNSPECIFIED = "UNSPECIFIED"
    DECODING = "DECODING"
    SEGMENTING = "SEGMENTING"
    CLASSIFYING = "CLASSIFYING"


class JobPriority(StrEnum):
    """Which queue a job waits in; drained in this order."""

    STAT = "stat"
    ROUTINE = "routine"
    BULK = "bulk"


class ArtifactKind(StrEnum):
    """Pictures that a job makes on request.

    OVERLAY: PNG of the image with boxes, outlines and class drawn on it, long side at most 2048 px.
    MASK: PNG, one channel, 0 outside and 255 inside the regions, full size of the upright image.
    HEAT_MAP: PNG of the image in grey, coloured where it raised and where it lowered the positive class's logit; long
        side at most 2048 px. Where, not why; class and probability do not change with it. Of a network without a class
        activation map it costs as much as 65 more images.
    """

    OVERLAY = "overlay"
    MASK = "mask"
    HEAT_MAP = "heat_map"


class Options(TypedDict, total=False):
    """How an image is to be analysed: keyword arguments of every call that takes an image. Each has a default.

    Attributes:
        model: `NAME` or `NAME@VERSION` of a served model. Default: the deployment's.
        segmenter: Name of a segmenter. Default: the model card's.
        operating_point: Name of the model's threshold that makes a label of the probability. Default: the card's.
        priority: "stat", "routine" or "bulk". Default: routine.
        artifacts: Pictures to make: "overlay", "mask", "heat_map". Default: none.
        queue_ttl_s: The job EXPIRES if no worker has started it within so many seconds. Default: the server's.
        execution_timeout_s: The job FAILS if one attempt takes longer, in seconds. Default: the server's.
        labels: The caller's own key-value pairs, for lists. No patient data.
    """

    model: str
    segmenter: str
    operating_point: str
    priority: JobPriority | str
    artifacts: Sequence[ArtifactKind | str]
    queue_ttl_s: float
    execution_timeout_s: float
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class JobOptions:
    """The options in force, every default filled in and the model's version pinned.

    Attributes:
        model: `NAME@VERSION`.
        segmenter: Segmenter name.
        operating_point: Name of the threshold.
        priority: Which queue.
        artifacts: Pictures that the job makes.
        queue_ttl_s: Seconds within which it must start; None where not known.
        execution_timeout_s: Seconds that one attempt may take; None where not known.
        labels: The caller's own key-value pairs.
    """

    model: str = ""
    segmenter: str = ""
    operating_point: str = ""
    priority: JobPriority = JobPriority.ROUTINE
    artifacts: tuple[ArtifactKind, ...] = ()
    queue_ttl_s: float | None = None
    execution_timeout_s: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What the header of the uploaded image says.

    Attributes:
        format: "jpeg", "png", "bmp", "tiff" or "webp".
        width_px: Of the upright image (after EXIF orientation).
        height_px: Of the upright image.
        size_bytes: Length of the upload.
        sha256: Of the upload, 64 lower-case hex digits.
        exif_orientation: 1 to 8; 1 where the upload has no such tag.
    """

    format: str
    width_px: int
    height_px: int
    size_bytes: int
    sha256: str
    exif_orientation: int = 1


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job ended without a result.

    Attributes:
        code: gRPC's name of the code, for example "INVALID_ARGUMENT".
        reason: For example CORRUPT_IMAGE, WORKER_LOST, EXECUTION_TIMEOUT, QUEUE_TTL_EXPIRED or INTERNAL.
        message: One sentence for a person.
        metadata: Values that the message names.
    """

    code: str
    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """One image's analysis, as it stood when the server answered.

    Attributes:
        name: Resource name, `jobs/{job}`.
        state: Where it stands.
        stage: What it is at, while it runs.
        revision: Rises by one with every move; 1 is the acceptance.
        attempt: How often a worker has claimed it.
        create_time: When it was accepted.
        update_time: When it last moved.
        start_time: When the latest attempt was claimed; None before.
        end_time: When it came to its outcome; None before.
        expire_time: When result, pictures and record are purged; None before the outcome.
        options: The options in force.
        image: What was uploaded.
        regions: Known before the class; None while segmentation is not done, empty where none was found. None as well
            in lists, which leave it out.
        result: The outcome of a SUCCEEDED job; None before, otherwise, and in lists.
        error: Why it FAILED or EXPIRED; None otherwise.
    """

    name: str
    state: JobState
    stage: JobStage = JobStage.UNSPECIFIED
    revision: int = 0
    attempt: int = 0
    create_time: datetime | None = None
    update_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    expire_time: datetime | None = None
    options: JobOptions = field(default_factory=JobOptions)
    image: ImageInfo | None = None
    regions: tuple[Region, ...] | None = None
    result: Result | None = None
    error: Failure | None = None

    @property
    def final(self) -> bool:
        """Whether the job has its one outcome."""
        return self.state.final

    def raise_for_state(self) -> Job:
        """Returns the job itself, for chaining: `client.analyze(path).raise_for_state().result`.

        Raises:
            JobFailed: It ended FAILED, EXPIRED or CANCELLED.
        """
        if self.final and self.state is not JobState.SUCCEEDED:
            raise JobFailed(self)
        return self


@dataclass(frozen=True, slots=True)
class Event:
    """One move of a job.

    Attributes:
        job: Resource name of the job.
        revision: That the move made. Pass the last one seen as `after_revision` to go on after a cut.
        state: The state moved to.
        stage: The stage moved to.
        attempt: Which attempt this belongs to.
        event_time: When the move was made.
        regions: On the event that makes them known, which comes before the class; may be empty. None on others.
        snapshot: The whole job, on the first event of a stream and on the final one; None on others.
    """

    job: str
    revision: int
    state: JobState
    stage: JobStage = JobStage.UNSPECIFIED
    attempt: int = 0
    event_time: datetime | None = None
    regions: tuple[Region, ...] | None = None
    snapshot: Job | None = None

    @property
    def final(self) -> bool:
        """Whether this is the job's last event."""
        return self.state.final


@dataclass(frozen=True, slots=True)
class DeleteReceipt:
    """The receipt of a purge.

    Attributes:
        name: `jobs/{job}`.
        image_sha256: Of the upload whose traces are gone.
        purge_time: When it was purged.
        purged_objects: Stored objects that were removed (record, image, pictures).
    """

    name: str
    image_sha256: str
    purge_time: datetime | None
    purged_objects: int
