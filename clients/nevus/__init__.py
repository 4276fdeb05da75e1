"""nevus: lesion images in over gRPC; boxes, class and probability out. This package is the client.

    import nevus

    with nevus.Client("127.0.0.1:50051") as client:
        job = client.analyze("lesion.jpg").raise_for_state()
        print(job.result.classification.label, job.result.classification.probability)

`Client` blocks, `AsyncClient` is for asyncio; both have the same methods. The command `nevus` is `nevus.cli`. The
protobuf messages and stubs that all this stands on are `nevus.v1`.

NOT FOR CLINICAL USE. nevus is a research and engineering system, not a medical device.
"""

from nevus._requests import Image
from nevus._retry import RetryPolicy
from nevus.aio import AsyncClient
from nevus.client import Client
from nevus.errors import (
    DamagedDownload,
    DeadlineExceeded,
    Denied,
    FailedPrecondition,
    InvalidRequest,
    JobFailed,
    MessageTooLarge,
    NevusError,
    NotFound,
    QuotaExceeded,
    RequestIdReused,
    ServerFault,
    ServerUnreachable,
    Unavailable,
    UnreadableImage,
    Violation,
)
from nevus.jobs import (
    ArtifactKind,
    DeleteReceipt,
    Event,
    Failure,
    ImageInfo,
    Job,
    JobOptions,
    JobPriority,
    JobStage,
    JobState,
    Options,
)
from nevus.models import ModelCard
from nevus.results import Box, Classification, LesionMeasures, Provenance, QualityIssue, Region, Result, Timings
from nevus.synthetic import synthetic_lesion

__all__ = [
    "ArtifactKind",
    "AsyncClient",
    "Box",
    "Classification",
    "Client",
    "DamagedDownload",
    "DeadlineExceeded",
    "DeleteReceipt",
    "Denied",
    "Event",
    "FailedPrecondition",
    "Failure",
    "Image",
    "ImageInfo",
    "InvalidRequest",
    "Job",
    "JobFailed",
    "JobOptions",
    "JobPriority",
    "JobStage",
    "JobState",
    "LesionMeasures",
    "MessageTooLarge",
    "ModelCard",
    "NevusError",
    "NotFound",
    "Options",
    "Provenance",
    "QualityIssue",
    "QuotaExceeded",
    "Region",
    "RequestIdReused",
    "Result",
    "RetryPolicy",
    "ServerFault",
    "ServerUnreachable",
    "Timings",
    "Unavailable",
    "UnreadableImage",
    "Violation",
    "synthetic_lesion",
]
