"""Records that look real and mean nothing."""

from __future__ import annotations

import hashlib

from nevus_core.front_store import NewJob
from nevus_core.records import (
    PIPELINE_VERSION,
    Artifact,
    Box,
    Classification,
    ImageInfo,
    JobOptions,
    ModelCard,
    Provenance,
    Region,
    Result,
    Timings,
    WorkerInfo,
)

CARD = ModelCard(
    name="notebook-cnn",
    version="1",
    title="A model for tests",
    intended_use="Tests.",
    limitations="It is made up.",
    training_data="None.",
    licence="CC0-1.0",
    architecture="notebook-cnn",
    weights="none.weights.h5",
    weights_sha256="0" * 64,
    input_width_px=500,
    input_height_px=500,
    operating_points={"balanced": 0.5, "screening": 0.1},
    default_operating_point="balanced",
)

REGIONS = (
    Region(box=Box(x=10, y=20, width=30, height=40), area_px=900.5, contour=(10, 20, 39, 20, 39, 59, 10, 59)),
    Region(box=Box(x=100, y=5, width=11, height=12), area_px=110.0, contour=(100, 5, 110, 5, 110, 16)),
)


def image_info(data: bytes = b"image") -> ImageInfo:
    """Returns what a header could say."""
    digest = hashlib.sha256(data).hexdigest()
    return ImageInfo(format="png", width_px=200, height_px=100, size_bytes=len(data), sha256=digest)


def options(**changes: object) -> JobOptions:
    """Returns options with some of them changed."""
    values: dict[str, object] = {
        "model": CARD.name,
        "version": CARD.version,
        "segmenter": "otsu",
        "operating_point": "balanced",
        "queue_ttl_ms": 60_000,
        "execution_timeout_ms": 30_000,
    }
    return JobOptions(**{**values, **changes})  # type: ignore[arg-type]


def new_job(
    job_id: str, *, tenant: str = "default", request_id: str = "", digest: str = "d", **changes: object
) -> NewJob:
    """Returns a job to accept."""
    return NewJob(f"{tenant}/{job_id}", "accept", request_id, digest, image_info(), options(**changes))


def result(regions: tuple[Region, ...] = REGIONS, artifacts: tuple[Artifact, ...] = ()) -> Result:
    """Returns a result."""
    return Result(
        regions=regions,
        classification=Classification(
            label="malignant",
            probability=0.75,
            probabilities={"benign": 0.25, "malignant": 0.75},
            threshold=0.5,
            operating_point="balanced",
        ),
        provenance=Provenance(
            model=CARD.name,
            version=CARD.version,
            weights_sha256=CARD.weights_sha256,
            segmenter="otsu",
            pipeline_version=PIPELINE_VERSION,
            input_sha256=image_info().sha256,
            width_px=200,
            height_px=100,
            worker="w",
            batch_size=1,
            timings=Timings(decode_ms=1.5, segment_ms=2.5, classify_ms=3.5),
        ),
        artifacts=artifacts,
    )


def worker_info(worker_id: str = "w", models: tuple[ModelCard, ...] = (CARD,)) -> WorkerInfo:
    """Returns what a worker could say of itself."""
    return WorkerInfo(
        id=worker_id, host="here", pid=1, started_ms=1, models=models, segmenters=("otsu",), concurrency=4
    )
