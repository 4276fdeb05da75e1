"""What the store holds of a job, as frozen records. Pure data: no protobuf, no Redis.

Times are milliseconds since the Unix epoch by the broker's clock. Coordinates are pixels of the upright image: the
upload after its EXIF orientation was applied, origin top left, x to the right, y down.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from nevus_core.states import Stage, State
from nevus_core.worker_stats import NO_STATS, WorkerStats

PIPELINE_VERSION = "3"
"""Raised whenever the same image, model and segmenter could give another result. Results add what settings change:
`+bfloat16`, `+whole`."""

KERAS_FILE = "keras"
"""The architecture of a card whose weights file is a whole model that Keras saved."""

NOT_STATED = "Not stated."
"""What a card says where its author said nothing."""


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of all records: immutable, JSON by msgspec, fields at their default left out."""


class Priority(StrEnum):
    """The three queues, drained in this order."""

    STAT = "stat"
    ROUTINE = "routine"
    BULK = "bulk"


class Artifact(StrEnum):
    """Pictures that a job can make on request."""

    OVERLAY = "overlay"
    MASK = "mask"
    HEAT_MAP = "heat_map"


class ImageInfo(Record, frozen=True, kw_only=True):
    """What the header of an upload says, and what its bytes hash to.

    Attributes:
        format: "jpeg", "png", "bmp", "tiff" or "webp".
        width_px: Width of the upright image (after EXIF orientation).
        height_px: Height of the upright image.
        size_bytes: Length of the upload.
        sha256: Of the upload, 64 lower-case hex digits.
        orientation: The EXIF orientation tag, 1 to 8; 1 where there is none.
    """

    format: str
    width_px: int
    height_px: int
    size_bytes: int
    sha256: str
    orientation: int = 1


class JobOptions(Record, frozen=True, kw_only=True):
    """How a job is to be done, every default already filled in.

    Attributes:
        model: Model name.
        version: Model version, pinned when the job was accepted.
        segmenter: Segmenter name.
        operating_point: Name of the card's operating point that turns the probability into a label.
        priority: Which queue.
        artifacts: Pictures to make.
        queue_ttl_ms: Give up if not started within this time.
        execution_timeout_ms: Give up if one attempt takes longer.
        labels: The caller's own key-value pairs, for its lists; never interpreted, never logged.
        outcome_only: Whether the caller wants the outcome alone: then stages are not told while they pass quickly, and
            the regions come with the result.
    """

    model: str
    version: str
    segmenter: str
    operating_point: str
    priority: Priority = Priority.ROUTINE
    artifacts: tuple[Artifact, ...] = ()
    queue_ttl_ms: int
    execution_timeout_ms: int
    labels: dict[str, str] = {}
    outcome_only: bool = False


class Box(Record, frozen=True, kw_only=True):
    """An upright rectangle in pixels; x + width and y + height are exclusive."""

    x: int
    y: int
    width: int
    height: int


class Region(Record, frozen=True, kw_only=True):
    """One region that the segmenter found.

    Attributes:
        box: The smallest upright rectangle around the region.
        area_px: Area inside the contour, in square pixels (cv2.contourArea).
        score: The segmenter's confidence, 0..1; None where it has none (`otsu`).
        contour: x0, y0, x1, y1, ... of the outline, in pixels; may be simplified.
    """

    box: Box
    area_px: float
    score: float | None = None
    contour: tuple[int, ...] = ()


class Classification(Record, frozen=True, kw_only=True):
    """The class, and how it came about.

    Attributes:
        label: The class that the operating point makes of the probability.
        probability: Of the positive class ("malignant"), 0..1.
        probabilities: Class name to probability; sums to 1.
        threshold: `label` is the positive class where probability >= threshold.
        operating_point: The threshold's name in the model card.
    """

    label: str
    probability: float
    probabilities: dict[str, float]
    threshold: float
    operating_point: str


class QualityIssue(Record, frozen=True, kw_only=True):
    """A reason to distrust the result: `kind` is UPPER_SNAKE_CASE, `message` one sentence."""

    kind: str
    message: str


