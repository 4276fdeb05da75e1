"""From records to the contract's messages."""

from __future__ import annotations

from typing import Any

from google.protobuf import duration_pb2, timestamp_pb2

from nevus.v1 import job_pb2, model_service_pb2, result_pb2
from nevus_core.records import (
    Artifact,
    ImageInfo,
    Job,
    JobOptions,
    LesionMeasures,
    ModelCard,
    Priority,
    Provenance,
    Region,
    Result,
    job_name,
)
from nevus_core.states import Stage, State
from nevus_server.fleet import ServedModel
from nevus_server.status import status_of_failure
from nevus_server.watching import Move

STATES: dict[State, Any] = {state: job_pb2.JobState.Value(f"JOB_STATE_{state}") for state in State}
STAGES: dict[Stage, Any] = {
    stage: job_pb2.JobStage.Value(f"JOB_STAGE_{stage}") if stage else job_pb2.JOB_STAGE_UNSPECIFIED for stage in Stage
}
PRIORITIES: dict[Priority, Any] = {
    priority: job_pb2.JobPriority.Value(f"JOB_PRIORITY_{priority.name}") for priority in Priority
}
ARTIFACTS: dict[Artifact, Any] = {kind: job_pb2.ArtifactKind.Value(f"ARTIFACT_KIND_{kind.name}") for kind in Artifact}


def timestamp(milliseconds: int) -> timestamp_pb2.Timestamp | None:
    """Returns a time of a record; None for 0, which means never."""
    if not milliseconds:
        return None
    return timestamp_pb2.Timestamp(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)


