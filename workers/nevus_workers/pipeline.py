"""One image's way through a worker: decode, segment, (regions told), batch, classify, draw.

Pure towards the outside: it gets bytes and options, tells its stages through a callback, and returns the outcome. It
knows neither store nor queue; `jobs` ties it to them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nevus_core.errors import InvalidImage, ModelError
from nevus_core.records import (
    PIPELINE_VERSION,
    Artifact,
    Classification,
    ImageInfo,
    JobOptions,
    ModelCard,
    Provenance,
    QualityIssue,
    Region,
    Result,
    Timings,
)
from nevus_core.states import Stage
from nevus_workers.imaging.decode import decode
from nevus_workers.imaging.mask import encode_mask
from nevus_workers.imaging.overlay import draw_overlay
from nevus_workers.imaging.regions import Segmentation
from nevus_workers.imaging.segmenter import Segmenters
from nevus_workers.models.batcher import Batcher, Prediction
from nevus_workers.models.engine import Engine
from nevus_workers.room import Room

SLOW_PIXELS = 16_000_000
"""From this size on segmenting takes long enough (40 ms) to be told as a stage of its own; telling costs a write."""

Progress = Callable[[Stage, tuple[Region, ...] | None], None]
"""Told at the beginning of a stage (SEGMENTING only of large images); may raise to stop the work."""


@dataclass(frozen=True, slots=True)
class ServingModel:
    """A loaded, warmed model and the batcher in front of it."""

    engine: Engine
    batcher: Batcher


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an image's analysis gave: the result, and the pictures asked for (kind to PNG bytes)."""

    result: Result
    pictures: dict[Artifact, bytes]


class Pipeline:
    """The models and segmenters of one worker process, ready for images from any thread.

    Args:
        models: By `name@version`.
        segmenters: By name.
        worker_id: Goes into every result's provenance.
        decoders: Images that are decoded and segmented at a time.
        poison_sha256: For tests: an upload with this digest ends the process, as a crash of the decoder would.
    """

    def __init__(
        self,
        models: Mapping[str, ServingModel],
        segmenters: Segmenters,
        worker_id: str,
        *,
        decoders: int = 1,
        poison_sha256: str = "",
    ) -> None:
        self._poison_sha256 = poison_sha256
        self._room = Room(decoders)
        self._models = models
        self._segmenters = segmenters
        self._worker_id = worker_id

    def run(self, data: bytes, image: ImageInfo, options: JobOptions, progress: Progress) -> Outcome:
        """Returns the outcome of one image.

        Args:
            data: The upload.
            image: What its header said when it was accepted.
            options: With every default filled in.
            progress: Called with SEGMENTING if the image is large, then with CLASSIFYING and the regions.

        Raises:
            InvalidImage: The bytes can't be decoded after all.
            ModelError: MODEL_NOT_LOADED; this worker does not hold the model.
        """
        model = self._model(options)
        segmenter = self._segmenters.get(options.segmenter)
        pixels = image.width_px * image.height_px
        if image.sha256 == self._poison_sha256:
            os._exit(137)
        with self._room.of(pixels), model.batcher.expected() as announcement:
            watch = _StopWatch()
            image_bgr = decode(data)
            _check_size(image_bgr, image)
            decode_ms = watch.lap_ms()
            if pixels >= SLOW_PIXELS:
                progress(Stage.SEGMENTING, None)
            # The network is at work on another thread while this one segments: its batch need not wait for the boxes.
            waiting = announcement.submit(model.engine.prepare(image_bgr))
            segmentation = segmenter.segment(image_bgr)
            segment_ms = watch.lap_ms()
        progress(Stage.CLASSIFYING, segmentation.regions)
        prediction = waiting.result()
        timings = Timings(decode_ms=decode_ms, segment_ms=segment_ms, classify_ms=watch.lap_ms())
        classification = classify(model.engine.card, prediction.probability, options.operating_point)
        caption = f"{model.engine.card.name} {model.engine.card.version}, {options.segmenter}"
        pictures = _draw(options.artifacts, image_bgr, segmentation, classification, caption)
        result = Result(
            regions=segmentation.regions,
            classification=classification,
            quality_issues=_quality_issues(segmentation),
            provenance=self._provenance(model.engine.card, image, options, prediction, timings),
            artifacts=tuple(pictures),
        )
        return Outcome(result, pictures)

    def _model(self, options: JobOptions) -> ServingModel:
        key = f"{options.model}@{options.version}"
        if key not in self._models:
            raise ModelError(
                f"This worker does not hold {key}. Submit the job again for a model that ListModels names.",
                reason="MODEL_NOT_LOADED",
                metadata={"model": key},
            )
        return self._models[key]

    def _provenance(
        self, card: ModelCard, image: ImageInfo, options: JobOptions, prediction: Prediction, timings: Timings
    ) -> Provenance:
        return Provenance(
            model=card.name,
            version=card.version,
            weights_sha256=card.weights_sha256,
            segmenter=options.segmenter,
            pipeline_version=PIPELINE_VERSION,
            input_sha256=image.sha256,
            width_px=image.width_px,
            height_px=image.height_px,
            worker=self._worker_id,
            batch_size=prediction.batch_size,
            timings=timings,
        )


def classify(card: ModelCard, probability: float, operating_point: str) -> Classification:
    """Returns the class that an operating point makes of the positive class's probability.

    The notebook took the arg max of one sigmoid value, which is always its list's first name; this compares.

    Args:
        card: Names of the classes and thresholds of the operating points.
        probability: Of the card's last class, 0..1.
        operating_point: One of the card's.
    """
    negative, positive = card.classes[0], card.classes[-1]
    threshold = card.operating_points[operating_point]
    return Classification(
        label=positive if probability >= threshold else negative,
        probability=probability,
        probabilities={negative: 1.0 - probability, positive: probability},
        threshold=threshold,
        operating_point=operating_point,
    )


class _StopWatch:
    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap_ms(self) -> float:
        """Returns the milliseconds since the last call."""
        now = time.perf_counter()
        lap, self._last = (now - self._last) * 1000, now
        return round(lap, 3)


def _check_size(image_bgr: NDArray[np.uint8], image: ImageInfo) -> None:
    """Boxes are promised in the pixels that the header announced; a file that decodes to others is damaged."""
    if image_bgr.shape[:2] != (image.height_px, image.width_px):
        raise InvalidImage("CORRUPT_IMAGE", "The image's pixels are not of the size that its header announces.")


def _quality_issues(segmentation: Segmentation) -> tuple[QualityIssue, ...]:
    if segmentation.left_out:
        message = f"{segmentation.left_out} smaller regions are left out; this is hardly the picture of a lesion."
        return (QualityIssue(kind="TOO_MANY_REGIONS", message=message),)
    if segmentation.regions:
        return ()
    message = "No region stands out from its surroundings; there may be no lesion in the picture."
    return (QualityIssue(kind="NO_REGION_FOUND", message=message),)


def _draw(
    wanted: tuple[Artifact, ...],
    image_bgr: NDArray[np.uint8],
    segmentation: Segmentation,
    classification: Classification,
    caption: str,
) -> dict[Artifact, bytes]:
    pictures = {}
    if Artifact.OVERLAY in wanted:
        pictures[Artifact.OVERLAY] = draw_overlay(image_bgr, segmentation.regions, classification, caption)
    if Artifact.MASK in wanted:
        pictures[Artifact.MASK] = encode_mask(segmentation.mask)
    return pictures
