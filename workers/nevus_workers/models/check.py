"""Whether a folder with a card and its weights would serve: what `nevus models check` and `nevus models add` do.

A card without the weights' size and digest gets them: whoever checks a model vouches for its file.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import msgspec
import numpy as np

from nevus_core.errors import ModelError
from nevus_workers.imaging.segmenter import built_in_segmenters
from nevus_workers.models.card import CARD_FILE, read_card, write_card
from nevus_workers.models.engine import KerasEngine
from nevus_workers.models.repository import file_sha256
from nevus_workers.models.serving import check_segmenter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nevus_core.records import ModelCard
    from nevus_workers.models.repository import Repository

_WEIGHTS_LINE = re.compile(r"^weights\s*=.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Checked:
    """A model that would serve.

    Attributes:
        card: Complete.
        probability: Of the positive class, of the drawn image.
        map_shape: Rows and columns of the lesion's map; None of a model that gives none.
    """

    card: ModelCard
    probability: float
    map_shape: tuple[int, int] | None


def check_folder(folder: Path) -> Checked:
    """Returns what a model says of a drawn image, after completing its card.

    Args:
        folder: Holds `model.toml` and the weights; anywhere, its name does not count.

    Raises:
        ModelError: INVALID_MODEL_CARD, WEIGHTS_MISSING, WEIGHTS_SIZE_MISMATCH, WEIGHTS_DIGEST_MISMATCH,
            MODEL_NOT_LOADED: it would not serve.
    """
    if not (folder / CARD_FILE).is_file():
        raise ModelError(f"There is no {CARD_FILE} in {folder}.", reason="INVALID_MODEL_CARD")
    card = _completed(folder / CARD_FILE)
    engine = KerasEngine(card, folder / card.weights, max_batch=2)
    check_segmenter(engine, built_in_segmenters())
    answers = engine.predict(np.stack([engine.prepare(drawn_bgr())] * 2))
    if not answers.suit(2) or not ((answers.probabilities >= 0) & (answers.probabilities <= 1)).all():
        text = f"{card.key} answers {answers.probabilities.tolist()}, which are no probabilities. Are they logits?"
        raise ModelError(text, reason="INVALID_MODEL_CARD", metadata={"model": card.key})
    shape = None if answers.maps is None else (answers.maps.shape[1], answers.maps.shape[2])
    return Checked(card, float(answers.probabilities[0]), shape)


def add_folder(folder: Path, repository: Repository) -> Checked:
    """Checks a model and copies card and weights into a repository, where they appear as a whole or not at all.

    Raises:
        ModelError: As `check_folder`; MODEL_EXISTS where the repository has this version.
    """
    checked = check_folder(folder)
    target = repository.folder(checked.card)
    if target.exists():
        text = f"{checked.card.key} is there already. A version never changes: give yours another number."
        raise ModelError(text, reason="MODEL_EXISTS", metadata={"model": checked.card.key})
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".publish-", dir=target.parent) as scratch:
        version = Path(scratch) / "version"
        version.mkdir()
        for name in (checked.card.weights, CARD_FILE):
            shutil.copyfile(folder / name, version / name)
        version.rename(target)
    return checked


def drawn_bgr() -> NDArray[np.uint8]:
    """Returns a dark spot on skin: uint8 (240, 320, 3), blue-green-red."""
    image = np.full((240, 320, 3), (150, 165, 215), np.uint8)
    cv2.ellipse(image, (160, 120), (70, 50), 20, 0, 360, (40, 60, 100), cv2.FILLED)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 3), np.uint8)


def _completed(path: Path) -> ModelCard:
    """Returns a card with its weights' size and digest, which are written into the file where they were missing."""
    card = read_card(path)
    weights = path.parent / card.weights
    if card.weights_sha256 or not weights.is_file():
        return card
    complete = msgspec.structs.replace(
        card, weights_bytes=weights.stat().st_size, weights_sha256=file_sha256(weights)
    )  # fmt: skip
    # One line more beside the weights' name keeps the author's own words and comments as they are.
    text = path.read_text("utf-8")
    lines = f'weights_sha256 = "{complete.weights_sha256}"\nweights_bytes = {complete.weights_bytes}'
    longer = _WEIGHTS_LINE.sub(lambda found: f"{found[0]}\n{lines}", text, count=1)
    part = path.with_name(f".{path.name}.part")
    part.write_text(longer, "utf-8")
    try:
        fits = read_card(part) == complete
    except ModelError:
        fits = False
    if fits:
        part.replace(path)
    else:
        part.unlink()
        write_card(path, complete)
    return complete