def duration(milliseconds: float) -> duration_pb2.Duration:
    """Returns a duration of a record."""
    nanoseconds = round(milliseconds * 1_000_000)
    return duration_pb2.Duration(seconds=nanoseconds // 10**9, nanos=nanoseconds % 10**9)


def job_message(job: Job, *, full: bool = True) -> job_pb2.Job:
    """Returns a job; without `full`, its regions and result are left out."""
    message = job_pb2.Job(
        name=job.name,
        state=STATES[job.state],
        stage=STAGES[job.stage],
        revision=job.revision,
        attempt=job.attempt,
        create_time=timestamp(job.created_ms),
        update_time=timestamp(job.updated_ms),
        start_time=timestamp(job.started_ms),
        end_time=timestamp(job.finished_ms),
        expire_time=timestamp(job.expire_ms),
        options=_options(job.options),
        image=_image(job.image),
        regions_known=job.regions is not None,
        error=status_of_failure(job.failure) if job.failure else None,
    )
    if full:
        regions = [_region(region) for region in job.regions or ()]
        message.regions.extend(regions)
        if job.result is not None:
            message.result.CopyFrom(_result(job.result, job, regions))  # the same ones
    return message


def event_message(job_id: str, move: Move) -> job_pb2.JobEvent:
    """Returns one move of a job."""
    event = move.event
    message = job_pb2.JobEvent(
        job=job_name(job_id),
        revision=event.revision,
        state=STATES[event.state],
        stage=STAGES[event.stage],
        attempt=event.attempt,
        event_time=timestamp(event.at_ms),
        snapshot=job_message(move.job) if move.job is not None else None,
    )
    if event.regions is not None:
        message.regions_found.regions.extend(_region(region) for region in event.regions)
        message.regions_found.SetInParent()
    return message


def card_message(model: ServedModel) -> model_service_pb2.ModelCard:
    """Returns a served model's card."""
    card = model.card
    return model_service_pb2.ModelCard(
        name=f"models/{card.name}/versions/{card.version}",
        title=card.title,
        description=card.description,
        intended_use_text=card.intended_use,
        limitations=card.limitations,
        training_data=card.training_data,
        licence=card.licence,
        architecture=card.architecture,
        weights_sha256=card.weights_sha256,
        weights_bytes=card.weights_bytes,
        input=_model_input(card),
        classes=card.classes,
        operating_points=[
            model_service_pb2.OperatingPoint(name=name, threshold=threshold)
            for name, threshold in card.operating_points.items()
        ],
        default_operating_point=card.default_operating_point,
        default_segmenter=card.segmenter,
        evaluation=card.evaluation,
        evaluation_note=card.evaluation_note,
        parameters=card.parameters,
        mega_flops=card.mega_flops,
        workers=model.workers,
        intended_use=result_pb2.INTENDED_USE_NOT_FOR_CLINICAL_USE,
        starting_weights=card.starting_weights,
        outputs=_model_outputs(card),
    )


def _model_outputs(card: ModelCard) -> model_service_pb2.ModelOutputs | None:
    if card.outputs is None:
        return None
    outputs = card.outputs
    return model_service_pb2.ModelOutputs(probability=outputs.probability, mask=outputs.mask, logits=outputs.logits)


def _model_input(card: ModelCard) -> model_service_pb2.ModelInput:
    return model_service_pb2.ModelInput(
        width_px=card.input_width_px,
        height_px=card.input_height_px,
        colour_order=card.colour_order,
        scale=card.scale,
        resampling=card.resampling,
    )


def _options(options: JobOptions) -> job_pb2.AnalysisOptions:
    return job_pb2.AnalysisOptions(
        model=f"{options.model}@{options.version}",
        segmenter=options.segmenter,
        operating_point=options.operating_point,
        priority=PRIORITIES[options.priority],
        artifacts=[ARTIFACTS[kind] for kind in options.artifacts],
        queue_ttl=duration(options.queue_ttl_ms),
        execution_timeout=duration(options.execution_timeout_ms),
        labels=options.labels,
    )


def _image(image: ImageInfo) -> job_pb2.ImageInfo:
    return job_pb2.ImageInfo(
        format=image.format,
        width_px=image.width_px,
        height_px=image.height_px,
        size_bytes=image.size_bytes,
        sha256=image.sha256,
        exif_orientation=image.orientation,
    )


def _region(region: Region) -> result_pb2.Region:
    box = region.box
    return result_pb2.Region(
        box=result_pb2.BoundingBox(x=box.x, y=box.y, width=box.width, height=box.height),
        area_px=region.area_px,
        score=region.score,
        contour=result_pb2.Contour(xy_px=region.contour),
    )


def _result(result: Result, job: Job, regions: list[result_pb2.Region]) -> result_pb2.AnalysisResult:
    found = result.classification
    classification = result_pb2.Classification(
        label=found.label,
        probabilities=[
            result_pb2.ClassProbability(label=label, probability=probability)
            for label, probability in found.probabilities.items()
        ],
        threshold=found.threshold,
        operating_point=found.operating_point,
        probability=found.probability,
    )
    issues = [
        result_pb2.QualityIssue(kind=f"QUALITY_ISSUE_KIND_{issue.kind}", message=issue.message)
        for issue in result.quality_issues
    ]
    return result_pb2.AnalysisResult(
        regions=regions,
        classification=classification,
        quality_issues=issues,
        provenance=_provenance(result.provenance, job),
        intended_use=result_pb2.INTENDED_USE_NOT_FOR_CLINICAL_USE,
        needs_review=result.needs_review,
        measures=_measures(result.measures) if result.measures is not None else None,
    )


def _measures(measures: LesionMeasures) -> result_pb2.LesionMeasures:
    return result_pb2.LesionMeasures(
        region=measures.region,
        asymmetry_major=measures.asymmetry_major,
        asymmetry_minor=measures.asymmetry_minor,
        border_irregularity=measures.border_irregularity,
        colours=[f"LESION_COLOUR_{colour.upper()}" for colour in measures.colours],
        diameter_px=measures.diameter_px,
    )


def _provenance(provenance: Provenance, job: Job) -> result_pb2.Provenance:
    timings = provenance.timings
    return result_pb2.Provenance(
        model=provenance.model,
        version=provenance.version,
        weights_sha256=provenance.weights_sha256,
        segmenter=provenance.segmenter,
        pipeline_version=provenance.pipeline_version,
        input_sha256=provenance.input_sha256,
        width_px=provenance.width_px,
        height_px=provenance.height_px,
        worker=provenance.worker,
        batch_size=provenance.batch_size,
        timings=result_pb2.StageTimings(
            queued=duration(job.started_ms - job.created_ms),
            decode=duration(timings.decode_ms),
            segment=duration(timings.segment_ms),
            classify=duration(timings.classify_ms),
            total=duration(job.finished_ms - job.created_ms),
        ),
    )
