"""Fetching the notebook's weights, against a server of our own that behaves well, badly, or not at all."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from nevus_core.errors import ModelError
from nevus_workers.models.fetch import FetchLimits, fetch_notebook_cnn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nevus_workers.models.repository import Repository

FAST = FetchLimits(connect_s=2, read_s=1, total_s=20)


class StandIn:
    """A server on loopback: `body` is what it announces and serves, up to `cut`; then it closes, or is `stalling`."""

    def __init__(self) -> None:
        self.body, self.status, self.stall = b"", 200, threading.Event()
        self.cut: int | None = None
        self.stalling = False
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(stand_in.status)
                self.send_header("Content-Length", str(len(stand_in.body)))
                self.end_headers()
                self.wfile.write(stand_in.body[: stand_in.cut])
                self.wfile.flush()
                if stand_in.stalling:
                    stand_in.stall.wait(30)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/model.h5"


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """A running stand-in for Google Drive."""
    served = StandIn()
    thread = threading.Thread(target=served.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    served.stall.set()
    served.server.shutdown()
    served.server.server_close()
    thread.join()


def files(repository: Repository) -> list[str]:
    """Every file in the repository."""
    return sorted(path.name for path in repository.root.rglob("*") if path.is_file())


def fetch_refused(repository: Repository, url: str, limits: FetchLimits = FAST) -> ModelError:
    """The refusal of a fetch."""
    with pytest.raises(ModelError) as caught:
        fetch_notebook_cnn(repository, url=url, limits=limits)
    return caught.value


def test_success(repository: Repository, stand_in: StandIn, legacy_weights: bytes) -> None:
    """Proves that a fetch leaves weights and a card that pins them, shows progress, and may be repeated."""
    stand_in.body = legacy_weights
    seen: list[tuple[int, int | None]] = []
    card = fetch_notebook_cnn(
        repository, url=stand_in.url, progress=lambda done, total: seen.append((done, total)), limits=FAST
    )
    assert (card.key, card.weights_bytes) == ("notebook-cnn@0", len(legacy_weights))
    assert repository.verify(repository.resolve("notebook-cnn", "0")).read_bytes() == legacy_weights
    assert files(repository) == ["model.h5", "model.toml"]
    assert seen[-1] == (len(legacy_weights), len(legacy_weights))
    assert fetch_notebook_cnn(repository, url=stand_in.url, limits=FAST) == card


def test_other_bytes_on_the_second_fetch(repository: Repository, stand_in: StandIn, legacy_weights: bytes) -> None:
    """Proves that the first fetch is pinned: another file of the same size, or of another, changes nothing here."""
    stand_in.body = legacy_weights
    fetch_notebook_cnn(repository, url=stand_in.url, limits=FAST)
    stand_in.body = legacy_weights[:-1] + bytes([legacy_weights[-1] ^ 1])
    assert fetch_refused(repository, stand_in.url).reason == "WEIGHTS_DIGEST_MISMATCH"
    stand_in.body = legacy_weights + b"more"
    assert fetch_refused(repository, stand_in.url).reason == "WEIGHTS_SIZE_MISMATCH"
    assert repository.verify(repository.resolve("notebook-cnn", "0")).read_bytes() == legacy_weights
    assert files(repository) == ["model.h5", "model.toml"]


def test_cut_off_in_the_middle(repository: Repository, stand_in: StandIn, legacy_weights: bytes) -> None:
    """Proves that a connection that breaks off leaves nothing behind."""
    stand_in.body, stand_in.cut = legacy_weights, len(legacy_weights) // 2
    assert fetch_refused(repository, stand_in.url).reason == "FETCH_FAILED"
    assert files(repository) == []


def test_cut_off_keeps_what_was_there(repository: Repository, stand_in: StandIn, legacy_weights: bytes) -> None:
    """Proves that a failed second fetch leaves the first one's file as it was."""
    stand_in.body = legacy_weights
    fetch_notebook_cnn(repository, url=stand_in.url, limits=FAST)
    stand_in.cut = 1000
    assert fetch_refused(repository, stand_in.url).reason == "FETCH_FAILED"
    assert repository.verify(repository.resolve("notebook-cnn", "0")).read_bytes() == legacy_weights


def test_web_page_instead_of_weights(repository: Repository, stand_in: StandIn) -> None:
    """Proves that a page that says "quota exceeded" with status 200 is not taken for weights."""
    stand_in.body = b"<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title></html>"
    error = fetch_refused(repository, stand_in.url)
    assert error.reason == "FETCH_FAILED"
    assert "web page" in error.message
    assert files(repository) == []


def test_weights_of_another_network(repository: Repository, stand_in: StandIn, tmp_path: Path) -> None:
    """Proves that a true HDF5 file that does not fit is refused before it is pinned."""
    import h5py

    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_dataset("something", data=[1, 2, 3])
    stand_in.body = (tmp_path / "other.h5").read_bytes()
    assert fetch_refused(repository, stand_in.url).reason == "MODEL_NOT_LOADED"
    assert files(repository) == []


@pytest.mark.parametrize("status", [404, 500])
def test_server_says_no(repository: Repository, stand_in: StandIn, status: int) -> None:
    """Proves FETCH_FAILED for an error status."""
    stand_in.status = status
    assert fetch_refused(repository, stand_in.url).reason == "FETCH_FAILED"


def test_server_that_falls_silent(repository: Repository, stand_in: StandIn, legacy_weights: bytes) -> None:
    """Proves that a fetch from a server that stops sending ends by the read limit."""
    stand_in.body, stand_in.cut, stand_in.stalling = legacy_weights, 1000, True
    limits = FetchLimits(connect_s=1, read_s=0.2, total_s=20)
    assert fetch_refused(repository, stand_in.url, limits).reason == "FETCH_FAILED"


def test_total_limit(repository: Repository, stand_in: StandIn, legacy_weights: bytes) -> None:
    """Proves that the limit on the whole fetch holds where the read limit alone would not end it."""
    stand_in.body, stand_in.cut, stand_in.stalling = legacy_weights, 1000, True
    limits = FetchLimits(connect_s=1, read_s=30, total_s=0.2)
    assert fetch_refused(repository, stand_in.url, limits).reason == "FETCH_FAILED"


def test_no_server(repository: Repository) -> None:
    """Proves that nobody at the address is a clear, quick refusal."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    error = fetch_refused(repository, f"http://127.0.0.1:{port}/model.h5")
    assert error.reason == "FETCH_FAILED"
    assert files(repository) == []


def test_endless_file(repository: Repository, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that a file larger than any weights can be is given up on early."""
    monkeypatch.setattr("nevus_workers.models.fetch.MAX_BYTES", 1000)
    stand_in.body = b"x" * 5000
    error = fetch_refused(repository, stand_in.url)
    assert error.reason == "FETCH_FAILED"
    assert "larger" in error.message
