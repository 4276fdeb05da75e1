"""From what was typed to a list of image files, each with a stem of its own for the pictures made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nevus.cli._session import usage_error

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True)
class Input:
    """One image file.

    Attributes:
        path: As it was typed or found.
        stem: For output files: the file's own, or with a number where another input has the same.
    """

    path: Path
    stem: str


def expand(paths: list[Path], *, recursive: bool) -> list[Input]:
    """Returns the files named, and the images in the folders named, sorted by name within each.

    Raises:
        typer.Exit: Something does not exist, or a folder holds no image.
    """
    files = [file for path in paths for file in _files(path, recursive=recursive)]
    return list(_with_stems(files))


def _files(path: Path, *, recursive: bool) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            raise usage_error(f"{path} does not exist.")
        return [path]
    found = path.rglob("*") if recursive else path.iterdir()
    files = sorted(
        file for file in found if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
    if not files:
        hint = "" if recursive else "; --recursive looks into its folders as well"
        raise usage_error(f"There is no image ({', '.join(sorted(SUFFIXES))}) in {path}{hint}.")
    return files


def _with_stems(files: list[Path]) -> Iterator[Input]:
    taken: set[str] = set()
    for file in files:
        stem, number = file.stem, 1
        # Folded, for file systems that take A and a for the same.
        while stem.casefold() in taken:
            number += 1
            stem = f"{file.stem}-{number}"
        taken.add(stem.casefold())
        yield Input(file, stem)
