from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IntendedUse(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INTENDED_USE_UNSPECIFIED: _ClassVar[IntendedUse]
    INTENDED_USE_NOT_FOR_CLINICAL_USE: _ClassVar[IntendedUse]

class QualityIssueKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUALITY_ISSUE_KIND_UNSPECIFIED: _ClassVar[QualityIssueKind]
    QUALITY_ISSUE_KIND_NO_REGION_FOUND: _ClassVar[QualityIssueKind]
    QUALITY_ISSUE_KIND_TOO_MANY_REGIONS: _ClassVar[QualityIssueKind]
    QUALITY_ISSUE_KIND_TOO_SMALL: _ClassVar[QualityIssueKind]
    QUALITY_ISSUE_KIND_BLURRED: _ClassVar[QualityIssueKind]
    QUALITY_ISSUE_KIND_DARK: _ClassVar[QualityIssueKind]
    QUALITY_ISSUE_KIND_OVEREXPOSED: _ClassVar[QualityIssueKind]
    QUALITY_ISSUE_KIND_UNLIKELY_DERMOSCOPIC: _ClassVar[QualityIssueKind]

class LesionColour(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LESION_COLOUR_UNSPECIFIED: _ClassVar[LesionColour]
    LESION_COLOUR_WHITE: _ClassVar[LesionColour]
    LESION_COLOUR_RED: _ClassVar[LesionColour]
    LESION_COLOUR_LIGHT_BROWN: _ClassVar[LesionColour]
    LESION_COLOUR_DARK_BROWN: _ClassVar[LesionColour]
    LESION_COLOUR_BLUE_GREY: _ClassVar[LesionColour]
    LESION_COLOUR_BLACK: _ClassVar[LesionColour]
INTENDED_USE_UNSPECIFIED: IntendedUse
INTENDED_USE_NOT_FOR_CLINICAL_USE: IntendedUse
QUALITY_ISSUE_KIND_UNSPECIFIED: QualityIssueKind
QUALITY_ISSUE_KIND_NO_REGION_FOUND: QualityIssueKind
QUALITY_ISSUE_KIND_TOO_MANY_REGIONS: QualityIssueKind
QUALITY_ISSUE_KIND_TOO_SMALL: QualityIssueKind
QUALITY_ISSUE_KIND_BLURRED: QualityIssueKind
QUALITY_ISSUE_KIND_DARK: QualityIssueKind
QUALITY_ISSUE_KIND_OVEREXPOSED: QualityIssueKind
QUALITY_ISSUE_KIND_UNLIKELY_DERMOSCOPIC: QualityIssueKind
LESION_COLOUR_UNSPECIFIED: LesionColour
LESION_COLOUR_WHITE: LesionColour
LESION_COLOUR_RED: LesionColour
LESION_COLOUR_LIGHT_BROWN: LesionColour
LESION_COLOUR_DARK_BROWN: LesionColour
LESION_COLOUR_BLUE_GREY: LesionColour
LESION_COLOUR_BLACK: LesionColour

class BoundingBox(_message.Message):
    __slots__ = ("x", "y", "width", "height")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    x: int
    y: int
    width: int
    height: int
    def __init__(self, x: _Optional[int] = ..., y: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class Contour(_message.Message):
    __slots__ = ("xy_px",)
    XY_PX_FIELD_NUMBER: _ClassVar[int]
    xy_px: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, xy_px: _Optional[_Iterable[int]] = ...) -> None: ...

class Region(_message.Message):
    __slots__ = ("box", "area_px", "score", "contour")
    BOX_FIELD_NUMBER: _ClassVar[int]
    AREA_PX_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    CONTOUR_FIELD_NUMBER: _ClassVar[int]
    box: BoundingBox
    area_px: float
    score: float
    contour: Contour
    def __init__(self, box: _Optional[_Union[BoundingBox, _Mapping]] = ..., area_px: _Optional[float] = ..., score: _Optional[float] = ..., contour: _Optional[_Union[Contour, _Mapping]] = ...) -> None: ...

class ClassProbability(_message.Message):
    __slots__ = ("label", "probability")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    label: str
    probability: float
    def __init__(self, label: _Optional[str] = ..., probability: _Optional[float] = ...) -> None: ...

class Classification(_message.Message):
    __slots__ = ("label", "probabilities", "threshold", "operating_point", "probability")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    OPERATING_POINT_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    label: str
    probabilities: _containers.RepeatedCompositeFieldContainer[ClassProbability]
    threshold: float
    operating_point: str
    probability: float
    def __init__(self, label: _Optional[str] = ..., probabilities: _Optional[_Iterable[_Union[ClassProbability, _Mapping]]] = ..., threshold: _Optional[float] = ..., operating_point: _Optional[str] = ..., probability: _Optional[float] = ...) -> None: ...

class QualityIssue(_message.Message):
    __slots__ = ("kind", "message")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    kind: QualityIssueKind
    message: str
    def __init__(self, kind: _Optional[_Union[QualityIssueKind, str]] = ..., message: _Optional[str] = ...) -> None: ...

class LesionMeasures(_message.Message):
    __slots__ = ("region", "asymmetry_major", "asymmetry_minor", "border_irregularity", "colours", "diameter_px")
    REGION_FIELD_NUMBER: _ClassVar[int]
    ASYMMETRY_MAJOR_FIELD_NUMBER: _ClassVar[int]
    ASYMMETRY_MINOR_FIELD_NUMBER: _ClassVar[int]
    BORDER_IRREGULARITY_FIELD_NUMBER: _ClassVar[int]
    COLOURS_FIELD_NUMBER: _ClassVar[int]
    DIAMETER_PX_FIELD_NUMBER: _ClassVar[int]
    region: int
    asymmetry_major: float
    asymmetry_minor: float
    border_irregularity: float
    colours: _containers.RepeatedScalarFieldContainer[LesionColour]
    diameter_px: float
    def __init__(self, region: _Optional[int] = ..., asymmetry_major: _Optional[float] = ..., asymmetry_minor: _Optional[float] = ..., border_irregularity: _Optional[float] = ..., colours: _Optional[_Iterable[_Union[LesionColour, str]]] = ..., diameter_px: _Optional[float] = ...) -> None: ...

class StageTimings(_message.Message):
    __slots__ = ("queued", "decode", "segment", "classify", "total")
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    DECODE_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    CLASSIFY_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    queued: _duration_pb2.Duration
    decode: _duration_pb2.Duration
    segment: _duration_pb2.Duration
    classify: _duration_pb2.Duration
    total: _duration_pb2.Duration
    def __init__(self, queued: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., decode: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., segment: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., classify: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., total: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Provenance(_message.Message):
    __slots__ = ("model", "version", "weights_sha256", "segmenter", "pipeline_version", "input_sha256", "width_px", "height_px", "worker", "batch_size", "timings")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_SHA256_FIELD_NUMBER: _ClassVar[int]
    SEGMENTER_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    INPUT_SHA256_FIELD_NUMBER: _ClassVar[int]
    WIDTH_PX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_PX_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
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
    timings: StageTimings
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., weights_sha256: _Optional[str] = ..., segmenter: _Optional[str] = ..., pipeline_version: _Optional[str] = ..., input_sha256: _Optional[str] = ..., width_px: _Optional[int] = ..., height_px: _Optional[int] = ..., worker: _Optional[str] = ..., batch_size: _Optional[int] = ..., timings: _Optional[_Union[StageTimings, _Mapping]] = ...) -> None: ...

class AnalysisResult(_message.Message):
    __slots__ = ("regions", "classification", "quality_issues", "provenance", "intended_use", "needs_review", "measures")
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    CLASSIFICATION_FIELD_NUMBER: _ClassVar[int]
    QUALITY_ISSUES_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    INTENDED_USE_FIELD_NUMBER: _ClassVar[int]
    NEEDS_REVIEW_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    regions: _containers.RepeatedCompositeFieldContainer[Region]
    classification: Classification
    quality_issues: _containers.RepeatedCompositeFieldContainer[QualityIssue]
    provenance: Provenance
    intended_use: IntendedUse
    needs_review: bool
    measures: LesionMeasures
    def __init__(self, regions: _Optional[_Iterable[_Union[Region, _Mapping]]] = ..., classification: _Optional[_Union[Classification, _Mapping]] = ..., quality_issues: _Optional[_Iterable[_Union[QualityIssue, _Mapping]]] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ..., intended_use: _Optional[_Union[IntendedUse, str]] = ..., needs_review: bool = ..., measures: _Optional[_Union[LesionMeasures, _Mapping]] = ...) -> None: ...
