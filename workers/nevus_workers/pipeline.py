"""One image's way through a worker: decode, batch, segment, (regions told), classify, draw.

A segmenter works while the network does; where the regions come from the network's own map, they wait for it.

Pure towards the outside: it gets bytes and options, tells its stages through a callback, and returns the outcome. It
knows neither store nor queue; `jobs` ties it to them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nevus_core.errors import InvalidImage, ModelError
from nevus_core.records import (
    Artifact,
    Classification,
    ImageInfo,
    JobOptions,
    LesionMeasures,
    ModelCard,
    Provenance,
    Region,
    Result,
    Timings,
)
from nevus_core.states import Stage
from nevus_workers.imaging.appearance import Appearance, look
from nevus_workers.imaging.decode import decode
from nevus_workers.imaging.lesion_map import segment_map
from nevus_workers.imaging.measures import measure
from nevus_workers.imaging.reduction import decode_at, reduced_shape
from nevus_workers.imaging.regions import Segmentation
from nevus_workers.imaging.segmenter import Segmenter, Segmenters
from nevus_workers.models.batcher import Prediction
from nevus_workers.models.serving import ServingModel
from nevus_workers.pictures import NEED_PIXELS, draw
from nevus_workers.quality import needs_review, quality_issues
from nevus_workers.room import Room
from nevus_workers.stopwatch import StopWatch

SLOW_PIXELS = 16_000_000
"""From this size on segmenting takes long enough (40 ms) to be told as a stage of its own; telling costs a write."""

Progress = Callable[[Stage, tuple[Region, ...] | None], None]
"""Told at the beginning of a stage (SEGMENTING only of large images); may raise to stop the work."""


class Models(Protocol):
    """Where the pipeline finds a model; a dictionary is one, a library may change meanwhile."""

    def get(self, key: str, /) -> ServingModel | None:
        """Returns a model by `name@version`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an image's analysis gave: the result, and the pictures asked for (kind to PNG bytes)."""

    result: Result
    pictures: dict[Artifact, bytes]


@dataclass(frozen=True, slots=True)
class _Findings:
    """What segmenter and network found in one image, and the image: uint8 (height_px, width_px, 3), blue-green-red.

    `prepared` is what the network was given: (height_px, width_px, 3), as the engine's `prepare` made it. The sides of
    the image are those of the upload divided by `shrink`; regions and mask are in pixels of the upload.
    """

    image_bgr: NDArray[np.uint8]
    shrink: int
    prepared: NDArray[Any]
    appearance: Appearance
    segmentation: Segmentation
    measures: LesionMeasures | None
    prediction: Prediction
    timings: Timings


