"""Which part of the served system keeps it from being faster on a machine with a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.gpu_card import Usage

FULL = 0.85
"""From this share on something is called full: a window's noise and the work between two images take the rest."""
PYTHON_FULL = 0.7
"""Of a core, of one process's Python: the rest of its lock's time goes to handing the lock over."""

Sign = tuple[bool, str, str]
"""Whether it is so, the bound that it names, and the figures."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the parts of the work do alone.

    Attributes:
        decode_images_per_s: All that is done beside the network in one process, a thread a core, as in a worker.
        decode_processes_images_per_s: The same in a process a core.
        decode_cpu_ms: Processor time an image.
        engine_images_per_s: By batch size; stacking the batch included, as the model thread does it.
        engine_cpu_ms: Processor time an image by batch size.
        engine_usage: Of the card, by batch size.
    """

    decode_images_per_s: float
    decode_processes_images_per_s: float
    decode_cpu_ms: float
    engine_images_per_s: Mapping[int, float]
    engine_cpu_ms: Mapping[int, float]
    engine_usage: Mapping[int, Usage]

    def measured_batch(self, mean: float) -> int:
        """Returns the smallest measured batch size that is no smaller than `mean`, else the largest."""
        return min((size for size in self.engine_images_per_s if size >= mean), default=max(self.engine_images_per_s))


@dataclass(frozen=True, slots=True)
class Load:
    """What one window of the served system took.

    Attributes:
        images_per_s: Served.
        p50_ms: From call to outcome.
        queued_ms: From acceptance to the claim.
        batch_size: Mean.
        busy_cores: By role: client, server, redis, worker.
        utilisation_percent: Of the GPU; None where there is none.
        cores: Of the machine.
        workers: Worker processes.
        decoders: Images that all workers together decode at a time.
    """

    images_per_s: float
    p50_ms: float
    queued_ms: float
    batch_size: float
    busy_cores: Mapping[str, float]
    utilisation_percent: float | None
    cores: int
    workers: int
    decoders: int


def name_bound(load: Load, parts: Parts) -> tuple[str, str]:
    """Returns what keeps the system from being faster, and the figures that say so.

    "decode", "engine", "front end" (the one process), "queue" (broker, and the Python of a worker that claims and
    tells), "client" (the measuring process), or "load" where nothing is full: more in flight would do more.
    """
    signs = (*_full(load, parts), *_waiting(load, parts))
    return next((name, why) for there, name, why in signs if there)


def _full(load: Load, parts: Parts) -> Iterator[Sign]:
    """Yields what may be full, the surest sign first."""
    rate, used, percent = load.images_per_s, load.busy_cores, load.utilisation_percent or 0.0
    at = parts.measured_batch(load.batch_size)
    engine, decode = parts.engine_images_per_s[at], parts.decode_images_per_s
    yield percent >= 100 * FULL, "engine", f"the GPU is busy {percent:.0f} % of the time"
    yield rate >= FULL * engine, "engine", f"alone it does {engine:.1f} images/s at a batch of {at}"
    for role, name in (("server", "front end"), ("redis", "queue"), ("client", "client")):
        yield used[role] >= FULL, name, f"the {role} process takes {used[role]:.2f} cores"
    yield rate >= FULL * decode, "decode", f"alone it does {decode:.1f} images/s on all cores"
    shares = _shares(load, parts)
    decoding = shares["decode"]
    yield decoding >= FULL * load.decoders, "decode", f"it takes {decoding:.2f} cores and may take {load.decoders}"
    most = max(shares, key=lambda name: shares[name])
    taken = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
    yield sum(used.values()) >= FULL * load.cores, most, f"all {load.cores} cores are busy: {taken}"


def _waiting(load: Load, parts: Parts) -> Iterator[Sign]:
    """Yields what may hold the images up where no core and no card is full; the last is always there."""
    python = _python_cores(load, parts)
    full = python >= PYTHON_FULL * load.workers
    yield full, "queue", f"the Python of {load.workers} worker process(es) takes {python:.2f} cores"
    late = load.queued_ms >= load.p50_ms / 2
    yield late, "queue", f"{load.queued_ms:.0f} of {load.p50_ms:.0f} ms go by before the claim, and nothing is full"
    yield True, "load", "nothing is full; more in flight would do more"


def _shares(load: Load, parts: Parts) -> dict[str, float]:
    """Returns busy cores by what they do."""
    seconds = load.images_per_s / 1e3
    return {
        "decode": parts.decode_cpu_ms * seconds,
        "engine": parts.engine_cpu_ms[parts.measured_batch(load.batch_size)] * seconds,
        "front end": load.busy_cores["server"],
        "queue": load.busy_cores["redis"] + _python_cores(load, parts),
        "client": load.busy_cores["client"],
    }


def _python_cores(load: Load, parts: Parts) -> float:
    """Returns what the workers take beyond the work itself: claiming, telling, Celery."""
    work_ms = parts.decode_cpu_ms + parts.engine_cpu_ms[parts.measured_batch(load.batch_size)]
    return max(0.0, load.busy_cores["worker"] - work_ms * load.images_per_s / 1e3)
