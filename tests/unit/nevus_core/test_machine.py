"""What the machine offers, read from files as Linux and its containers write them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nevus_core.machine import cores, gpus, memory_bytes, visible_gpus


def write(root: Path, name: str, text: str) -> None:
    """Writes one of the kernel's files."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


@pytest.mark.parametrize(("quota", "count"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1)])
def test_cores_are_bounded_by_the_containers_quota(
    quota: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quota of two and a half cores is two whole ones; half a core is one."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert cores(tmp_path) == 8
    write(tmp_path, "sys/fs/cgroup/cpu.max", quota + "\n")
    assert cores(tmp_path) == count


def test_memory_is_bounded_by_the_containers_limit(tmp_path: Path) -> None:
    """The smaller of the two counts; "max" is no limit."""
    assert memory_bytes(tmp_path) == 0
    write(tmp_path, "proc/meminfo", "MemTotal:       2048 kB\nMemFree:        1 kB\n")
    assert memory_bytes(tmp_path) == 2048 * 1024
    write(tmp_path, "sys/fs/cgroup/memory.max", "max\n")
    assert memory_bytes(tmp_path) == 2048 * 1024
    write(tmp_path, "sys/fs/cgroup/memory.max", "1000000\n")
    assert memory_bytes(tmp_path) == 1_000_000


@pytest.mark.parametrize(
    ("chosen", "named"),
    [(None, ["0", "1"]), ("1", ["1"]), ("", []), ("-1", []), ("1,-1,0", ["1"]), ("GPU-a, GPU-b", ["GPU-a", "GPU-b"])],
)
def test_cards_that_are_there_and_visible(chosen: str | None, named: list[str], tmp_path: Path) -> None:
    """CUDA_VISIBLE_DEVICES means here what it means to CUDA."""
    environ = {} if chosen is None else {"CUDA_VISIBLE_DEVICES": chosen}
    assert gpus(environ, tmp_path) == 0
    for bus in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "proc/driver/nvidia/gpus" / bus).mkdir(parents=True)
    assert visible_gpus(environ, tmp_path) == named
    assert gpus(environ, tmp_path) == len(named)
