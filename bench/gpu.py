"""The whole system on a machine with a GPU, and what bounds it: `PYTHONPATH=tests:. python -m bench.gpu`.

Finds a Keras backend that can use the card, and has the workers use it. Measures the parts alone first: what is done
beside the network on all cores, and the engine at several batch sizes. Then `nevus up`, set up for a GPU, is loaded
with `nevus bench` while nvidia-smi is sampled. `--any-device` runs all this without a GPU, to try it out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.ceiling import LEAD_S, cores
from bench.children import TOP, child, hear, tell
from bench.gpu_bound import Load, Parts, name_bound
from bench.gpu_card import CARD_FIELDS, Sampler, Usage, find_backend, nvidia_smi, parse_cards
from bench.images import draw_folder
from bench.machine import machine
from bench.report import console, write_json
from bench.run import rounded, warm_up_s
from bench.served import Served, ServedFigures, served
from bench.subject import MODEL, Subject, choose
from bench.words import exit_code, numbers, say, setting, sizes
from nevus_core.settings import WorkerSettings

NO_DEVICE = 2
OTHERS = 3
"""Cores that are not given to decoding, where there are more: front end, broker and client."""
BACKEND_SETTINGS = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
"""Else JAX and TensorFlow take most of the card at once, and the memory figure says nothing."""
BACKEND_PACKAGES = ("jax", "jaxlib", "torch")
HEADINGS = (
    "size", "in flight", "images/s", "p50 ms", "p99 ms", "batch", "GPU % mean", "max", "GPU MiB mean", "max",
    "cores: client", "server", "redis", "worker", "decode alone", "engine alone", "bound", "errors",
)  # fmt: skip


def main() -> int:
    """Runs what the command line asks for; returns the exit code."""
    words = _words()
    return exit_code(lambda: _on_this_machine(words))


def _on_this_machine(words: argparse.Namespace) -> int:
    """Finds card and backend, and measures; returns the exit code."""
    cards = parse_cards(nvidia_smi(CARD_FIELDS))
    backend, devices, seen = find_backend(words.backend, any_device=words.any_device)
    names = ", ".join(f"{card['name']} (driver {card['driver']})" for card in cards) or "no card"
    if not backend:
        say(f"no GPU that Keras can use. nvidia-smi: {names}; {seen}. --any-device measures without one.")
        return NO_DEVICE
    say(f"{names}; Keras on {backend}, which sees {devices} GPU(s)")
    os.environ.update({"KERAS_BACKEND": backend, **BACKEND_SETTINGS})
    found = {"backend": backend, "devices": devices, "cards": names}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Sampler() as sampler:
        return _measure(words, found, sampler, Path(folder))


def gpu_settings(max_batch: int, count: int) -> dict[str, str]:
    """Returns NEVUS_* for a worker with a GPU on a machine of `count` cores.

    Jobs at a time: one batch in the network and one behind it, beside those that are being decoded.
    """
    decoders = count - OTHERS if count > 2 * OTHERS else count
    wanted = {"max_batch": max_batch, "threads": 2 * max_batch + decoders, "engine_threads": count}
    if "decoders" in WorkerSettings.__struct_fields__:
        wanted["decoders"] = decoders
    return {f"NEVUS_{name.upper()}": str(value) for name, value in wanted.items()}


@dataclass(frozen=True, slots=True)
class Bench:
    """What was asked for, and what is watched meanwhile."""

    words: argparse.Namespace
    subject: Subject
    settings: Mapping[str, str]
    sampler: Sampler

    def parts(self, folder: Path) -> Parts:
        """Returns what decoding and the engine do alone with a folder's images."""
        together, cpu_ms = self._decode(folder, 1, cores())
        apart, _ = self._decode(folder, cores(), 1)
        rates, engine_cpu_ms, usages = {}, {}, {}
        with child(self._part("engine", cores())) as process:
            hear(process)
            for batch in self.words.batches:
                began_s = time.monotonic()
                tell(process, {"folder": str(folder), "batch": batch, "begin_s": began_s, "seconds": self._seconds})
                answer = hear(process)
                now_s = time.monotonic()
                usages[batch] = self.sampler.usage(now_s - self._seconds, now_s)
                rates[batch], engine_cpu_ms[batch] = answer["images_per_s"], answer["cpu_ms"]
                say(f"engine alone, batches of {batch}: {rates[batch]:.1f} images/s")
        return Parts(together, apart, cpu_ms, rates, engine_cpu_ms, usages)

    def run(self, system: Served, folder: Path, size: str, in_flight: int, parts: Parts) -> dict[str, Any]:
        """Returns one window of the served system as a JSON object."""
        alone = parts.engine_images_per_s[parts.measured_batch(in_flight)]
        warm_s = warm_up_s(in_flight, min(parts.decode_images_per_s, alone))
        begin_s = time.monotonic() + warm_s
        figures = system.measure(folder, in_flight, self._seconds, warm_s)
        # The client takes less time to start than to warm up, so all of these moments lie under its load.
        usage = self.sampler.usage(begin_s, begin_s + self._seconds)
        load = self._load(figures, usage)
        bound, why = name_bound(load, parts)
        say(f"{size}, {in_flight} in flight: {load.images_per_s:.1f} images/s; bound: {bound} ({why})")
        line = {
            "size": size,
            **figures.bench,
            "errors": figures.errors,
            "cpu_ms_per_image": figures.cpu_ms_per_image,
            "busy_cores": load.busy_cores,
            "gpu": asdict(usage),
            "decode_alone_images_per_s": parts.decode_images_per_s,
            "engine_alone_images_per_s": parts.engine_images_per_s[parts.measured_batch(load.batch_size)],
            "workers": figures.workers,
            "bound": bound,
            "why": why,
        }
        return {name: rounded(value) for name, value in line.items()}

    @property
    def _seconds(self) -> float:
        return float(self.words.seconds)

    def _load(self, figures: ServedFigures, usage: Usage) -> Load:
        told, rate = figures.bench, figures.images_per_s
        return Load(
            images_per_s=rate,
            p50_ms=told["p50_ms"] or 0.0,
            queued_ms=told["queued_ms"] or 0.0,
            batch_size=told["batch_size"] or 1.0,
            busy_cores={role: cpu_ms * rate / 1e3 for role, cpu_ms in figures.cpu_ms_per_image.items()},
            utilisation_percent=usage.utilisation_mean_percent,
            cores=cores(),
            workers=figures.workers,
            # A worker without that setting decodes one image at a time.
            decoders=figures.workers * int(self.settings.get("NEVUS_DECODERS", "1")),
        )

    def _decode(self, folder: Path, processes: int, threads: int) -> tuple[float, float]:
        """Returns images a second of all processes together, and processor milliseconds an image."""
        with ExitStack() as undo:
            crew = [undo.enter_context(child(self._part("decode", threads))) for _ in range(processes)]
            for process in crew:
                hear(process)
            order = {"folder": str(folder), "begin_s": time.monotonic() + LEAD_S, "seconds": self._seconds}
            for process in crew:
                tell(process, order)
            answers = [hear(process) for process in crew]
        rate = sum(answer["images_per_s"] for answer in answers)
        say(f"beside the network, {processes} process(es) of {threads} thread(s): {rate:.1f} images/s")
        return rate, statistics.fmean(answer["cpu_ms"] for answer in answers)

    def _part(self, name: str, threads: int) -> list[str]:
        words = ["-m", "bench.gpu_child", name, *self.subject.words]
        return [*words, "--threads", str(threads), "--batch", str(max(self.words.batches))]


