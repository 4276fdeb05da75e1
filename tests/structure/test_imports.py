"""Who may import whom, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent.parent
FLOORS = {
    "nevus": ("clients", set()),
    "nevus_core": ("core", {"nevus"}),
    "nevus_server": ("server", {"nevus", "nevus_core"}),
    "nevus_workers": ("workers", {"nevus_core"}),
}
"""Package: its folder, and which of our other packages it may import. Workers have no business with gRPC messages."""

HEAVY = {"tensorflow", "keras", "cv2", "celery", "redis", "numpy", "kombu", "PIL"}
FORBIDDEN = {
    "nevus": HEAVY | {"msgspec", "structlog"},
    "nevus_core": {"grpc", "google", "celery", "tensorflow", "keras", "cv2", "numpy", "PIL"},
    "nevus_server": {"tensorflow", "keras", "cv2", "numpy", "PIL"},
    "nevus_workers": {"grpc", "google"},
}
"""Package: what it must never import, also not inside a function."""


def imported(path: Path) -> set[str]:
    """Returns the top-level names that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add(str(node.module).partition(".")[0])
    return names


@pytest.mark.parametrize("package", FLOORS)
def test_arrows_point_down_only(package: str) -> None:
    """No package imports one that stands above or beside it, nor a library that is not its business."""
    folder, allowed = FLOORS[package]
    ours = set(FLOORS) - {package} - allowed
    files = list((TOP / folder / package).rglob("*.py"))
    assert files
    wrong = {
        f"{path.relative_to(TOP)}: {name}" for path in files for name in imported(path) & (ours | FORBIDDEN[package])
    }
    assert wrong == set()


HELP = """
import sys
sys.argv = ["nevus", "--help"]
from nevus.cli import main
try:
    main()
except SystemExit:
    print(*sys.modules)
"""


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["-c", "import nevus, sys; print(*sys.modules)"], HEAVY | {"typer", "rich"}),
        (["-c", HELP], HEAVY),
        (["-c", "import nevus_server.main, sys; print(*sys.modules)"], {"tensorflow", "keras", "cv2", "numpy", "PIL"}),
        (["-c", "import nevus_workers.commands, sys; print(*sys.modules)"], {"tensorflow", "keras", "cv2"}),
    ],
    ids=["import nevus", "nevus --help", "front end", "worker commands"],
)  # fmt: skip
def test_nothing_heavy_is_loaded(words: list[str], absent: set[str]) -> None:
    """What a process really loads, asked in a process of its own."""
    answer = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in answer.stdout.split()}
    assert "sys" in loaded
    assert loaded & absent == set()


def test_no_file_is_longer_than_400_lines() -> None:
    """A longer file holds more than one noun. Generated code is not counted."""
    long = {}
    for folder in ("clients", "core", "server", "workers", "tests", "bench"):
        for path in (TOP / folder).rglob("*.py"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > 400 and "_pb2" not in path.name and "node_modules" not in path.parts:
                long[str(path.relative_to(TOP))] = lines
    assert long == {}
