"""The graphics card as the benchmark sees it: which Keras backend can use it, and how busy nvidia-smi says it is."""

from __future__ import annotations

import csv
import importlib.util
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

SAMPLE_PERIOD_S = 0.5
PROBE_LIMIT_S = 180.0
PROBES = {  # in the order of choice; each prints how many GPUs the backend can use
    "tensorflow": "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))",
    "jax": "import jax; print(sum(one.platform == 'gpu' for one in jax.devices()))",
    "torch": "import torch; print(torch.cuda.device_count())",
}
CARD_FIELDS = "name,memory.total,driver_version"
SAMPLE_FIELDS = "utilization.gpu,memory.used"


@dataclass(frozen=True, slots=True)
class Sample:
    """What nvidia-smi said at one moment; None where a card does not tell."""

    utilisation_percent: float | None
    memory_mib: float | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Samples of a window, of the busiest card at each moment; None where nothing was told."""

    utilisation_mean_percent: float | None
    utilisation_max_percent: float | None
    memory_mean_mib: float | None
    memory_max_mib: float | None


def parse_cards(text: str) -> list[dict[str, Any]]:
    """Returns name, memory_mib and driver of each card from `nvidia-smi --query-gpu` with CARD_FIELDS, as CSV."""
    rows = [row for row in csv.reader(text.splitlines(), skipinitialspace=True) if len(row) == 3]
    return [{"name": name, "memory_mib": _number(memory), "driver": driver} for name, memory, driver in rows]


def parse_sample(text: str) -> Sample:
    """Returns the busiest card's figures from `nvidia-smi --query-gpu` with SAMPLE_FIELDS, as CSV without units."""
    rows = [row for row in csv.reader(text.splitlines()) if len(row) == 2]
    return Sample(_most(_number(row[0]) for row in rows), _most(_number(row[1]) for row in rows))


def usage(samples: Sequence[Sample]) -> Usage:
    """Returns mean and maximum of what the samples tell."""
    busy = [one.utilisation_percent for one in samples if one.utilisation_percent is not None]
    memory = [one.memory_mib for one in samples if one.memory_mib is not None]
    return Usage(_mean(busy), _most(busy), _mean(memory), _most(memory))


def find_backend(wanted: str | None, *, any_device: bool) -> tuple[str, int, str]:
    """Returns a Keras backend ("" if none will do), the GPUs that it sees, and what was found of each backend."""
    if importlib.util.find_spec("keras") is None:
        return "", 0, "Keras is not installed"
    seen = {name: _devices(probe) for name, probe in PROBES.items() if wanted in {None, name}}
    text = ", ".join(f"{name}: {'not usable' if count is None else f'{count} GPU(s)'}" for name, count in seen.items())
    for name, count in seen.items():
        if count:
            return name, count, text
    usable = [name for name, count in seen.items() if count is not None]
    return (usable[0] if usable and any_device else ""), 0, text


class Sampler:
    """Asks nvidia-smi every SAMPLE_PERIOD_S on a thread; asks nothing where there is no nvidia-smi."""

    def __init__(self) -> None:
        self._taken: list[tuple[float, Sample]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def usage(self, begin_s: float, end_s: float) -> Usage:
        """Returns what was seen between two moments of the monotonic clock."""
        return usage([sample for at_s, sample in self._taken if begin_s <= at_s <= end_s])

    def _run(self) -> None:
        if not nvidia_smi(SAMPLE_FIELDS):
            return
        while not self._stop.wait(SAMPLE_PERIOD_S):
            sample = parse_sample(nvidia_smi(SAMPLE_FIELDS))
            self._taken.append((time.monotonic(), sample))


def nvidia_smi(fields: str) -> str:
    """Returns its CSV lines, one a card; nothing where it is missing or finds no driver."""
    words = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout


def _devices(probe: str) -> int | None:
    """Returns what a probe prints; None where it fails, as it does without the backend."""
    try:
        answer = subprocess.run(
            [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=PROBE_LIMIT_S
        )
        return int(answer.stdout.split()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def _number(text: str) -> float | None:
    """Returns a number; None for "[N/A]", "[Not Supported]" and the like."""
    try:
        return float(text)
    except ValueError:
        return None


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
