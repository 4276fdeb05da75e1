"""A model that serves: loaded, checked, warmed, with its batcher before it; and what makes one of a card."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nevus_core.errors import InvalidRequest, ModelError
from nevus_core.logs import get_logger
from nevus_core.records import PIPELINE_VERSION
from nevus_workers.imaging.reduction import shrink_for
from nevus_workers.memory import resident_bytes
from nevus_workers.models.batcher import Batcher
from nevus_workers.models.engine import Engine, KerasEngine
from nevus_workers.models.precision import FLOAT32

if TYPE_CHECKING:
    from nevus_core.records import ImageInfo, ModelCard
    from nevus_workers.arrangement import Arrangement
    from nevus_workers.imaging.segmenter import Segmenters
    from nevus_workers.models.repository import Repository
    from nevus_workers.stats import Stats
    from nevus_workers.turns import Turns

log = get_logger("models")

WEIGHTS_FACTOR = 4
"""A model takes at least so many times its weights' bytes: the variables, and what compiled graphs and passes keep."""


@dataclass(frozen=True, slots=True)
class ServingModel:
    """A loaded, warmed model and the batcher in front of it.

    Attributes:
        bytes_taken: What it is counted with against `models_memory_mib`.
        reduces: Whether large JPEGs may be decoded smaller for it.
        dtype: What the network computes in.
    """

    engine: Engine
    batcher: Batcher
    bytes_taken: int = 0
    reduces: bool = True
    dtype: str = FLOAT32

    def shrink(self, image: ImageInfo) -> int:
        """Returns by how much an image's sides may be divided when it is decoded for this network alone."""
        return shrink_of(self.engine.card, image) if self.reduces else 1

    @property
    def pipeline_version(self) -> str:
        """What results say made them: PIPELINE_VERSION, and what differs from the settings that it stands for."""
        dtype = () if self.dtype == FLOAT32 else (self.dtype,)
        return "+".join((PIPELINE_VERSION, *dtype, *(() if self.reduces else ("whole",))))


@dataclass(frozen=True, slots=True)
class Loader:
    """Makes cards into models that serve; may do so on a thread beside those that serve already.

    Attributes:
        repository: Where the weights are.
        segmenters: What a card may name as its segmenter, beside the model's own map.
        arrangement: Batches and strips.
        turns: What passes wait for.
        stats: Counts the passes.
    """

    repository: Repository
    segmenters: Segmenters
    arrangement: Arrangement
    turns: Turns
    stats: Stats

    def load(self, card: ModelCard) -> ServingModel:
        """Returns the model, warmed.

        Raises:
            ModelError: Its weights can't be verified or loaded, or its card is wrong.
        """
        began, before = time.monotonic(), resident_bytes()
        arrangement, weights = self.arrangement, self.repository.weights_path(card)
        engine = KerasEngine(card, weights, arrangement.max_batch, arrangement.strips, arrangement.engine_dtype)
        check_segmenter(engine, self.segmenters)
        engine.warm()
        batcher = self._batcher(engine)
        bytes_taken = max(least_bytes(card), resident_bytes() - before)
        log.info(
            "model_ready",
            model=card.key,
            weights_sha256=card.weights_sha256,
            dtype=arrangement.engine_dtype,
            s=round(time.monotonic() - began, 1),
            mib=bytes_taken >> 20,
        )
        return ServingModel(engine, batcher, bytes_taken, arrangement.reduced_decode, arrangement.engine_dtype)

    def _batcher(self, engine: Engine) -> Batcher:
        max_wait_s = self.arrangement.max_wait_ms / 1000
        told = self.stats.passes_of(engine.card.key)
        return Batcher(engine.predict, engine.max_batch, max_wait_s, on_pass=told, turn=self.turns.of_a_pass)


def shrink_of(card: ModelCard, image: ImageInfo) -> int:
    """Returns by how much an image's sides may be divided for a card's network: 1 where it does not see all pixels."""
    if card.resampling != "area":
        return 1
    return shrink_for(image, card.input_width_px, card.input_height_px)


def least_bytes(card: ModelCard) -> int:
    """Returns what a model is known to take before it is loaded."""
    return WEIGHTS_FACTOR * card.weights_bytes


def check_segmenter(engine: Engine, segmenters: Segmenters) -> None:
    """Refuses a model whose own default would fail every request.

    Raises:
        ModelError: INVALID_MODEL_CARD; its card names a segmenter that the model does not have.
    """
    card = engine.card
    try:
        segmenters.choose(card.segmenter, gives_map=engine.gives_map)
    except InvalidRequest as error:
        text = f"The card of {card.key} names the segmenter {card.segmenter!r}, which this model does not have."
        raise ModelError(text, reason="INVALID_MODEL_CARD", metadata={"model": card.key}) from error
