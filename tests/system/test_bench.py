"""`make bench` in small: shape and sanity of what it writes, and that nothing is left running. No absolute times."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.system import START_LIMIT_S, TOP

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NUMBERS = (
    "images_per_s", "ceiling_images_per_s", "ratio", "ratio_min", "ratio_max", "p50_ms", "p95_ms", "p99_ms",
    "ceiling_cpu_ms_per_image", "batch_size",
)  # fmt: skip


def bench(folder: Path, *words: str, module: str = "bench") -> subprocess.Popen[str]:
    """Starts a benchmark, its scratch folder inside `folder`."""
    scratch = folder / "scratch"
    scratch.mkdir()
    environ = {**os.environ, "PYTHONPATH": f"{TOP}/tests:{TOP}", "TMPDIR": str(scratch)}
    small = ["--size", "320x240", "--images", "3", "--seconds", "1", "--rounds", "1", *words]
    command = [sys.executable, "-m", module, *small]
    return subprocess.Popen(command, cwd=TOP, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def measured(folder: Path, *words: str, module: str = "bench") -> tuple[dict[str, Any], str]:
    """What a whole run wrote and printed."""
    process = bench(folder, "--json", str(folder / "bench.json"), *words, module=module)
    printed, told = process.communicate(timeout=500)
    assert process.returncode == 0, told
    assert list((folder / "scratch").iterdir()) == []
    return json.loads((folder / "bench.json").read_text()), printed


def row(printed: str, run: dict[str, Any]) -> list[float]:
    """The run's numbers in the first table: in flight, images/s, the ceiling's, served over ceiling, ..."""
    line = re.search(rf"^{run['size']} +{run['in_flight']} .*$", printed, re.MULTILINE)
    assert line is not None, printed
    return [float(number) for number in re.findall(r"[\d.]+", line[0].removeprefix(run["size"]))]


def test_a_run_writes_sane_figures_and_a_picture(tmp_path: Path) -> None:
    """Everything that the issue names is there, and what must follow from each other does."""
    words = ("--in-flight", "1,4", "--workers", "1", "--picture", str(tmp_path / "bench.png"))
    found, printed = measured(tmp_path, *words)
    assert [(run["size"], run["in_flight"]) for run in found["runs"]] == [("320x240", 1), ("320x240", 4)]
    for run in found["runs"]:
        assert all(run[name] > 0 for name in NUMBERS), run
        assert set(run["cpu_ms_per_image"]) == {"client", "server", "redis", "worker"}
        assert all(value > 0 for value in run["cpu_ms_per_image"].values())
        assert run["ratio_min"] <= run["ratio"] <= run["ratio_max"]
        assert run["p50_ms"] <= run["p95_ms"] <= run["p99_ms"]
        assert (run["errors"], run["workers"]) == ({}, 1)
        assert row(printed, run)[3] == pytest.approx(run["ratio"], abs=0.0006)  # three digits of four
    alone, several = found["runs"]
    assert alone["added_p50_ms"] == pytest.approx(alone["p50_ms"] - alone["ceiling_p50_ms"], abs=0.01)
    assert several["ceiling_p50_ms"] is None
    assert alone["regions_before_class_ms"] > 0  # one image at a time is streamed with every event
    assert (found["model"], found["segmenter"]) == ("notebook-cnn@1", "otsu")
    assert found["machine"]["cores"] >= 1
    assert str(TOP) not in json.dumps(found)
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_another_model_is_measured_with_its_own_map(tmp_path: Path) -> None:
    """Ceiling and served system alike; its boxes come with its class, for one pass gives both."""
    picture = str(tmp_path / "bench.png")
    found, printed = measured(
        tmp_path, "--model", "derm-joint", "--in-flight", "4", "--workers", "1", "--picture", picture
    )
    assert (found["model"], found["segmenter"]) == ("derm-joint@1", "network")
    assert "derm-joint@1, network" in printed
    (run,) = found["runs"]
    assert (run["errors"], run["workers"]) == ({}, 1)
    assert all(run[name] > 0 for name in NUMBERS), run


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    """Before anything is started."""
    process = bench(tmp_path, "--model", "nobody")
    _, told = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "no such model" in told
    assert "derm-joint@" in told


def test_costs_are_compared_in_one_run(tmp_path: Path) -> None:
    """Both models' figures, whose steps make up nearly all of their processor time."""
    found, printed = measured(tmp_path, "--processes", "1", module="bench.cost")
    assert (found["model"], found["against"]["model"]) == ("derm-joint@1", "notebook-cnn@1")
    (cost,) = found["costs"]
    assert (cost["size"], cost["rounds"]) == ("320x240", 1)
    assert 0 < cost["ratio_min"] <= cost["ratio"] <= cost["ratio_max"]
    for prefix in ("", "reference_"):
        whole, steps = cost[f"{prefix}cpu_ms_per_image"], cost[f"{prefix}steps_ms"]
        assert set(steps) == {"decode", "prepare", "network", "segment", "look", "measure"}
        assert 0.7 * whole < sum(steps.values()) <= 1.05 * whole
    assert "Steps of notebook-cnn@1, otsu" in printed


def test_numbers_of_workers_are_compared(tmp_path: Path) -> None:
    """The first one is what the others are judged against."""
    found, _ = measured(tmp_path, "--in-flight", "4", "--compare-workers", "1,2")
    one, two = found["compared"]
    assert (one["workers"], two["workers"], one["speed_up"]) == (1, 2, 1)
    assert two["speed_up"] == pytest.approx(two["images_per_s"] / one["images_per_s"], rel=0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_running(tmp_path: Path, number: signal.Signals) -> None:
    """Stopped in the middle of a window, by whatever signal, it takes every process with it."""
    with bench(tmp_path, "--in-flight", "4", "--workers", "1", "--seconds", "300") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "ready" in line:
                break
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 4  # at least the broker, a worker, a front end and one process of the ceiling
        process.send_signal(number)
        process.wait(START_LIMIT_S)
    deadline = time.monotonic() + START_LIMIT_S
    while alive := [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]:
        assert time.monotonic() < deadline, [one.cmdline() for one in alive]
        time.sleep(0.05)
