"""Fetching the notebook's own weights from where the notebook fetched them.

They become version 0 of `notebook-cnn`. The first fetch is believed (nobody published a digest) and its size and
digest are written into the card; every later fetch must bring the same bytes. Half a file is never left behind, and a
file that is there already stays until the new one has passed every check.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from nevus_core.errors import ModelError
from nevus_core.records import ModelCard
from nevus_workers.models.engine import load_model
from nevus_workers.models.repository import file_sha256

if TYPE_CHECKING:
    from nevus_workers.models.repository import Repository

NAME = "notebook-cnn"
VERSION = "0"
DRIVE_ID = "1-yatFvHQokK7fHaaaAMO2TkvlgkUnXhw"
"""Of `model.h5` on Google Drive, as the notebook's gdown line names it."""
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
MAX_BYTES = 64 * 2**20
"""More than this is not the file: the notebook's has 9.6 MB."""

FetchProgress = Callable[[int, int | None], None]
"""Called with the bytes so far and the bytes in all, None where the server does not say."""


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """How long a fetch may take, in seconds: to connect, from byte to byte, and in all."""

    connect_s: float = 10.0
    read_s: float = 20.0
    total_s: float = 600.0


def original_card() -> ModelCard:
    """Returns the card of the notebook's own weights before they were ever fetched: no size, no digest."""
    return ModelCard(
        name=NAME,
        version=VERSION,
        title="The notebook's CNN with its original weights",
        description=(
            "The weights file that the original notebook downloads. It is not part of this project: fetch it with "
            "`nevus models fetch notebook-cnn`. Nothing is known of how it was trained."
        ),
        intended_use=(
            "Comparing with the original notebook. NOT FOR CLINICAL USE: no diagnosis, no triage, no screening."
        ),
        limitations=(
            "Which class its output stands for was never written down: the notebook turns its list of classes round "
            "between two samples. It is read here as the probability of malignant, with the threshold 0.5."
        ),
        training_data="Unknown; the notebook's samples come from the ISIC archive.",
        licence="Unknown. Ask the notebook's author before you pass the weights on.",
        architecture=NAME,
        weights="model.h5",
        input_width_px=500,
        input_height_px=500,
        operating_points={"balanced": 0.5},
        default_operating_point="balanced",
        evaluation_note="Not evaluated: the weights are not part of this project.",
        parameters=2_391_237,
        mega_flops=1747.0,
    )


def fetch_notebook_cnn(
    repository: Repository,
    *,
    url: str | None = None,
    progress: FetchProgress = lambda _done, _total: None,
    limits: FetchLimits | None = None,
) -> ModelCard:
    """Downloads the notebook's weights, checks them, puts them beside their card, and returns the card.

    Args:
        repository: Where `notebook-cnn/0/` is, or will be.
        url: Instead of Google Drive: a mirror that serves the same file.
        progress: Called in this thread for every piece that arrives.
        limits: Seconds.

    Raises:
        ModelError: FETCH_FAILED: no network, no such file, cut off, too slow, too large, or a web page in place of the
            weights; WEIGHTS_SIZE_MISMATCH, WEIGHTS_DIGEST_MISMATCH: not what an earlier fetch brought;
            MODEL_NOT_LOADED: the file does not fit the network.
    """
    known = original_card()
    if VERSION in repository.versions(NAME):
        known = repository.resolve(NAME, VERSION)
    folder = repository.folder(known)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
        part = Path(scratch) / known.weights
        _download(part, url, progress, limits or FetchLimits())
        _check_pinned(known, part)
        load_model(known, part)
        return repository.publish(known, part)


def _download(part: Path, url: str | None, progress: FetchProgress, limits: FetchLimits) -> None:
    """Downloads into a file and sees that it is HDF5.

    Raises:
        ModelError: FETCH_FAILED.
    """
    import gdown
    import requests

    cancel = threading.Event()
    timer = threading.Timer(limits.total_s, cancel.set)
    timer.daemon = True

    def watch(done: int, total: int | None) -> None:
        if max(done, total or 0) > MAX_BYTES:
            _fail(f"the file is larger than {MAX_BYTES} bytes")
        progress(done, total)

    timer.start()
    try:
        with part.open("wb") as file:
            gdown.download(
                url=url,
                id=None if url else DRIVE_ID,
                output=file,
                quiet=True,
                use_cookies=False,
                progress=watch,
                timeout=(limits.connect_s, limits.read_s),
                cancel=cancel,
            )
    except gdown.exceptions.DownloadCancelled as error:
        _fail(f"it took longer than {limits.total_s:g} seconds", error)
    except gdown.exceptions.FileURLRetrievalError as error:
        _fail("Google Drive does not hand the file out (often its download quota is used up; try later)", error)
    except (gdown.exceptions.DownloadError, requests.exceptions.RequestException, OSError, LookupError) as error:
        _fail("the download broke off, or there is no way to the server", error)
    finally:
        timer.cancel()
    with part.open("rb") as received:
        if received.read(len(HDF5_MAGIC)) != HDF5_MAGIC:
            _fail("what came is no weights file, most likely a web page")


def _check_pinned(card: ModelCard, part: Path) -> None:
    """Compares a download with what an earlier fetch brought, where there was one.

    Raises:
        ModelError: WEIGHTS_SIZE_MISMATCH, WEIGHTS_DIGEST_MISMATCH.
    """
    if not card.weights_sha256:
        return
    size_bytes, digest = part.stat().st_size, file_sha256(part)
    metadata = {"model": card.key, "sha256": digest, "expected_sha256": card.weights_sha256}
    text = "The download is not the file that was fetched first. It was thrown away; what was here is untouched."
    if card.weights_bytes and size_bytes != card.weights_bytes:
        raise ModelError(text, reason="WEIGHTS_SIZE_MISMATCH", metadata=metadata)
    if digest != card.weights_sha256:
        raise ModelError(text, reason="WEIGHTS_DIGEST_MISMATCH", metadata=metadata)


def _fail(why: str, cause: Exception | None = None) -> NoReturn:
    message = f"The weights of {NAME} could not be fetched: {why}."
    raise ModelError(message, reason="FETCH_FAILED", metadata={"model": NAME}) from cause