class LesionMeasures(Record, frozen=True, kw_only=True):
    """Measures of the largest region after the ABCD rule; see `nevus_workers.imaging.measures` for their sources.

    Attributes:
        region: Its place among the result's regions, from 0.
        asymmetry_major, asymmetry_minor: 0..1, 0 is symmetric: what does not match when the shape is folded along its
            long and along its short axis.
        border_irregularity: 1 for a circle, more for others.
        colours: Which of white, red, light_brown, dark_brown, blue_grey, black it has.
        diameter_px: Largest distance between two of its pixels.
    """

    region: int
    asymmetry_major: float
    asymmetry_minor: float
    border_irregularity: float
    colours: tuple[str, ...]
    diameter_px: float


class Timings(Record, frozen=True, kw_only=True):
    """Wall time of each stage inside the worker, milliseconds. `classify_ms` includes the wait for a batch."""

    decode_ms: float
    segment_ms: float
    classify_ms: float


class Provenance(Record, frozen=True, kw_only=True):
    """Which model, version, code and input made a result."""

    model: str
    version: str
    weights_sha256: str
    segmenter: str
    pipeline_version: str
    input_sha256: str
    width_px: int
    height_px: int
    worker: str
    batch_size: int
    timings: Timings


class Result(Record, frozen=True, kw_only=True):
    """A succeeded job's outcome.

    Attributes:
        needs_review: Whether one of the quality issues calls for a person.
        measures: Of the largest region; None where there is none.
    """

    regions: tuple[Region, ...]
    classification: Classification
    provenance: Provenance
    quality_issues: tuple[QualityIssue, ...] = ()
    needs_review: bool = False
    measures: LesionMeasures | None = None
    artifacts: tuple[Artifact, ...] = ()


class Failure(Record, frozen=True, kw_only=True):
    """Why a job ended without a result: gRPC code name, reason, message, the values that the message names."""

    code: str
    reason: str
    message: str
    metadata: dict[str, str] = {}


class JobEvent(Record, frozen=True, kw_only=True):
    """One move of a job. `revision` rises by one with every move, without gaps.

    Attributes:
        started_ms, expire_ms: On an outcome: when its attempt was claimed (0: never), and when the job is purged.
        regions: On the move that made them known (to stage CLASSIFYING), where they were small enough for the stream;
            the record has them always.
        result: On SUCCEEDED, where it was small enough for the stream; the record has it always.
    """

    revision: int
    state: State
    stage: Stage = Stage.NONE
    attempt: int = 0
    at_ms: int
    started_ms: int = 0
    expire_ms: int = 0
    regions: tuple[Region, ...] | None = None
    result: Result | None = None

    def with_regions(self, regions: tuple[Region, ...]) -> JobEvent:
        """Returns the same event carrying the regions."""
        return msgspec.structs.replace(self, regions=regions)

    def with_result(self, result: Result) -> JobEvent:
        """Returns the same event carrying the result."""
        return msgspec.structs.replace(self, result=result)


class Job(Record, frozen=True, kw_only=True):
    """A job as the store knows it.

    Attributes:
        tenant: Who owns it.
        id: Unique, sorts by time of acceptance.
        revision: Of the last move.
        attempt: Claims so far.
        finished_ms, expire_ms: 0 until the job has ended; at `expire_ms` everything of it is purged.
        artifacts: Stored pictures, each as `attempt:kind`.
        events: Every move so far, revision 1 first, without regions.
    """

    tenant: str
    id: str
    state: State
    stage: Stage = Stage.NONE
    revision: int
    attempt: int = 0
    created_ms: int
    updated_ms: int
    started_ms: int = 0
    finished_ms: int = 0
    expire_ms: int = 0
    image: ImageInfo
    options: JobOptions
    regions: tuple[Region, ...] | None = None
    result: Result | None = None
    failure: Failure | None = None
    worker: str = ""
    artifacts: tuple[str, ...] = ()
    events: tuple[JobEvent, ...] = ()

    @property
    def ref(self) -> str:
        """What messages and indexes carry: tenant and id."""
        return f"{self.tenant}/{self.id}"

    @property
    def name(self) -> str:
        """The resource name that clients see."""
        return job_name(self.id)

    def succeeded(self, event: JobEvent) -> Job:
        """Returns the job as an event that carries its result leaves it; as read from its record, but for `events`."""
        result = event.result
        if result is None:
            raise ValueError(f"{self.name}: the event of revision {event.revision} carries no result")
        return msgspec.structs.replace(
            self,
            state=event.state,
            stage=event.stage,
            revision=event.revision,
            attempt=event.attempt,
            updated_ms=event.at_ms,
            started_ms=event.started_ms,
            finished_ms=event.at_ms,
            expire_ms=event.expire_ms,
            regions=result.regions,
            result=result,
            worker=result.provenance.worker,
            artifacts=tuple(f"{event.attempt}:{kind}" for kind in result.artifacts),
        )


