"""How a worker process divides its part of the machine; each choice is a setting, and 0 there leaves it to `arrange`.

On a CPU one process a core serves best, in batches of 8 on one thread; more gains nothing and costs memory. There
decoding and the network take turns, for side by side on one core they drive each other's data out of its caches; a
process that has more cores to itself lets them overlap. An image that is alone is cut into strips, so that it uses a
core that is idle: `nevus_workers.models.strips` says what that gives. Figures: docs/performance.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from nevus_core.settings import WorkerSettings

CPU_BATCH, GPU_BATCH = 8, 32
TURNS_WAIT_MS, WAIT_MS = 100.0, 2.0
"""Where decoding and the network take turns, the core decodes the images waited for, one of 6 megapixels in some 40 ms;
else what computes the batch would stand idle."""
MOST_ENGINE_THREADS = 2
"""On a CPU; measured for two."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What a worker process runs.

    Attributes:
        device: "cpu" or "gpu".
        max_batch: Most images in one pass of the network.
        max_wait_ms: Longest wait of a batch for images on their way to it.
        turns: Whether decoding and the network take turns on one core.
        home_core: Where the process keeps to while batch follows batch; None: it runs wherever it may.
        threads: Jobs at a time, those on their way to and from the broker included.
        decoders: Images that are decoded and segmented at a time.
        engine_threads: Cores that an image alone may use for its pass on a CPU.
        opencv_threads: Threads of one OpenCV call.
        engine_dtype: What networks compute in: "float32" or "bfloat16".
        reduced_decode: Whether large JPEGs may be decoded smaller (`nevus_workers.imaging.reduction`).
    """

    device: str
    max_batch: int
    max_wait_ms: float
    turns: bool
    threads: int
    decoders: int
    engine_threads: int
    opencv_threads: int = 1
    engine_dtype: str = "float32"
    reduced_decode: bool = True
    home_core: int | None = None

    @property
    def strips(self) -> int:
        """Into how many strips an image alone is cut."""
        return self.engine_threads if self.device == "cpu" else 1

    def described(self) -> dict[str, str | int | None]:
        """Returns every choice, for the log."""
        return asdict(self)


def arrange(settings: WorkerSettings, cores: int, gpus: int) -> Arrangement:
    """Returns the arrangement for one process.

    Args:
        settings: What is set holds.
        cores: That this process may use; on a CPU those beyond its own only while they are idle.
        gpus: That it may use; the machine's cores are shared by one process for each.
    """
    turns = not gpus and (settings.own_cores or cores) == 1
    if gpus:
        max_batch = settings.max_batch or GPU_BATCH
        decoders = settings.decoders or max(1, cores // gpus)
        threads = 2 * max_batch + decoders
        engine_threads = cores
    else:
        max_batch = settings.max_batch or CPU_BATCH
        decoders = settings.decoders or 1
        # One batch in the network, half of the next one on the way. More threads would hold jobs that only wait, and
        # find no next one when they settle theirs (docs/performance.md).
        threads = max_batch + max(1, max_batch // 2)
        engine_threads = min(cores, MOST_ENGINE_THREADS)
    return Arrangement(
        device="gpu" if gpus else "cpu",
        max_batch=max_batch,
        max_wait_ms=settings.max_wait_ms if settings.max_wait_ms is not None else TURNS_WAIT_MS if turns else WAIT_MS,
        turns=turns,
        threads=settings.threads or threads,
        decoders=decoders,
        engine_threads=settings.engine_threads or engine_threads,
        engine_dtype=settings.engine_dtype,
        reduced_decode=settings.reduced_decode,
        home_core=settings.home_core if turns else None,
    )
