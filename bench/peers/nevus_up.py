"""nevus, whole, as a contestant of a side-by-side with other serving systems; README.md beside says how to run it.

The harness calls this module from three processes. Its runner asks `commands` what to start, its load driver calls the
server through `Client`, and the started command comes back here (`__main__`): it writes the harness's own network,
`work.Model`, as a nevus model where it is not there yet, and becomes `nevus up`. Nothing of nevus is switched off: the
broker's disk is synced before a job is accepted, and every answer is a job's outcome that came as an event.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import nevus

TITLE, PROTOCOL, PACKAGES = "nevus up", "gRPC (stream of events)", ["nevus"]
WORKERS = 2
"""One a core, as the help of `nevus up` says; each has one TensorFlow thread, as the settings ship."""
MODELS = Path(__file__).absolute().parents[1] / "nevus-models"
"""The model repository with the harness's network: in the harness's folder, kept from run to run."""
NAME, VERSION, SEGMENTER = "notebook-cnn", "1", "otsu"
MODEL = f"{NAME}@{VERSION}"
"""What every contestant computes, whatever `nevus up` serves when nobody says."""
THRESHOLD = 0.5
"""Of `work.result`."""


class Context(Protocol):
    """What the harness gives to `commands`: nevus's interpreter, the first of three ports, a scratch folder."""

    python: str
    port: int
    tmp: Path
    env: dict[str, str]
    workers: int


def commands(ctx: Context) -> list[list[str]]:
    """Returns the one command to start; it listens on 127.0.0.1, `ctx.port`."""
    ctx.env.update({"NEVUS_MODELS": str(MODELS), "NEVUS_SERVE_MODELS": MODEL, "NEVUS_DEFAULT_MODEL": MODEL})
    options = ["--listen", f"127.0.0.1:{ctx.port}", "--data", str(ctx.tmp / "data"), "--workers", str(ctx.workers)]
    return [[ctx.python, "-m", "contestants.nevus_up", *options]]


class Client:
    """What a hospital's integration does: one `nevus.AsyncClient`, one `analyze` an image."""

    def __init__(self) -> None:
        self._client: nevus.AsyncClient | None = None

    async def open(self, port: int) -> None:
        """Connects.

        Raises:
            ConnectionError: The server does not serve yet. The harness asks again in 0.1 s, so that the client's own
                patience (its retries back off to 5 s) does not count as cold start.
        """
        import nevus

        self._client = nevus.AsyncClient(f"127.0.0.1:{port}")
        if not await self._client.ready():
            raise ConnectionError("nevus up does not serve yet")

    async def call(self, data: bytes) -> dict[str, Any]:
        """Returns label, probability and boxes [x, y, width, height] of an image, in the harness's form.

        Raises:
            nevus.NevusError: The call failed, or the job did not succeed.
        """
        assert self._client is not None
        job = (await self._client.analyze(data, model=MODEL, segmenter=SEGMENTER)).raise_for_state()
        result = job.result
        assert result is not None
        boxes = [[region.box.x, region.box.y, region.box.width, region.box.height] for region in result.regions]
        found = result.classification
        return {"label": found.label, "probability": found.probability, "boxes": boxes}

    async def close(self) -> None:
        """Closes the connection."""
        if self._client is not None:
            await self._client.close()


def export_model(root: Path) -> None:
    """Writes the network of `work.Model`, weights and card, as MODEL into a model repository."""
    from nevus_core.records import ModelCard
    from nevus_workers.models.repository import Repository

    work = importlib.import_module("work")
    card = ModelCard(
        name=NAME,
        version=VERSION,
        title="Random weights with the harness's seed",
        intended_use="Measuring speed. NOT FOR CLINICAL USE.",
        limitations="The answers are arbitrary.",
        training_data="None.",
        licence="None needed.",
        architecture="notebook-cnn",
        weights="notebook-cnn.weights.h5",
        segmenter=SEGMENTER,
        input_width_px=work.SIDE,
        input_height_px=work.SIDE,
        classes=work.LABELS,
        operating_points={"half": THRESHOLD},
        default_operating_point="half",
    )
    root.mkdir(parents=True, exist_ok=True)
    weights = root / f".{os.getpid()}.weights.h5"
    work.Model(warm_batches=()).keras.save_weights(weights)
    Repository(root).publish(card, weights)


def main(options: list[str]) -> None:
    """Writes the model where it is missing, then becomes `nevus up` with these options; without any, it ends there."""
    if not (MODELS / NAME / VERSION / "model.toml").is_file():
        export_model(MODELS)
    if options:
        os.execv(sys.executable, [sys.executable, "-m", "nevus", "up", *options])


if __name__ == "__main__":
    main(sys.argv[1:])
