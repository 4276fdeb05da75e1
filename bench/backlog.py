"""What a job costs beside 0, 1,000, 10,000 and 100,000 queued ones: `PYTHONPATH=tests:. python -m bench.backlog`.

Two stands side by side, each a broker and a front end: one stays empty, the other is filled step by step. Jobs are done
on both in turn, so that whatever else the machine does meets both alike; what counts is the ratio. At 0 both are empty:
that row shows how much of a ratio is noise.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import redis

from bench.scale_side import Side
from bench.scale_stand import PREFIX, Busy, Stand, blank_png, percentile, submit_many
from nevus_core.broker import text
from nevus_core.keys import Keys
from nevus_core.records import Priority

LEVELS = (0, 1_000, 10_000, 100_000)
SAMPLES = 600
LOOK_EVERY = 10
"""Jobs for each look at the list and each sweep."""
WARM_UP = 100
IMAGE_BYTES = 10_000
RATIO_LIMIT = 1.2
JUDGED = ("a whole job", "SubmitJob", "message taken", "claim", "2 stages + outcome")
"""Steps that are timed often enough; of lists and sweeps the broker's own time is judged."""
MEMORY_SAMPLES = 200
FEWEST = 15
"""Times of a step below which its median says nothing."""


def measure(levels: Sequence[int], samples: int, image_bytes: int) -> dict[str, Any]:
    """Runs every level.

    Args:
        levels: Queued jobs on the loaded side, rising.
        samples: Jobs done on each side at each level.
        image_bytes: Size of every image.

    Returns:
        `levels`, one entry a level with the times of both sides, and `memory`, of a job at the last level, `rewrite`.
    """
    image = blank_png(image_bytes)
    with _two_sides(image) as (empty, loaded):
        for _ in range(WARM_UP):
            empty.cycle()
            loaded.cycle()
        queued, rows, memory = 0, [], {}
        for level in levels:
            began_s, used_bytes = time.monotonic(), _used_bytes(loaded.client)
            asyncio.run(submit_many(loaded.stand.target, image, level - queued))
            fill_s = time.monotonic() - began_s
            if level > queued:
                grown_bytes = _used_bytes(loaded.client) - used_bytes
                memory = _memory(loaded.client, grown_bytes / (level - queued), len(image))
            queued = level
            rows.append({"queued": level, "fill_s": fill_s, **_alternate(empty, loaded, samples)})
            print(_level_table(rows[-1]), flush=True)
        rewrite = _while_rewriting(loaded) if queued else {}
        resent = empty.resent + loaded.resent
    return {"levels": rows, "memory": memory, "rewrite": rewrite, "resent": resent}


@contextlib.contextmanager
def _two_sides(image: bytes) -> Iterator[tuple[Side, Side]]:
    with contextlib.ExitStack() as stack:
        sides = []
        for _ in range(2):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="nevus-backlog-"))
            side = Side(stack.enter_context(Stand(Path(folder))), image)
            stack.callback(side.close)
            sides.append(side)
        yield sides[0], sides[1]


