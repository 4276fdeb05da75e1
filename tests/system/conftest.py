"""One whole system for all tests that do no harm to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.system import System, running


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """`nevus up` with two workers."""
    with running(tmp_path_factory.mktemp("system"), workers=2) as started:
        yield started
