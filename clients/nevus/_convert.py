"""From protobuf messages to the records of `nevus.jobs`, `nevus.results` and `nevus.models`.

The only place that reads those messages. Enum values that are newer than this client become UNSPECIFIED or "UNKNOWN"
instead of an exception, so that an old client goes on working with a new server.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from nevus._status import failure_from_status
from nevus.jobs import ArtifactKind, DeleteReceipt, Event, ImageInfo, Job, JobOptions, JobPriority, JobStage, JobState
from nevus.models import ModelCard
from nevus.results import Box, Classification, LesionMeasures, Provenance, QualityIssue, Region, Result, Timings
from nevus.v1 import analysis_service_pb2, job_pb2, model_service_pb2, result_pb2

_STATES = {job_pb2.JobState.Value(f"JOB_STATE_{state}"): state for state in JobState}
_STAGES = {job_pb2.JobStage.Value(f"JOB_STAGE_{stage}"): stage for stage in JobStage}
_PRIORITIES = {job_pb2.JobPriority.Value(f"JOB_PRIORITY_{p.upper()}"): p for p in JobPriority}
_ARTIFACTS = {job_pb2.ArtifactKind.Value(f"ARTIFACT_KIND_{kind.upper()}"): kind for kind in ArtifactKind}
_ISSUES = {number: name.removeprefix("QUALITY_ISSUE_KIND_") for name, number in result_pb2.QualityIssueKind.items()}
_COLOURS = {number: name.removeprefix("LESION_COLOUR_").lower() for name, number in result_pb2.LesionColour.items()}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def job(message: job_pb2.Job, *, full: bool = True) -> Job:
    """Returns the record of a Job.

    Args:
        message: As the server sent it.
        full: Whether it was asked for with JobView FULL. BASIC says that the regions are known, but leaves them out: an
            empty tuple would then claim "none found".
    """
    result = _result(message.result) if message.HasField("result") else None
    regions = result.regions if result else tuple(map(_region, message.regions))  # a result has the same ones
    return Job(
        name=message.name,
        state=_STATES.get(message.state, JobState.UNSPECIFIED),
        stage=_STAGES.get(message.stage, JobStage.UNSPECIFIED),
        revision=message.revision,
        attempt=message.attempt,
        create_time=_time(message.create_time) if message.HasField("create_time") else None,
        update_time=_time(message.update_time) if message.HasField("update_time") else None,
        start_time=_time(message.start_time) if message.HasField("start_time") else None,
        end_time=_time(message.end_time) if message.HasField("end_time") else None,
        expire_time=_time(message.expire_time) if message.HasField("expire_time") else None,
        options=_options(message.options),
        image=_image(message.image) if message.HasField("image") else None,
        regions=regions if full and message.regions_known else None,
        result=result,
        error=failure_from_status(message.error) if message.HasField("error") else None,
    )


def event(message: job_pb2.JobEvent) -> Event:
    """Returns the record of a JobEvent."""
    return Event(
        job=message.job,
        revision=message.revision,
        state=_STATES.get(message.state, JobState.UNSPECIFIED),
        stage=_STAGES.get(message.stage, JobStage.UNSPECIFIED),
        attempt=message.attempt,
        event_time=_time(message.event_time) if message.HasField("event_time") else None,
        regions=tuple(map(_region, message.regions_found.regions)) if message.HasField("regions_found") else None,
        snapshot=job(message.snapshot) if message.HasField("snapshot") else None,
    )


def receipt(message: analysis_service_pb2.DeleteJobResponse) -> DeleteReceipt:
    """Returns the record of a DeleteJobResponse."""
    return DeleteReceipt(
        name=message.name,
        image_sha256=message.image_sha256,
        purge_time=_time(message.purge_time) if message.HasField("purge_time") else None,
        purged_objects=message.purged_objects,
    )


def model_card(message: model_service_pb2.ModelCard) -> ModelCard:
    """Returns the record of a ModelCard."""
    return ModelCard(
        name=message.name,
        title=message.title,
        description=message.description,
        intended_use=message.intended_use_text,
        limitations=message.limitations,
        training_data=message.training_data,
        licence=message.licence,
        architecture=message.architecture,
        weights_sha256=message.weights_sha256,
        weights_bytes=message.weights_bytes,
        input_width_px=message.input.width_px,
        input_height_px=message.input.height_px,
        colour_order=message.input.colour_order,
        scale=message.input.scale if message.input.HasField("scale") else None,
        classes=tuple(message.classes),
        operating_points={point.name: point.threshold for point in message.operating_points},
        default_operating_point=message.default_operating_point,
        default_segmenter=message.default_segmenter,
        evaluation=dict(message.evaluation),
        evaluation_note=message.evaluation_note,
        parameters=message.parameters,
        mega_flops=message.mega_flops if message.HasField("mega_flops") else None,
        workers=message.workers,
        not_for_clinical_use=message.intended_use == result_pb2.INTENDED_USE_NOT_FOR_CLINICAL_USE,
        resampling=message.input.resampling,
        starting_weights=message.starting_weights,
    )


def _options(message: job_pb2.AnalysisOptions) -> JobOptions:
    return JobOptions(
        model=message.model,
        segmenter=message.segmenter,
        operating_point=message.operating_point,
        priority=_PRIORITIES.get(message.priority, JobPriority.ROUTINE),
        artifacts=tuple(_ARTIFACTS[kind] for kind in message.artifacts if kind in _ARTIFACTS),
        queue_ttl_s=_seconds(message.queue_ttl) if message.HasField("queue_ttl") else None,
        execution_timeout_s=_seconds(message.execution_timeout) if message.HasField("execution_timeout") else None,
        labels=dict(message.labels),
    )


def _image(message: job_pb2.ImageInfo) -> ImageInfo:
    return ImageInfo(
        format=message.format,
        width_px=message.width_px,
        height_px=message.height_px,
        size_bytes=message.size_bytes,
        sha256=message.sha256,
        exif_orientation=message.exif_orientation or 1,
    )


def _region(message: result_pb2.Region) -> Region:
    box, xy_px = message.box, message.contour.xy_px
    return Region(
        box=Box(box.x, box.y, box.width, box.height),
        area_px=message.area_px,
        score=message.score if message.HasField("score") else None,
        contour=tuple(zip(xy_px[::2], xy_px[1::2], strict=False)),
    )


def _result(message: result_pb2.AnalysisResult) -> Result:
    return Result(
        regions=tuple(map(_region, message.regions)),
        classification=_classification(message.classification),
        quality_issues=tuple(
            QualityIssue(_ISSUES.get(one.kind, "UNKNOWN"), one.message) for one in message.quality_issues
        ),
        provenance=_provenance(message.provenance),
        needs_review=message.needs_review,
        measures=_measures(message.measures) if message.HasField("measures") else None,
        not_for_clinical_use=message.intended_use == result_pb2.INTENDED_USE_NOT_FOR_CLINICAL_USE,
    )


def _measures(message: result_pb2.LesionMeasures) -> LesionMeasures:
    return LesionMeasures(
        region=message.region,
        asymmetry_major=message.asymmetry_major if message.HasField("asymmetry_major") else None,
        asymmetry_minor=message.asymmetry_minor if message.HasField("asymmetry_minor") else None,
        border_irregularity=message.border_irregularity if message.HasField("border_irregularity") else None,
        colours=tuple(_COLOURS.get(colour, "unknown") for colour in message.colours),
        diameter_px=message.diameter_px if message.HasField("diameter_px") else None,
    )


def _classification(message: result_pb2.Classification) -> Classification:
    return Classification(
        label=message.label,
        probability=message.probability if message.HasField("probability") else None,
        probabilities={entry.label: entry.probability for entry in message.probabilities},
        threshold=message.threshold if message.HasField("threshold") else None,
        operating_point=message.operating_point,
    )


def _provenance(message: result_pb2.Provenance) -> Provenance:
    return Provenance(
        model=message.model,
        version=message.version,
        weights_sha256=message.weights_sha256,
        segmenter=message.segmenter,
        pipeline_version=message.pipeline_version,
        input_sha256=message.input_sha256,
        width_px=message.width_px,
        height_px=message.height_px,
        worker=message.worker,
        batch_size=message.batch_size,
        timings=_timings(message.timings),
    )


def _timings(message: result_pb2.StageTimings) -> Timings:
    return Timings(
        queued_ms=_ms(message.queued) if message.HasField("queued") else None,
        decode_ms=_ms(message.decode) if message.HasField("decode") else None,
        segment_ms=_ms(message.segment) if message.HasField("segment") else None,
        classify_ms=_ms(message.classify) if message.HasField("classify") else None,
        total_ms=_ms(message.total) if message.HasField("total") else None,
    )


def _time(message: Timestamp) -> datetime:
    # As protobuf's ToDatetime, in half its time (1.4 and 0.66 us, 2026-11-23). datetime.fromtimestamp takes 1.4 us too,
    # and lacks range or precision on some platforms (python/cpython#109849, #110042).
    return _EPOCH + timedelta(0, message.seconds, message.nanos // 1000)


def _seconds(message: Duration) -> float:
    return message.seconds + message.nanos / 1e9


def _ms(message: Duration) -> float:
    return message.seconds * 1e3 + message.nanos / 1e6
