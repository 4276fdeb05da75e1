"""What is in the wheel, and that the client works from it alone."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, TOP], check=True
    )
    (built,) = folder.glob("nevus-*.whl")
    return built


def test_top_level_names_all_begin_with_nevus(wheel: Path) -> None:
    """Nothing of ours can collide with another distribution; tests, models and deployment files stay out."""
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {
        "nevus",
        "nevus_core",
        "nevus_server",
        "nevus_workers",
    }


def test_what_is_not_code_comes_along(wheel: Path) -> None:
    """Type markers, Lua functions and stubs with their types are in it; nothing is larger than it should be."""
    archive = zipfile.ZipFile(wheel)
    names = set(archive.namelist())
    for needed in (
        "nevus/py.typed",
        "nevus_core/py.typed",
        "nevus_core/lua/00_ground.lua",
        "nevus/v1/analysis_service_pb2.pyi",
        "nevus/v1/analysis_service_pb2_grpc.py",
    ):
        assert needed in names
    assert max(entry.file_size for entry in archive.infolist()) < 200_000


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("versions", ["oldest", "newest"])
def test_the_client_alone_installs_and_runs(wheel: Path, tmp_path: Path, versions: str) -> None:
    """In an environment with nothing else, with the oldest and the newest versions that we say we support."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    oldest = ["grpcio==1.66.2", "protobuf==5.28.0", "googleapis-common-protos==1.65.0", "typer==0.15.1", "rich==13.9.4"]
    pins = oldest if versions == "oldest" else []
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel, *pins], check=True)
    nevus = tmp_path / "env" / "bin" / "nevus"
    answer = subprocess.run([nevus, "--version"], capture_output=True, text=True, check=True)
    assert "nevus" in answer.stdout
    loaded = subprocess.run(
        [python, "-c", "import nevus.v1.analysis_service_pb2_grpc, nevus; nevus.Client('127.0.0.1:1').close()"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert loaded.returncode == 0, loaded.stderr
    refused = subprocess.run([nevus, "up"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "nevus[all]" in refused.stderr
