from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from nevus.v1 import result_pb2 as _result_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_QUEUED: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_CANCELLING: _ClassVar[JobState]
    JOB_STATE_SUCCEEDED: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]
    JOB_STATE_EXPIRED: _ClassVar[JobState]

class JobStage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STAGE_UNSPECIFIED: _ClassVar[JobStage]
    JOB_STAGE_DECODING: _ClassVar[JobStage]
    JOB_STAGE_SEGMENTING: _ClassVar[JobStage]
    JOB_STAGE_CLASSIFYING: _ClassVar[JobStage]

class JobPriority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_PRIORITY_UNSPECIFIED: _ClassVar[JobPriority]
    JOB_PRIORITY_STAT: _ClassVar[JobPriority]
    JOB_PRIORITY_ROUTINE: _ClassVar[JobPriority]
    JOB_PRIORITY_BULK: _ClassVar[JobPriority]

class ArtifactKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ARTIFACT_KIND_UNSPECIFIED: _ClassVar[ArtifactKind]
    ARTIFACT_KIND_OVERLAY: _ClassVar[ArtifactKind]
    ARTIFACT_KIND_MASK: _ClassVar[ArtifactKind]
    ARTIFACT_KIND_HEAT_MAP: _ClassVar[ArtifactKind]

class JobView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_VIEW_UNSPECIFIED: _ClassVar[JobView]
    JOB_VIEW_BASIC: _ClassVar[JobView]
    JOB_VIEW_FULL: _ClassVar[JobView]
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_QUEUED: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_CANCELLING: JobState
JOB_STATE_SUCCEEDED: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState
JOB_STATE_EXPIRED: JobState
JOB_STAGE_UNSPECIFIED: JobStage
JOB_STAGE_DECODING: JobStage
JOB_STAGE_SEGMENTING: JobStage
JOB_STAGE_CLASSIFYING: JobStage
JOB_PRIORITY_UNSPECIFIED: JobPriority
JOB_PRIORITY_STAT: JobPriority
JOB_PRIORITY_ROUTINE: JobPriority
JOB_PRIORITY_BULK: JobPriority
ARTIFACT_KIND_UNSPECIFIED: ArtifactKind
ARTIFACT_KIND_OVERLAY: ArtifactKind
ARTIFACT_KIND_MASK: ArtifactKind
ARTIFACT_KIND_HEAT_MAP: ArtifactKind
JOB_VIEW_UNSPECIFIED: JobView
JOB_VIEW_BASIC: JobView
JOB_VIEW_FULL: JobView

class AnalysisOptions(_message.Message):
    __slots__ = ("model", "segmenter", "operating_point", "priority", "artifacts", "queue_ttl", "execution_timeout", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SEGMENTER_FIELD_NUMBER: _ClassVar[int]
    OPERATING_POINT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_TTL_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    model: str
    segmenter: str
    operating_point: str
    priority: JobPriority
    artifacts: _containers.RepeatedScalarFieldContainer[ArtifactKind]
    queue_ttl: _duration_pb2.Duration
    execution_timeout: _duration_pb2.Duration
    labels: _containers.ScalarMap[str, str]
    def __init__(self, model: _Optional[str] = ..., segmenter: _Optional[str] = ..., operating_point: _Optional[str] = ..., priority: _Optional[_Union[JobPriority, str]] = ..., artifacts: _Optional[_Iterable[_Union[ArtifactKind, str]]] = ..., queue_ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., execution_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ImageInfo(_message.Message):
    __slots__ = ("format", "width_px", "height_px", "size_bytes", "sha256", "exif_orientation")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_PX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_PX_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    EXIF_ORIENTATION_FIELD_NUMBER: _ClassVar[int]
    format: str
    width_px: int
    height_px: int
    size_bytes: int
    sha256: str
    exif_orientation: int
    def __init__(self, format: _Optional[str] = ..., width_px: _Optional[int] = ..., height_px: _Optional[int] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., exif_orientation: _Optional[int] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("name", "state", "stage", "revision", "attempt", "create_time", "update_time", "start_time", "end_time", "expire_time", "options", "image", "regions", "regions_known", "result", "error")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    REGIONS_KNOWN_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: JobState
    stage: JobStage
    revision: int
    attempt: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    options: AnalysisOptions
    image: ImageInfo
    regions: _containers.RepeatedCompositeFieldContainer[_result_pb2.Region]
    regions_known: bool
    result: _result_pb2.AnalysisResult
    error: _status_pb2.Status
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[JobState, str]] = ..., stage: _Optional[_Union[JobStage, str]] = ..., revision: _Optional[int] = ..., attempt: _Optional[int] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., options: _Optional[_Union[AnalysisOptions, _Mapping]] = ..., image: _Optional[_Union[ImageInfo, _Mapping]] = ..., regions: _Optional[_Iterable[_Union[_result_pb2.Region, _Mapping]]] = ..., regions_known: bool = ..., result: _Optional[_Union[_result_pb2.AnalysisResult, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class JobEvent(_message.Message):
    __slots__ = ("job", "revision", "state", "stage", "attempt", "event_time", "regions_found", "snapshot")
    JOB_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FOUND_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    job: str
    revision: int
    state: JobState
    stage: JobStage
    attempt: int
    event_time: _timestamp_pb2.Timestamp
    regions_found: RegionsFound
    snapshot: Job
    def __init__(self, job: _Optional[str] = ..., revision: _Optional[int] = ..., state: _Optional[_Union[JobState, str]] = ..., stage: _Optional[_Union[JobStage, str]] = ..., attempt: _Optional[int] = ..., event_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., regions_found: _Optional[_Union[RegionsFound, _Mapping]] = ..., snapshot: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class RegionsFound(_message.Message):
    __slots__ = ("regions",)
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    regions: _containers.RepeatedCompositeFieldContainer[_result_pb2.Region]
    def __init__(self, regions: _Optional[_Iterable[_Union[_result_pb2.Region, _Mapping]]] = ...) -> None: ...
