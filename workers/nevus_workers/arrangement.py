"""How a worker process divides its part of the machine; each choice is a setting, and 0 there leaves it to `arrange`.

On a CPU one process a core serves best, in batches of 8; more gains nothing and costs memory. Two threads for the
network inside each cost nothing under full load and let a single request use a core that is idle. Measured on two cores
on 2026-11-23, two processes, alternating: images/s with two threads against one 1.00 in batches of 8 (with decoding and
segmenting 1.04), and for one image at a time a median time of 0.85 of the other's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from nevus_core.settings import WorkerSettings

CPU_BATCH, GPU_BATCH = 8, 32
MOST_ENGINE_THREADS = 2
"""On a CPU, where other processes have the other cores."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What a worker process runs.

    Attributes:
        device: "cpu" or "gpu".
        max_batch: Most images in one pass of the network.
        threads: Jobs at a time, those on their way to and from the broker included.
        decoders: Images that are decoded and segmented at a time.
        engine_threads: Threads of one pass on the CPU.
        opencv_threads: Threads of one OpenCV call.
    """

    device: str
    max_batch: int
    threads: int
    decoders: int
    engine_threads: int
    opencv_threads: int = 1

    def described(self) -> dict[str, str | int]:
        """Returns every choice, for the log."""
        return asdict(self)


def arrange(settings: WorkerSettings, cores: int, gpus: int) -> Arrangement:
    """Returns the arrangement for one process.

    Args:
        settings: What is set holds.
        cores: That this process may use.
        gpus: That it may use; the machine's cores are shared by one process for each.
    """
    if gpus:
        max_batch = settings.max_batch or GPU_BATCH
        decoders = settings.decoders or max(1, cores // gpus)
        threads = 2 * max_batch + decoders
        engine_threads = cores
    else:
        max_batch = settings.max_batch or CPU_BATCH
        decoders = settings.decoders or 1
        threads = 2 * max_batch
        engine_threads = min(cores, MOST_ENGINE_THREADS)
    return Arrangement(
        device="gpu" if gpus else "cpu",
        max_batch=max_batch,
        threads=settings.threads or threads,
        decoders=decoders,
        engine_threads=settings.engine_threads or engine_threads,
    )
