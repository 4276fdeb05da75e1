"""What all tests share: a real broker, started once, empty for every test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from nevus_server.embedded import EmbeddedBroker

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
"""Real images, where they are at hand."""


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Valkey for the whole run."""
    broker = EmbeddedBroker(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker.url
    broker.stop()


@pytest.fixture
def key_prefix() -> str:
    """A part of the broker that is this test's own."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real images; skips where it is missing."""
    if not (DATA / "labels.csv").exists():
        pytest.skip("the folder of real images is not at hand")
    return DATA