def _measure(words: argparse.Namespace, found: Mapping[str, Any], sampler: Sampler, folder: Path) -> int:
    """Measures parts and system; prints and writes what came of it. Returns the exit code."""
    settings = {**gpu_settings(words.max_batch or (64 if found["devices"] else 8), cores()), **dict(words.set)}
    subject = choose(words.models, words.model)
    bench = Bench(words, subject, settings, sampler)
    sizes = {f"{width_px}x{height_px}": (width_px, height_px) for width_px, height_px in words.size}
    folders = {name: draw_folder(folder / name, size, words.images) for name, size in sizes.items()}
    parts = {name: bench.parts(images) for name, images in folders.items()}
    say(f"starting the system ({subject}) with " + ", ".join(f"{name}={value}" for name, value in settings.items()))
    with served(folder, subject, workers=words.workers, settings=settings) as system:
        runs = [
            bench.run(system, images, name, in_flight, parts[name])
            for name, images in folders.items()
            for in_flight in words.in_flight
        ]
    facts = {**machine(), **_versions(), **found}
    _print(runs, {**subject.facts, **facts})
    alone = {name: rounded(asdict(one)) for name, one in parts.items()}
    if words.json:
        write_json(words.json, runs, facts, parts=alone, settings=settings, seconds=words.seconds, **subject.facts)
    return 1 if any(run["errors"] for run in runs) else 0


def _versions() -> dict[str, str]:
    found = {}
    for name in BACKEND_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _print(runs: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> None:
    made = Table(title="Served on this device, and its parts alone", box=None, pad_edge=False, title_justify="left")
    for heading in HEADINGS:
        made.add_column(heading, justify="left" if heading in {"size", "bound"} else "right")
    for run in runs:
        figures = (run["images_per_s"], run["p50_ms"], run["p99_ms"], run["batch_size"], *run["gpu"].values())
        alone = (run["decode_alone_images_per_s"], run["engine_alone_images_per_s"])
        busy = (f"{one:.2f}" for one in run["busy_cores"].values())
        errors = str(sum(run["errors"].values()))
        cells = (*map(_text, figures), *busy, *map(_text, alone), run["bound"], errors)
        made.add_row(run["size"], str(run["in_flight"]), *cells)
    screen = console()
    screen.print(made)
    for run in runs:
        screen.print(f"{run['size']}, {run['in_flight']} in flight: {run['bound']}: {run['why']}")
    screen.print(", ".join(f"{name} {value}" for name, value in facts.items()))


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.gpu", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--in-flight", type=numbers, default=[8, 32, 128, 256], metavar="N,N,...")
    parser.add_argument("--size", type=sizes, default=[(1022, 767), (3008, 2000)], metavar="WxH,WxH,...")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each window")
    parser.add_argument("--batches", type=numbers, default=[8, 32, 64], metavar="N,N,...", help="engine alone")
    parser.add_argument("--max-batch", type=int, help="of the served network; default: 64 on a GPU, else 8")
    parser.add_argument("--workers", type=int, default=1, help="processes; all use the first card")
    parser.add_argument("--images", type=int, default=20, metavar="N", help="drawn of each size")
    parser.add_argument("--backend", choices=("tensorflow", "jax", "torch"), help="default: the first with a GPU")
    parser.add_argument("--any-device", action="store_true", help="without a GPU as well")
    parser.add_argument("--model", default=MODEL, metavar="NAME[@VERSION]", help="with its card's segmenter")
    parser.add_argument("--models", type=Path, default=TOP / "models", metavar="DIR")
    parser.add_argument("--set", type=setting, action="append", default=[], metavar="NAME=VALUE", help="NEVUS_NAME")
    parser.add_argument("--json", type=Path, metavar="FILE")
    words = parser.parse_args()
    words.models = words.models.resolve()
    return words


if __name__ == "__main__":
    sys.exit(main())
