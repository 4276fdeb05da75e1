"""`nevus doctor`: each step that can fail says what is wrong and what to do, and the exit code tells."""

from __future__ import annotations

import socket
import time
from typing import Any, Never

import pytest
from typer.testing import CliRunner

from nevus.cli import build_app
from nevus.cli._checkup import _address


@pytest.fixture
def doctor(server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command; the synthetic image is the server's script `image`."""

    def run(*arguments: Any, target: str | None = None, image: bytes = b"ok") -> Any:
        monkeypatch.setattr("nevus.cli._checkup.synthetic_lesion", lambda: image)
        return CliRunner().invoke(build_app(), ["doctor", "--target", target or server.target, *arguments])

    return run


def test_all_is_well(server: Any, doctor: Any) -> None:
    """Four ticks, exit code 0, the job asked for as STAT, and nothing of it left behind."""
    result = doctor()
    assert result.exit_code == 0
    assert [line[0] for line in result.stdout.splitlines()[:4]] == ["✓"] * 4
    assert "1 region, benign 0.250" in result.stdout
    assert "NOT FOR CLINICAL USE" in result.stdout
    assert server.jobs == {}
    analyze = next(request for request in server.requests if getattr(request, "image", None))
    assert analyze.options.priority == 1


def test_quiet_prints_nothing(server: Any, doctor: Any) -> None:
    """For scripts that wait until a server is ready."""
    good, bad = doctor("--quiet"), doctor("--quiet", image=b"fail")
    assert (good.exit_code, good.output) == (0, "")
    assert (bad.exit_code, bad.output) == (1, "")


def test_nothing_listens(doctor: Any, dead_target: str) -> None:
    """Step one, exit code 3."""
    result = doctor(target=dead_target)
    assert result.exit_code == 3
    assert "Nothing listens at 127.0.0.1:1: Connection refused." in result.stdout
    assert "nevus up" in result.stdout


def test_the_name_does_not_resolve(doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step one, exit code 3."""

    def fail(*arguments: Any, **options: Any) -> Never:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.create_connection", fail)
    result = doctor(target="no.such.host:1")
    assert result.exit_code == 3
    assert "The name no.such.host can't be resolved." in result.stdout


def test_something_else_listens(doctor: Any) -> None:
    """A port that takes connections and says nothing is not a nevus server, and the time is bounded."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        begin = time.monotonic()
        result = doctor("--timeout", "1", target=f"127.0.0.1:{other.getsockname()[1]}")
        assert time.monotonic() - begin < 5
    assert result.exit_code == 3
    assert "✗ health" in result.stdout
    assert "does not answer as a nevus server" in result.stdout


def test_no_worker_is_alive(server: Any, doctor: Any) -> None:
    """Not serving and no model: start a worker."""
    server.health[""] = 2
    server.models = []
    result = doctor()
    assert result.exit_code == 1
    assert "no live worker holds a model" in result.stdout
    assert "nevus work" in result.stdout


def test_the_model_is_not_healthy(server: Any, doctor: Any) -> None:
    """The server serves, its only model does not."""
    server.health["model/notebook-cnn"] = 2
    result = doctor()
    assert result.exit_code == 1
    assert "✗ worker and model" in result.stdout


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (b"fail", "ended FAILED (WORKER_LOST: Its workers died.)"),
        (b"refuse", "The image is broken."),
        (b"hang", "did not finish the call in its time"),
    ],
)
def test_the_image_does_not_come_through(server: Any, doctor: Any, image: bytes, text: str) -> None:
    """Step four says why, and purges its job."""
    result = doctor("--timeout", "1", image=image)
    assert result.exit_code == 1
    assert "✗ one image, end to end" in result.stdout
    assert text in result.stdout
    assert server.jobs == {}


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("h:1", ("h", 1)),
        ("[::1]:2", ("::1", 2)),
        ("dns:///h:3", ("h", 3)),
        ("dns:h:4", ("h", 4)),
        ("unix:/run/x", None),
        ("ipv4:1.2.3.4:5", None),
        ("h", None),
    ],
)
def test_addresses(target: str | None, address: tuple[str, int] | None) -> None:
    """HOST:PORT is checked by hand; gRPC's other kinds of target are left to gRPC."""
    assert _address(target) == address