class Pipeline:
    """The models and segmenters of one worker process, ready for images from any thread.

    Args:
        models: By `name@version`; asked anew for every image.
        segmenters: Those that look at the image; a model's own map comes on top.
        room: For the images that are decoded and segmented at a time.
        worker_id: Goes into every result's provenance.
        poison_sha256: For tests: an upload with this digest ends the process, as a crash of the decoder would.
    """

    def __init__(
        self,
        models: Models,
        segmenters: Segmenters,
        room: Room,
        worker_id: str,
        *,
        poison_sha256: str = "",
    ) -> None:
        self._poison_sha256 = poison_sha256
        self._room = room
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
            InvalidRequest: UNKNOWN_SEGMENTER; the model does not have the segmenter.
            ModelError: MODEL_NOT_LOADED; this worker does not hold the model.
        """
        model = self._model(options)
        segmenter = self._segmenters.choose(options.segmenter, gives_map=model.engine.gives_map)
        if image.sha256 == self._poison_sha256:
            os._exit(137)
        found = self._look(model, segmenter, data, image, progress)
        card, segmentation = model.engine.card, found.segmentation
        classification = classify(card, found.prediction.probability, options.operating_point)
        caption = f"{card.name} {card.version}, {options.segmenter}"
        # Only where it is asked for, and after the answer, which it can't change.
        explanation = model.engine.explain(found.prepared) if Artifact.HEAT_MAP in options.artifacts else None
        ground = self._pixels(found, data, image) if NEED_PIXELS & set(options.artifacts) else found.image_bgr
        pictures = draw(options.artifacts, ground, segmentation, classification, caption, explanation)
        issues = quality_issues(found.appearance, image.width_px, image.height_px, segmentation)
        result = Result(
            regions=segmentation.regions,
            classification=classification,
            quality_issues=issues,
            needs_review=needs_review(issues),
            measures=found.measures,
            provenance=self._provenance(model, image, options, found.prediction, found.timings),
            artifacts=tuple(pictures),
        )
        return Outcome(result, pictures)

    def _look(
        self, model: ServingModel, segmenter: Segmenter | None, data: bytes, image: ImageInfo, progress: Progress
    ) -> _Findings:
        """Returns what is found in an image; without a segmenter the regions are those of the network's own map."""
        pixels = image.width_px * image.height_px
        with model.batcher.expected() as announcement, self._room.of(pixels):
            watch = StopWatch()
            # Regions of the network's own map need no pixels beyond those that it takes.
            image_bgr, shrink = decode_at(data, image, 1 if segmenter else model.shrink(image))
            _check_size(image_bgr, image, shrink)
            decode_ms = watch.lap_ms()
            if pixels >= SLOW_PIXELS:
                progress(Stage.SEGMENTING, None)
            # An image that is alone is segmented and measured while the network is at work on it on other threads.
            prepared = model.engine.prepare(image_bgr)
            waiting = announcement.submit(prepared)
            segmentation = segmenter.segment(image_bgr) if segmenter else None
            segment_ms = watch.lap_ms() if segmenter else 0.0
            appearance = look(image_bgr)
            measures = measure(image_bgr, segmentation.regions, shrink) if segmentation is not None else None
        if segmentation is not None:
            progress(Stage.CLASSIFYING, segmentation.regions)
        prediction = waiting.result()
        classify_ms = watch.lap_ms()
        if segmentation is None:
            assert prediction.map is not None  # noqa: S101 - the engine said that it gives one
            with self._room.of(pixels):
                watch.lap_ms()  # the wait for it
                segmentation = segment_map(prediction.map, image.height_px, image.width_px)
                segment_ms = watch.lap_ms()
                measures = measure(image_bgr, segmentation.regions, shrink)
            progress(Stage.CLASSIFYING, segmentation.regions)
        timings = Timings(decode_ms=decode_ms, segment_ms=segment_ms, classify_ms=classify_ms)
        return _Findings(image_bgr, shrink, prepared, appearance, segmentation, measures, prediction, timings)

    def _pixels(self, found: _Findings, data: bytes, image: ImageInfo) -> NDArray[np.uint8]:
        """Returns the image to draw on, at its own size; decoded anew where the answer was found on a smaller one.

        So the answer is the same whatever pictures are asked for.
        """
        if found.shrink == 1:
            return found.image_bgr
        with self._room.of(image.width_px * image.height_px):
            image_bgr = decode(data)
        _check_size(image_bgr, image)
        return image_bgr

    def _model(self, options: JobOptions) -> ServingModel:
        key = f"{options.model}@{options.version}"
        model = self._models.get(key)
        if model is None:
            raise ModelError(
                f"This worker does not hold {key}. Submit the job again for a model that ListModels names.",
                reason="MODEL_NOT_LOADED",
                metadata={"model": key},
            )
        return model

    def _provenance(
        self, model: ServingModel, image: ImageInfo, options: JobOptions, prediction: Prediction, timings: Timings
    ) -> Provenance:
        card = model.engine.card
        return Provenance(
            model=card.name,
            version=card.version,
            weights_sha256=card.weights_sha256,
            segmenter=options.segmenter,
            pipeline_version=model.pipeline_version,
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


def _check_size(image_bgr: NDArray[np.uint8], image: ImageInfo, shrink: int = 1) -> None:
    """Boxes are promised in the pixels that the header announced; a file that decodes to others is damaged."""
    if image_bgr.shape[:2] != reduced_shape(image, shrink):
        raise InvalidImage("CORRUPT_IMAGE", "The image's pixels are not of the size that its header announces.")
