"""The labelled images of an evaluation: a table, a folder of images, perhaps one of masks.

The table is the one that training reads (`nevus_workers.training.dataset`), read more strictly: what training takes as
benign because it is not malignant is an error here, and so is an image that comes twice.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nevus_core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

COLUMNS = ("id", "label", "source", "split")
LABELS = ("benign", "malignant")
SUFFIXES = (".jpg", ".png")
"""Of images, in the order in which they are looked for."""


@dataclass(frozen=True, slots=True)
class Case:
    """One labelled image.

    Attributes:
        id: As the table names it.
        path: Its file.
        malignant: Its label.
        source: The collection it came from.
        diagnosis: As the table gives it; empty where it gives none.
        mask: The drawn mask's file; None where there is none, or none was asked for.
    """

    id: str
    path: Path
    malignant: bool
    source: str
    diagnosis: str = ""
    mask: Path | None = None


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the pictures lie: images, and masks where they are to be compared."""

    images: Path
    masks: Path | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the table and the line it ends on."""

    line: int
    values: dict[str, str]


def read_cases(table: Path, folders: Folders, splits: Sequence[str]) -> list[Case]:
    """Returns the cases of some splits, in the order of the table.

    Args:
        table: CSV with the columns id, label (benign or malignant), source, split; if wanted diagnosis, and has_mask
            (1 where there is a mask; without this column there is one where there is a file).
        folders: `images/<id>.jpg` or `.png`, and `masks/<id>.png`.
        splits: Values of the column split, at least one.

    Raises:
        SettingsError: table, folder, column, split, image or mask is missing, a label is neither of the two, or an id
            comes twice.
    """
    for folder in filter(None, (folders.images, folders.masks)):
        if not folder.is_dir():
            message = f"There is no folder {folder}."
            raise SettingsError(message)
    rows = _rows(table)
    chosen = [row for row in rows if row.values["split"] in splits]
    _check_splits(table, rows, splits)
    _check_rows(table, chosen)
    cases = [_case(row.values, folders) for row in chosen]
    _check_files("image", [case.path for case in cases], cases)
    masked = [case for case in cases if case.mask is not None]
    _check_files("mask", [case.mask for case in masked if case.mask is not None], masked)
    if folders.masks is not None and not masked and "has_mask" not in chosen[0].values:
        message = f"--masks: {folders.masks} has no ID.png for any image. Leave the option out, or name another folder."
        raise SettingsError(message)
    return cases


def _rows(table: Path) -> list[_Row]:
    """Returns all rows of the table."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines, restval="")
            columns = reader.fieldnames or ()
            missing = [column for column in COLUMNS if column not in columns]
            if missing:
                message = f"{table} lacks the columns {', '.join(missing)}; its first line names: {', '.join(columns)}."
                raise SettingsError(message)
            return [_Row(reader.line_num, row) for row in reader]
    except OSError as error:
        message = f"{table} can't be read: {error.strerror}."
        raise SettingsError(message) from error
    except (UnicodeDecodeError, csv.Error) as error:
        message = f"{table} is not a CSV file in UTF-8: {error}."
        raise SettingsError(message) from error


def _check_splits(table: Path, rows: Iterable[_Row], splits: Sequence[str]) -> None:
    """Raises SettingsError for a split that no row has."""
    present = sorted({row.values["split"] for row in rows})
    for split in splits:
        if split not in present:
            message = f"--split: no row of {table} has the split {split!r}. There are: {', '.join(present) or 'none'}."
            raise SettingsError(message)


def _check_rows(table: Path, rows: Sequence[_Row]) -> None:
    """Raises SettingsError for a label that is neither of the two, and for an id that is empty or comes twice."""
    lines: dict[str, int] = {}
    for row in rows:
        name, label = row.values["id"], row.values["label"]
        if label not in LABELS:
            message = f"{table}, line {row.line}: the label is {label!r}; it must be {' or '.join(LABELS)}."
            raise SettingsError(message)
        if not name or name in lines:
            what = f"the id {name!r} is on line {lines[name]} already" if name else "there is no id"
            message = f"{table}, line {row.line}: {what}. Every image needs an id of its own."
            raise SettingsError(message)
        lines[name] = row.line


def _case(row: dict[str, str], folders: Folders) -> Case:
    """Returns what one row says; the image's path is the first suffix's where no file is there."""
    candidates = [folders.images / f"{row['id']}{suffix}" for suffix in SUFFIXES]
    path = next((candidate for candidate in candidates if candidate.is_file()), candidates[0])
    mask = folders.masks / f"{row['id']}.png" if folders.masks is not None else None
    if mask is not None and not (row["has_mask"] == "1" if "has_mask" in row else mask.is_file()):
        mask = None
    return Case(
        id=row["id"],
        path=path,
        malignant=row["label"] == LABELS[1],
        source=row["source"],
        diagnosis=row.get("diagnosis", ""),
        mask=mask,
    )


def _check_files(kind: str, paths: Sequence[Path], cases: Sequence[Case]) -> None:
    """Raises SettingsError where files are missing."""
    absent = [(case.id, path) for case, path in zip(cases, paths, strict=True) if not path.is_file()]
    if absent:
        name, path = absent[0]
        other = f" (nor {SUFFIXES[1]})" if kind == "image" else ""
        message = (
            f"{len(absent)} of {len(cases)} {kind}s are missing. The first: id {name!r} has no {path}{other}. "
            f"Complete the folder, or take the rows out of the table."
        )
        raise SettingsError(message)