def job_name(job_id: str) -> str:
    """Returns the resource name of a job id: `jobs/{id}`."""
    return f"jobs/{job_id}"


class ModelOutputs(Record, frozen=True, kw_only=True):
    """Which outputs of a whole Keras model mean what.

    Attributes:
        probability: Name of the output that tells the positive class; empty where the model has one output only.
        mask: Name of the output that is the lesion's map; empty where there is none.
        logits: Whether a sigmoid (a softmax over two columns) is still to be applied to them.
    """

    probability: str = ""
    mask: str = ""
    logits: bool = False


class ModelCard(Record, frozen=True, kw_only=True):
    """What is known of one version of a model; `model.toml` beside its weights.

    Attributes:
        name: Lower case, digits and dashes.
        version: Digits, or digits with dots; versions of a name sort by them.
        title, description, intended_use, limitations, training_data, licence: Prose for a person.
        starting_weights: Weights that training started from, with their licence; empty where it started from none.
        architecture: Name of the Keras architecture that `nevus_workers.models.architectures` builds; "keras" where the
            weights file is a whole model that Keras saved.
        weights: File name beside the card.
        weights_sha256: 64 lower-case hex digits; empty only for weights that were never fetched.
        weights_bytes: Size of the weights file; 0 where unknown.
        input_width_px, input_height_px: What the network takes.
        colour_order: "bgr" or "rgb".
        scale: Multiplied with the 0..255 pixel values before the network sees them.
        resampling: How images are brought to the input size: "linear" or, without aliasing, "area".
        outputs: Of a whole Keras model; None where it has one output only, a probability.
        classes: Negative class first, positive class last.
        operating_points: Name to threshold on the positive class's probability.
        default_operating_point: Used where a request names none.
        segmenter: Used where a request names none.
        evaluation: Figure name to value, as measured on the split that `evaluation_note` states.
        parameters, mega_flops: Size and cost of one pass of one image.
    """

    name: str
    version: str
    title: str
    description: str = ""
    intended_use: str = NOT_STATED
    limitations: str = NOT_STATED
    training_data: str = NOT_STATED
    licence: str = NOT_STATED
    starting_weights: str = ""
    architecture: str = KERAS_FILE
    weights: str
    weights_sha256: str = ""
    weights_bytes: int = 0
    input_width_px: int
    input_height_px: int
    colour_order: str = "bgr"
    scale: float = 1.0
    resampling: str = "linear"
    outputs: ModelOutputs | None = None
    classes: tuple[str, ...] = ("benign", "malignant")
    operating_points: dict[str, float]
    default_operating_point: str
    segmenter: str = "otsu"
    evaluation: dict[str, float] = {}
    evaluation_note: str = ""
    parameters: int = 0
    mega_flops: float = 0.0

    @property
    def key(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"


class WorkerInfo(Record, frozen=True, kw_only=True):
    """What a live, warmed worker process says of itself with every heartbeat."""

    id: str
    host: str
    pid: int
    started_ms: int
    models: tuple[ModelCard, ...]
    segmenters: tuple[str, ...]
    concurrency: int
    busy: int = 0
    stats: WorkerStats = NO_STATS
