"""What is known of the models that a server serves, as frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One served version of a model.

    Attributes:
        name: Resource name, `models/{model}/versions/{version}`.
        title: One line.
        description: What it is and where it comes from.
        intended_use: What it was made for.
        limitations: Where it fails.
        training_data: Data it was trained on, with licences.
        licence: Of the weights.
        starting_weights: What training started from, with its licence; empty where it started from none.
        architecture: Name of the network architecture.
        weights_sha256: Of the weights file, 64 lower-case hex digits.
        weights_bytes: Size of the weights file.
        input_width_px: What images are resized to.
        input_height_px: What images are resized to.
        colour_order: "bgr" or "rgb".
        scale: What pixel values 0..255 are multiplied with; None where not known.
        resampling: How images are resized: "linear" or "area"; empty where the server does not say.
        classes: Negative class first, positive class last.
        operating_points: Name to threshold on the positive class's probability.
        default_operating_point: Used where a request names none.
        default_segmenter: Used where a request names none.
        evaluation: Figure name to value, as measured once on held-out images.
        evaluation_note: On what the figures were measured, and how.
        parameters: Number of weights.
        mega_flops: Millions of floating-point operations for one image; None where not known.
        workers: How many live worker processes hold it.
        not_for_clinical_use: What the server stated. Always True from a nevus server.
    """

    name: str
    title: str
    description: str
    intended_use: str
    limitations: str
    training_data: str
    licence: str
    architecture: str
    weights_sha256: str
    weights_bytes: int
    input_width_px: int
    input_height_px: int
    colour_order: str
    scale: float | None
    classes: tuple[str, ...]
    operating_points: Mapping[str, float]
    default_operating_point: str
    default_segmenter: str
    evaluation: Mapping[str, float]
    evaluation_note: str
    parameters: int
    mega_flops: float | None
    workers: int
    not_for_clinical_use: bool
    resampling: str = ""
    starting_weights: str = ""

    @property
    def model(self) -> str:
        """The model's name alone, as `--model NAME` takes it."""
        return self.name.split("/")[1] if self.name.count("/") == 3 else self.name

    @property
    def version(self) -> str:
        """The version alone, as in `--model NAME@VERSION`."""
        return self.name.rsplit("/", 1)[-1]
