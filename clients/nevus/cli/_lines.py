"""Jobs, events and outcomes as the JSON objects of `--json`, and the one way in which they are printed.

Every key is always there; what is not known is null. Keys are added over time and never change their meaning.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import typer

from nevus.errors import NevusError
from nevus.jobs import Event, Failure, Job
from nevus.models import ModelCard
from nevus.results import LesionMeasures, Region, Timings

Line = dict[str, Any]


def emit(line: Line) -> None:
    """Prints one object on one line of stdout, at once."""
    # Non-ASCII is escaped: the line survives every locale.
    typer.echo(json.dumps(line, separators=(", ", ": ")))


def outcome(job: Job | None, *, name: str | None = None, error: NevusError | Failure | None = None) -> Line:
    """Returns what came of one image.

    Args:
        job: The job as far as it is known; None where the image was not accepted.
        name: The job's name where `job` is not known.
        error: Why there is no result, where the job does not say it.
    """
    result = job.result if job else None
    classification = result.classification if result else None
    provenance = result.provenance if result else None
    image = job.image if job else None
    asked_model, _, asked_version = job.options.model.partition("@") if job else ("", "", "")
    regions = result.regions if result else job.regions if job else None
    return {
        "job": job.name if job else name,
        "state": str(job.state) if job else None,
        "label": classification.label if classification else None,
        "probability": classification.probability if classification else None,
        "threshold": classification.threshold if classification else None,
        "operating_point": classification.operating_point if classification else None,
        "regions": None if regions is None else [region(found) for found in regions],
        "image": {
            "width_px": image.width_px if image else None,
            "height_px": image.height_px if image else None,
            "sha256": image.sha256 if image else None,
        },
        "model": {
            "name": (provenance.model if provenance else asked_model) or None,
            "version": (provenance.version if provenance else asked_version) or None,
            "weights_sha256": provenance.weights_sha256 if provenance else None,
        },
        "segmenter": (provenance.segmenter if provenance else job.options.segmenter if job else None) or None,
        "timings_ms": _timings(provenance.timings if provenance else Timings()),
        "needs_review": result.needs_review if result else None,
        "quality_issues": [issue.kind for issue in result.quality_issues] if result else [],
        "measures": _measures(result.measures) if result and result.measures else None,
        "not_for_clinical_use": True,
        "error": failure(error or (job.error if job else None)),
    }


def job_line(job: Job) -> Line:
    """Returns a job as `get`, `wait`, `list`, `cancel` and `submit` print it: its outcome and its bookkeeping."""
    return outcome(job) | {
        "stage": str(job.stage),
        "revision": job.revision,
        "attempt": job.attempt,
        "priority": str(job.options.priority),
        "artifacts": [str(kind) for kind in job.options.artifacts],
        "labels": dict(job.options.labels),
        "create_time": _time(job.create_time),
        "start_time": _time(job.start_time),
        "end_time": _time(job.end_time),
        "expire_time": _time(job.expire_time),
    }


def event_line(event: Event) -> Line:
    """Returns one move of a job as `watch` prints it; `outcome` is set on the final one."""
    return {
        "job": event.job,
        "revision": event.revision,
        "state": str(event.state),
        "stage": str(event.stage),
        "attempt": event.attempt,
        "event_time": _time(event.event_time),
        "regions": None if event.regions is None else [region(found) for found in event.regions],
        "outcome": outcome(event.snapshot) if event.final else None,
        "not_for_clinical_use": True,
    }


def model_line(card: ModelCard) -> Line:
    """Returns a model card as `models list` and `models show` print it."""
    fields = {name: getattr(card, name) for name in ModelCard.__slots__}
    return fields | {"model": card.model, "version": card.version}


def region(found: Region) -> Line:
    """Returns a region's box and area, in pixels of the upright image."""
    box = found.box
    return {"x": box.x, "y": box.y, "width": box.width, "height": box.height, "area_px": found.area_px}


def failure(error: NevusError | Failure | None) -> Line | None:
    """Returns why something failed; None where nothing did."""
    return None if error is None else {"code": error.code, "reason": error.reason, "message": error.message}


def _measures(measures: LesionMeasures) -> Line:
    fields = {name: getattr(measures, name) for name in LesionMeasures.__slots__}
    return fields | {"colours": list(measures.colours)}


def _timings(timings: Timings) -> Line:
    return {name.removesuffix("_ms"): getattr(timings, name) for name in Timings.__slots__}


def _time(time: datetime | None) -> str | None:
    return time.isoformat().replace("+00:00", "Z") if time else None
