"""A run's learning curves as a picture; matplotlib (`pip install nevus[plots]`) draws it, without it there is none."""

from __future__ import annotations

import csv
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

INK = {"train": "#6b7280", "val": "#b91c1c", "mask": "#1d4ed8"}


def draw(log: Path, picture: Path) -> bool:
    """Draws loss, validation AUC and, where there is one, the masks' Jaccard over the epochs.

    Args:
        log: `training.csv` as `Checkpoint` writes it, one epoch at least.
        picture: PNG to write.

    Returns:
        Whether it was drawn: False where matplotlib is missing.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure

    with log.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    epochs = [int(row["epoch"]) for row in rows]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    _line(losses, epochs, rows, "train_loss", "all losses, training", INK["train"])
    _line(losses, epochs, rows, "val_loss", "class loss, validation", INK["val"])
    _line(scores, epochs, rows, "val_auc", "AUC, validation", INK["val"])
    if rows[-1].get("val_jaccard"):
        _line(scores, epochs, rows, "val_jaccard", "mean Jaccard, validation", INK["mask"])
    _mark_best(scores, epochs, rows)
    for axes, title in ((losses, "Loss"), (scores, "Validation")):
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(picture, dpi=110)
    return True


def _line(axes: Any, epochs: list[int], rows: list[dict[str, str]], column: str, label: str, colour: str) -> None:
    """Draws one column of the log."""
    axes.plot(epochs, [float(row[column]) for row in rows], label=label, color=colour, marker=".", markersize=4)


def _mark_best(axes: Any, epochs: list[int], rows: list[dict[str, str]]) -> None:
    """Marks the epoch that is published."""
    best = max(range(len(rows)), key=lambda at: (float(rows[at]["val_auc"]), at))
    height = float(rows[best]["val_auc"])
    axes.scatter([epochs[best]], [height], s=60, facecolors="none", edgecolors=INK["val"])
    axes.annotate(f"{height:.3f}", (epochs[best], height), xytext=(0, 8), textcoords="offset points", ha="center")
