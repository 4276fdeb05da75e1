"""The client stands alone: what it may import, and what importing it loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nevus

PACKAGE = Path(nevus.__file__).parent
ALLOWED = {"nevus", "grpc", "google", "typer", "rich"} | sys.stdlib_module_names
OPTIONAL = {PACKAGE / "cli" / "_loop.py": {"uvloop"}}
"""What a file takes where it is installed, and does without where it is not."""
HEAVY = ("tensorflow", "keras", "cv2", "numpy", "celery", "redis", "kombu", "PIL", "nevus_core", "nevus_workers")


def test_only_the_client_and_its_four_dependencies_are_imported() -> None:
    """No import of server, workers or core, also none inside a function."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] in ALLOWED | OPTIONAL.get(path, set()), f"{path} imports {name}"


def loaded(code: str) -> set[str]:
    """Top-level modules after running some code in a fresh interpreter."""
    text = f"import sys; {code}; print(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_the_library_loads_nothing_heavy() -> None:
    """Not even the command's Typer and Rich."""
    modules = loaded("import nevus")
    assert modules.isdisjoint({*HEAVY, "typer", "rich"})
    assert {"nevus", "grpc"} <= modules


@pytest.mark.parametrize("module", ["nevus.cli", "nevus.cli.doctor"])
def test_importing_the_command_loads_nothing_heavy(module: str) -> None:
    """The commands of the client need the client."""
    assert loaded(f"import {module}").isdisjoint(HEAVY)


def test_every_public_function_has_a_docstring() -> None:
    """House style: 100 %, modules and classes as well."""
    for path in PACKAGE.rglob("*.py"):
        if "v1" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), path
        nodes = [*tree.body]
        for node in nodes:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_":
                assert ast.get_docstring(node), f"{path}: {node.name}"
                nodes += node.body if isinstance(node, ast.ClassDef) else []


def test_no_file_is_longer_than_the_house_allows() -> None:
    """400 lines, aim at 250."""
    for path in PACKAGE.rglob("*.py"):
        if "v1" not in path.parts:
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path
