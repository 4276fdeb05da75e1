"""A training run as a progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from types import TracebackType

    from nevus_workers.training.plan import Progress as TrainingProgress


class TrainingBar:
    """Shows the running epoch and prints one line for each that has ended. A context manager; call it with progress.

    Args:
        console: Where to draw; stderr without one, so that stdout stays for results.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._bar = Progress(
            TextColumn("[bold]epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  loss {task.fields[loss]:.4f}  {task.fields[eta]}"),
            TimeElapsedColumn(),
            console=console or Console(stderr=True),
        )
        self._task = self._bar.add_task("training", total=None, epoch=0, epochs=0, loss=0.0, eta="")

    def __enter__(self) -> Self:
        """Starts drawing."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops drawing and leaves the last state on the screen."""
        self._bar.stop()

    def __call__(self, progress: TrainingProgress) -> None:
        """Takes what `train` tells."""
        eta = "" if progress.eta_s is None else f"{progress.eta_s / 60:.0f} min left"
        self._bar.update(
            self._task,
            completed=progress.images_done,
            total=progress.images,
            epoch=progress.epoch,
            epochs=progress.epochs,
            loss=progress.loss,
            eta=eta,
        )
        if progress.val_auc is not None:
            masks = "" if progress.val_jaccard is None else f", mean Jaccard {progress.val_jaccard:.4f}"
            self._bar.console.print(
                f"epoch {progress.epoch}/{progress.epochs}: loss {progress.loss:.4f}, "
                f"validation AUC {progress.val_auc:.4f}{masks}"
            )
