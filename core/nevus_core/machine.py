"""What the machine offers to this process, as kernel, container and environment allow: cores, memory, cards."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_ROOT = Path("/")


def cores(root: Path = _ROOT) -> int:
    """Returns how many cores this process may use: its affinity, or its container's quota where that is less."""
    count = len(core_numbers())
    quota, _, period = _read(root / "sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdecimal() and period.isdecimal():
        count = min(count, int(quota) // int(period))
    return max(count, 1)


def core_numbers() -> list[int]:
    """Returns the numbers of the cores in this process's affinity, ascending; all where the system knows of none."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def memory_bytes(root: Path = _ROOT) -> int:
    """Returns the memory that this process may use: the machine's, or its container's limit; 0 where nobody says."""
    lines = dict(line.split(":", 1) for line in _read(root / "proc/meminfo").splitlines() if ":" in line)
    kibibytes = lines.get("MemTotal", "0").split()[0]
    limit = _read(root / "sys/fs/cgroup/memory.max")
    known = [int(kibibytes) * 1024] + ([int(limit)] if limit.isdecimal() else [])
    return min(known)


def visible_gpus(environ: Mapping[str, str] | None = None, root: Path = _ROOT) -> list[str]:
    """Returns the NVIDIA cards that this process may use, as CUDA_VISIBLE_DEVICES names them; where it is set, it says.

    Args:
        environ: Instead of `os.environ`.
        root: Instead of the file system's root (tests).
    """
    environ = os.environ if environ is None else environ
    try:
        there = [str(number) for number, _ in enumerate((root / "proc/driver/nvidia/gpus").iterdir())]
    except OSError:
        return []
    chosen = environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return there
    named = [word.strip() for word in chosen.split(",")]
    valid = named[: named.index("-1")] if "-1" in named else [word for word in named if word]
    return valid[: len(there)]


def gpus(environ: Mapping[str, str] | None = None, root: Path = _ROOT) -> int:
    """Returns how many cards `visible_gpus` names."""
    return len(visible_gpus(environ, root))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
