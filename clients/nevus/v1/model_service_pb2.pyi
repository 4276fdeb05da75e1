from google.api import field_behavior_pb2 as _field_behavior_pb2
from nevus.v1 import result_pb2 as _result_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelCard]
    def __init__(self, models: _Optional[_Iterable[_Union[ModelCard, _Mapping]]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: ModelCard
    def __init__(self, model: _Optional[_Union[ModelCard, _Mapping]] = ...) -> None: ...

class OperatingPoint(_message.Message):
    __slots__ = ("name", "threshold")
    NAME_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    name: str
    threshold: float
    def __init__(self, name: _Optional[str] = ..., threshold: _Optional[float] = ...) -> None: ...

class ModelInput(_message.Message):
    __slots__ = ("width_px", "height_px", "colour_order", "scale", "resampling")
    WIDTH_PX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_PX_FIELD_NUMBER: _ClassVar[int]
    COLOUR_ORDER_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    RESAMPLING_FIELD_NUMBER: _ClassVar[int]
    width_px: int
    height_px: int
    colour_order: str
    scale: float
    resampling: str
    def __init__(self, width_px: _Optional[int] = ..., height_px: _Optional[int] = ..., colour_order: _Optional[str] = ..., scale: _Optional[float] = ..., resampling: _Optional[str] = ...) -> None: ...

class ModelOutputs(_message.Message):
    __slots__ = ("probability", "mask", "logits")
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    LOGITS_FIELD_NUMBER: _ClassVar[int]
    probability: str
    mask: str
    logits: bool
    def __init__(self, probability: _Optional[str] = ..., mask: _Optional[str] = ..., logits: bool = ...) -> None: ...

class ModelCard(_message.Message):
    __slots__ = ("name", "title", "description", "intended_use_text", "limitations", "training_data", "licence", "architecture", "weights_sha256", "weights_bytes", "input", "classes", "operating_points", "default_operating_point", "default_segmenter", "evaluation", "evaluation_note", "parameters", "mega_flops", "workers", "intended_use", "starting_weights", "outputs")
    class EvaluationEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    INTENDED_USE_TEXT_FIELD_NUMBER: _ClassVar[int]
    LIMITATIONS_FIELD_NUMBER: _ClassVar[int]
    TRAINING_DATA_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_SHA256_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_BYTES_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    OPERATING_POINTS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_OPERATING_POINT_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_SEGMENTER_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_NOTE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    MEGA_FLOPS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    INTENDED_USE_FIELD_NUMBER: _ClassVar[int]
    STARTING_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: str
    description: str
    intended_use_text: str
    limitations: str
    training_data: str
    licence: str
    architecture: str
    weights_sha256: str
    weights_bytes: int
    input: ModelInput
    classes: _containers.RepeatedScalarFieldContainer[str]
    operating_points: _containers.RepeatedCompositeFieldContainer[OperatingPoint]
    default_operating_point: str
    default_segmenter: str
    evaluation: _containers.ScalarMap[str, float]
    evaluation_note: str
    parameters: int
    mega_flops: float
    workers: int
    intended_use: _result_pb2.IntendedUse
    starting_weights: str
    outputs: ModelOutputs
    def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., intended_use_text: _Optional[str] = ..., limitations: _Optional[str] = ..., training_data: _Optional[str] = ..., licence: _Optional[str] = ..., architecture: _Optional[str] = ..., weights_sha256: _Optional[str] = ..., weights_bytes: _Optional[int] = ..., input: _Optional[_Union[ModelInput, _Mapping]] = ..., classes: _Optional[_Iterable[str]] = ..., operating_points: _Optional[_Iterable[_Union[OperatingPoint, _Mapping]]] = ..., default_operating_point: _Optional[str] = ..., default_segmenter: _Optional[str] = ..., evaluation: _Optional[_Mapping[str, float]] = ..., evaluation_note: _Optional[str] = ..., parameters: _Optional[int] = ..., mega_flops: _Optional[float] = ..., workers: _Optional[int] = ..., intended_use: _Optional[_Union[_result_pb2.IntendedUse, str]] = ..., starting_weights: _Optional[str] = ..., outputs: _Optional[_Union[ModelOutputs, _Mapping]] = ...) -> None: ...
