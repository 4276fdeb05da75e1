"""One worker's work in one thread: every step that a job takes beside queue and store, in nevus's own calls.

What the worker does at the same time (a segmenter beside the network) is done in turn here. Each step's processor time
is kept, so that a benchmark can say what costs what.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nevus_core.image_header import inspect_image
from nevus_core.records import Classification, ImageInfo, ModelCard
from nevus_workers.imaging.appearance import Appearance, look
from nevus_workers.imaging.lesion_map import segment_map
from nevus_workers.imaging.measures import measure
from nevus_workers.imaging.reduction import decode_at
from nevus_workers.imaging.regions import Segmentation
from nevus_workers.imaging.segmenter import Segmenter, built_in_segmenters
from nevus_workers.models.engine import Engine
from nevus_workers.models.preparation import prepare_for
from nevus_workers.models.serving import shrink_of
from nevus_workers.pipeline import classify
from nevus_workers.quality import quality_issues

Map = NDArray[np.float32]
"""(rows, columns), 0..1: for each cell of an image the probability that it belongs to a lesion."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An image's bytes, and what the front end told of them."""

    data: bytes
    image: ImageInfo


@dataclass(frozen=True, slots=True)
class Begun:
    """An image that is ready for the network.

    Attributes:
        prepared: (height_px, width_px, 3), what the network takes.
        rest: What the steps after the network need; None where the regions needed no network, and all is done.
    """

    prepared: NDArray[Any]
    rest: Rest | None


@dataclass(frozen=True, slots=True)
class Rest:
    """What is kept of an image until the network's map of it is there; see the pipeline's `_Findings`."""

    upload: Upload
    image_bgr: NDArray[np.uint8]
    shrink: int
    appearance: Appearance


def read_uploads(folder: Path) -> list[Upload]:
    """Returns the images of a folder, in the order of their names.

    Raises:
        InvalidImage: The front end would refuse one.
    """
    files = [path.read_bytes() for path in sorted(folder.iterdir())]
    return [Upload(data, inspect_image(data, max_bytes=len(data), max_pixels=sys.maxsize)) for data in files]


class Work:
    """What one model has done with an image.

    Args:
        card: The model's.
        segmenter: The name of one, or `network`; then the model has to give a map.

    Attributes:
        spent_s: Processor time of this process by step, since it was made; of use where one thread does it all.
    """

    def __init__(self, card: ModelCard, segmenter: str) -> None:
        self._card = card
        self._segmenter: Segmenter | None = built_in_segmenters().choose(segmenter, gives_map=True)
        self.spent_s: defaultdict[str, float] = defaultdict(float)
        self._lap_s = 0.0

    def analyze(self, engine: Engine, chunk: Sequence[Upload]) -> list[Classification]:
        """Returns the class of each image, the steps in the order in which a worker takes them."""
        begun = [self.begin(upload) for upload in chunk]
        self._start()
        answers = engine.predict(np.stack([one.prepared for one in begun]))
        self._end("network")
        maps = [None] * len(chunk) if answers.maps is None else list(answers.maps)
        return [
            self.finish(one, float(probability), lesion_map)
            for one, probability, lesion_map in zip(begun, answers.probabilities, maps, strict=True)
        ]

    def begin(self, upload: Upload) -> Begun:
        """Returns an image ready for the network; where a segmenter gives the regions, all else is done by then."""
        self._start()
        shrink = 1 if self._segmenter else shrink_of(self._card, upload.image)
        image_bgr, shrink = decode_at(upload.data, upload.image, shrink)
        self._end("decode")
        prepared = prepare_for(self._card, image_bgr)
        self._end("prepare")
        found = self._segmenter.segment(image_bgr) if self._segmenter else None
        if found is not None:
            self._end("segment")
        rest = Rest(upload, image_bgr, shrink, look(image_bgr))
        self._end("look")
        if found is None:
            return Begun(prepared, rest)
        self._describe(rest, found)
        return Begun(prepared, None)

    def finish(self, begun: Begun, probability: float, lesion_map: Map | None) -> Classification:
        """Returns the class of an image that the network has answered."""
        self._start()
        if begun.rest is not None:
            assert lesion_map is not None
            image = begun.rest.upload.image
            found = segment_map(lesion_map, image.height_px, image.width_px)
            self._end("segment")
            self._describe(begun.rest, found)
        return classify(self._card, probability, self._card.default_operating_point)

    def _describe(self, rest: Rest, found: Segmentation) -> None:
        """Says what speaks against the result, and measures it."""
        image = rest.upload.image
        quality_issues(rest.appearance, image.width_px, image.height_px, found)
        measure(rest.image_bgr, found.regions, rest.shrink)
        self._end("measure")

    def _start(self) -> None:
        self._lap_s = time.process_time()

    def _end(self, step: str) -> None:
        """Counts the time since the last step ended for this one."""
        now_s = time.process_time()
        self.spent_s[step] += now_s - self._lap_s
        self._lap_s = now_s
