"""What an analysis found, and how it came about, as frozen records.

Coordinates are pixels of the *upright* image: the upload at its original size after its EXIF orientation was applied,
as every viewer shows it. Origin top left, x to the right, y down.

NOT FOR CLINICAL USE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in pixels of the upright image; `x + width` and `y + height` are exclusive.

    Attributes:
        x: Left edge.
        y: Top edge.
        width: At least 1.
        height: At least 1.
    """

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Region:
    """One region that the segmenter took for a lesion.

    Attributes:
        box: The smallest upright rectangle around it.
        area_px: Area inside the outline, in square pixels.
        score: The segmenter's confidence, 0 to 1; None where it has none (`otsu`).
        contour: Points (x, y) of the outline, in pixels; the last joins the first. May be simplified, or empty.
    """

    box: Box
    area_px: float
    score: float | None = None
    contour: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Classification:
    """The class of an image.

    Attributes:
        label: The class that the operating point makes of the probability.
        probability: Of the positive class ("malignant"), 0 to 1; None where the server sent none. An uncalibrated
            network's output is no medical risk: read the model card.
        probabilities: Class name to probability, negative class first; they sum to 1.
        threshold: `label` is the positive class where `probability` is at least this.
        operating_point: The threshold's name in the model card.
    """

    label: str
    probability: float | None
    probabilities: Mapping[str, float]
    threshold: float | None
    operating_point: str


@dataclass(frozen=True, slots=True)
class QualityIssue:
    """A reason to distrust a result.

    Attributes:
        kind: UPPER_SNAKE_CASE, for example "NO_REGION_FOUND"; "UNKNOWN" for kinds newer than this client.
        message: One sentence for a person.
    """

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class LesionMeasures:
    """Measures of the largest region after the ABCD rule. No score, no diagnosis, and as good as the outline.

    Attributes:
        region: Its place in `Result.regions`, from 0.
        asymmetry_major: Of the shape, folded along its long axis: 0 (symmetric) to 1.
        asymmetry_minor: The same along its short axis.
        border_irregularity: 1 for a circle, more for others.
        colours: Those of "white", "red", "light_brown", "dark_brown", "blue_grey", "black" that each make up at least
            5 % of the region; "unknown" for one newer than this client.
        diameter_px: Largest distance between two of its pixels.
    """

    region: int
    asymmetry_major: float | None
    asymmetry_minor: float | None
    border_irregularity: float | None
    colours: tuple[str, ...]
    diameter_px: float | None


@dataclass(frozen=True, slots=True)
class Timings:
    """Wall time of each part, in milliseconds; None where it is not known.

    Attributes:
        queued_ms: From acceptance to the claim of the attempt that succeeded.
        decode_ms: Fetching and decoding.
        segment_ms: Segmenting.
        classify_ms: Classifying, the wait for a batch included.
        total_ms: From acceptance to the outcome.
    """

    queued_ms: float | None = None
    decode_ms: float | None = None
    segment_ms: float | None = None
    classify_ms: float | None = None
    total_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which model, code, input and worker made a result: enough to repeat it.

    Attributes:
        model: Model name.
        version: Model version.
        weights_sha256: Of the weights file, 64 lower-case hex digits.
        segmenter: Segmenter name.
        pipeline_version: Of decoding, segmentation and scaling; `+bfloat16` and `+whole` are settings of the worker.
        input_sha256: Of the upload, 64 lower-case hex digits.
        width_px: Of the upright image.
        height_px: Of the upright image.
        worker: Id of the worker process.
        batch_size: How many images were in the network's batch.
        timings: How long each part took.
    """

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
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a SUCCEEDED job.

    Attributes:
        regions: In the segmenter's order; empty where none was found.
        classification: The class.
        quality_issues: Reasons to distrust this result; empty where none is known.
        provenance: What made it.
        not_for_clinical_use: What the server stated. Always True from a nevus server; no call can switch it off.
        needs_review: Whether a person has to look before anybody uses this result; `quality_issues` has the reasons.
            False says only that no reason is known.
        measures: Of the largest region; None where there is none, or the server is older.
    """

    regions: tuple[Region, ...]
    classification: Classification
    quality_issues: tuple[QualityIssue, ...]
    provenance: Provenance
    not_for_clinical_use: bool
    needs_review: bool = False
    measures: LesionMeasures | None = None
