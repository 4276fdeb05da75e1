"""One model behind the pipeline that serves, without queue and store: the same code, arrangement and batcher.

So an image's probability is the served system's own, but for the last bits that the size of its batch may move.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nevus_core.heaps import arrange_heaps
from nevus_core.image_header import inspect_image
from nevus_core.logs import configure_logs
from nevus_core.machine import cores, gpus
from nevus_core.records import Artifact, JobOptions, ModelCard
from nevus_core.settings import ServerSettings, WorkerSettings, load_settings
from nevus_workers.arrangement import arrange
from nevus_workers.imaging.decode import silence_decoders
from nevus_workers.imaging.segmenter import built_in_segmenters
from nevus_workers.models.engine import configure_threads
from nevus_workers.models.repository import Repository
from nevus_workers.models.serving import Loader
from nevus_workers.pipeline import Outcome, Pipeline
from nevus_workers.room import Room
from nevus_workers.stats import Stats
from nevus_workers.turns import make_turns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nevus_core.records import Region
    from nevus_core.states import Stage

WORKER_ID = "evaluate"
"""Stands in the provenance of every result."""


@dataclass(frozen=True, slots=True)
class Served:
    """A warmed model and what is asked of it. `analyse` may be called by `threads` threads at a time.

    Attributes:
        card: The model's.
        pipeline: Holds this model alone.
        options: Of every image: the card's own segmenter and operating point, and the mask where it is wanted.
        threads: How many jobs a worker process would have at a time.
        max_bytes, max_pixels: What the front end would accept.
    """

    card: ModelCard
    pipeline: Pipeline
    options: JobOptions
    threads: int
    max_bytes: int
    max_pixels: int

    def analyse(self, data: bytes) -> Outcome:
        """Returns what the served system would say of an upload.

        Raises:
            InvalidImage: The front end or the worker would refuse it.
        """
        image = inspect_image(data, max_bytes=self.max_bytes, max_pixels=self.max_pixels)
        return self.pipeline.run(data, image, self.options, _tell_nobody)


@contextmanager
def serve(model: str, models: Path, *, masks: bool) -> Iterator[Served]:
    """Yields a model, loaded and warmed as a worker process does it; settings come from the environment, as there.

    Args:
        model: NAME, which means its newest version, or NAME@VERSION.
        models: The repository's folder.
        masks: Whether results are to carry the MASK picture.

    Raises:
        ModelError: The model is not there, or can't be verified or loaded.
        SettingsError: A NEVUS_* variable is wrong.
    """
    name, _, version = model.partition("@")
    card = Repository(models).resolve(name, version or None)
    front = load_settings(ServerSettings)
    settings = load_settings(
        WorkerSettings, models=str(models), serve_models=card.key, log_level="warning", log_format="console"
    )
    arrange_heaps()
    configure_logs(settings)
    arrangement = arrange(settings, cores(), gpus())
    configure_threads(1, arrangement.engine_threads)
    silence_decoders()
    with ExitStack() as undo:
        segmenters, room = built_in_segmenters(), Room(arrangement.decoders)
        loader = Loader(Repository(models), segmenters, arrangement, make_turns(arrangement, room), Stats())
        model_served = loader.load(card)
        undo.callback(model_served.batcher.close)
        options = JobOptions(
            model=card.name,
            version=card.version,
            segmenter=card.segmenter,
            operating_point=card.default_operating_point,
            artifacts=(Artifact.MASK,) if masks else (),
            queue_ttl_ms=round(front.queue_ttl_s * 1000),
            execution_timeout_ms=round(front.execution_timeout_s * 1000),
        )
        pipeline = Pipeline({card.key: model_served}, segmenters, room, WORKER_ID)
        yield Served(card, pipeline, options, arrangement.threads, front.upload_limit_bytes, settings.max_pixels)


def _tell_nobody(stage: Stage, regions: tuple[Region, ...] | None) -> None:
    """Takes the pipeline's progress: nobody watches a single image here."""
    del stage, regions