def _alternate(empty: Side, loaded: Side, samples: int) -> dict[str, Any]:
    """Does jobs on both sides in turn; returns the medians of each step, and processor time a job."""
    order = random.Random(samples)  # not for secrets: neither side is to be always the second
    pair = [empty, loaded]
    busy = {side: Busy({"front end": side.stand.front, "broker": side.stand.broker}) for side in pair}
    for side in pair:
        side.forget()
    for _ in range(samples):
        order.shuffle(pair)
        for side in pair:
            side.cycle()
    cpu_ms = {
        name: [1000 * busy[side].seconds()[name] / samples for side in (empty, loaded)]
        for name in ("front end", "broker")
    }
    for _ in range(samples // LOOK_EVERY):
        order.shuffle(pair)
        for side in pair:
            side.look()
    called_ms = _medians(empty.times_ms, loaded.times_ms)
    return {"called_ms": called_ms, "broker_us": _medians(empty.broker_us(), loaded.broker_us()), "cpu_ms": cpu_ms}


def _medians(empty: dict[str, list[float]], loaded: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Returns for each step the two medians, the loaded side's 95th percentile, and the ratio of the medians."""
    found = {}
    for name, own in empty.items():
        other = loaded.get(name, [])
        if min(len(own), len(other)) < FEWEST:
            continue
        low, high = statistics.median(own), statistics.median(other)
        found[name] = {
            "empty": low,
            "loaded": high,
            "ratio": high / low if low else float("nan"),
            "loaded_p95": percentile(sorted(other), 0.95),
        }
    return found


def _used_bytes(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])


def _memory(client: redis.Redis, total: float, image_bytes: int) -> dict[str, float]:
    """Returns bytes a queued job: in all, the image's key, the record's, the message's, and the rest (indexes)."""
    refs: Any = client.zrange(f"{PREFIX}:queued:routine", 0, MEMORY_SAMPLES - 1)

    def of(key: str) -> int:
        return client.memory_usage(key, samples=0) or 0

    def mean(kind: str) -> float:
        return statistics.fmean(of(f"{PREFIX}:{kind}:{text(ref)}") for ref in refs)

    messages = Keys(PREFIX).messages(Priority.ROUTINE)
    message = of(messages) / int(client.llen(messages))
    image, record = mean("image"), mean("job")
    return {
        "total": total,
        "image_file": image_bytes,
        "image": image,
        "record": record,
        "message": message,
        "rest": total - image - record - message,
    }


def _while_rewriting(side: Side) -> dict[str, float]:
    """Submits while the broker writes its append-only file anew, as it does by itself whenever the file has doubled."""
    side.times_ms.clear()
    side.client.bgrewriteaof()
    began_s = time.monotonic()
    while time.monotonic() < began_s + 120:
        side.submit()
        if not int(side.client.info("persistence")["aof_rewrite_in_progress"]):
            break
    times = sorted(side.times_ms["SubmitJob"])
    fork_ms = side.client.info("stats")["latest_fork_usec"] / 1000
    return {
        "took_s": time.monotonic() - began_s,
        "submits": len(times),
        "p50_ms": percentile(times, 0.5),
        "p99_ms": percentile(times, 0.99),
        "max_ms": times[-1],
        "fork_ms": fork_ms,
        "log_mib": side.client.info("persistence")["aof_current_size"] / 2**20,
    }


def _level_table(row: dict[str, Any]) -> str:
    lines = [f"{row['queued']} queued (filled in {row['fill_s']:.0f} s)"]
    lines.append(f"  {'p50 seen by the caller, ms':<34}{'empty':>9}{'loaded':>9}{'ratio':>8}{'p95':>9}")
    for name, found in row["called_ms"].items():
        lines.append(f"  {name:<34}" + _cells(found, 2) + f"{found['loaded_p95']:9.2f}")
    lines.append("  p50 inside the broker, us")
    for name, found in sorted(row["broker_us"].items()):
        lines.append(f"  {name:<34}" + _cells(found, 0) + f"{found['loaded_p95']:9.0f}")
    lines.append("  processor time a job, ms")
    for name, (low, high) in row["cpu_ms"].items():
        lines.append(f"  {name:<34}{low:9.2f}{high:9.2f}{high / low:8.2f}")
    return "\n".join(lines)


def _cells(found: dict[str, float], digits: int) -> str:
    return f"{found['empty']:9.{digits}f}{found['loaded']:9.{digits}f}{found['ratio']:8.2f}"


def _end_table(found: dict[str, Any]) -> str:
    memory, rewrite = found["memory"], found["rewrite"]
    return (
        f"memory a queued job, bytes: {memory['total']:.0f} = image {memory['image']:.0f} (file "
        f"{memory['image_file']}) + record {memory['record']:.0f} + message {memory['message']:.0f} + indexes "
        f"{memory['rest']:.0f}\n"
        f"while the broker rewrites its log ({rewrite['log_mib']:.0f} MiB, {rewrite['took_s']:.1f} s): fork "
        f"{rewrite['fork_ms']:.1f} ms; {rewrite['submits']} x SubmitJob p50 {rewrite['p50_ms']:.1f}, p99 "
        f"{rewrite['p99_ms']:.1f}, max {rewrite['max_ms']:.1f} ms"
    )


def beyond(found: dict[str, Any]) -> list[str]:
    """Returns what costs more than the limit beside a backlog."""
    return [
        f"{name} at {row['queued']} queued: {figures['ratio']:.2f} x the empty queue's"
        for row in found["levels"]
        if row["queued"]
        for name, figures in [*row["called_ms"].items(), *row["broker_us"].items()]
        if (name in JUDGED or name in row["broker_us"]) and figures["ratio"] > RATIO_LIMIT
    ]


def main(words: Sequence[str] | None = None) -> int:
    """Measures, prints, writes; returns 0 if no message was taken for lost."""
    parser = argparse.ArgumentParser(prog="bench.backlog", description=__doc__)
    parser.add_argument("--levels", type=int, nargs="+", default=LEVELS, help="queued jobs, rising")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="jobs on each side at each level")
    parser.add_argument("--image-bytes", type=int, default=IMAGE_BYTES)
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args(words)
    found = measure(given.levels, given.samples, given.image_bytes)
    if found["memory"]:
        print(_end_table(found))
    for one in beyond(found) or [f"every step within {RATIO_LIMIT:g} x of the empty queue's"]:
        print(one)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if found["resent"]:
        print(f"FAILED {found['resent']} messages were taken for lost")
    return 1 if found["resent"] else 0


if __name__ == "__main__":
    sys.exit(main())
