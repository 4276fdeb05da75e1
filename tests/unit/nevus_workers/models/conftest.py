"""What loads tiny models into a library, as a worker does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """An empty repository and its library."""
    made = Shelf(tmp_path / "models")
    yield made
    made.librarian.stop()
    made.library.close()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What the librarian logs."""
    lines: list[tuple[str, dict[str, Any]]] = []

    class Log:
        """Keeps what it is told."""

        def __getattr__(self, level: str) -> Callable[..., None]:
            return lambda event, **facts: lines.append((event, facts))

    monkeypatch.setattr("nevus_workers.models.librarian.log", Log())
    return lines
