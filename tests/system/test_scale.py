"""The scale measurements in short form: `python -m bench.watches` and `-m bench.backlog` run them at full length."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.system import TOP

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def measured(module: str, out: Path, *words: str) -> dict[str, Any]:
    """Runs a measurement as a person would; returns its figures."""
    environ = {**os.environ, "PYTHONPATH": f"{TOP / 'tests'}:{TOP}"}
    command = [sys.executable, "-m", module, *words, "--json", str(out)]
    done = subprocess.run(command, cwd=TOP, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text(encoding="utf-8"))


def test_two_thousand_watches_on_one_front_end_miss_nothing(tmp_path: Path) -> None:
    """Every watcher hears every move of its job once, in order, also where watches end and others begin meanwhile."""
    found = measured("bench.watches", tmp_path / "w.json", "--watches", "2000", "--renewals", "500", "--rate", "100")
    assert found["events"] == 2500 * 5
    assert (found["missed"], found["repeated"], found["broken"]) == (0, 0, [])
    assert found["rss_kib_per_watch"] < 60


def test_a_backlog_costs_the_broker_nothing(tmp_path: Path) -> None:
    """Beside 20,000 queued jobs our functions take as long as beside none, and no message counts as lost."""
    words = ["--levels", "0", "20000", "--samples", "150", "--image-bytes", "1000"]
    found = measured("bench.backlog", tmp_path / "b.json", *words)
    assert [row["queued"] for row in found["levels"]] == [0, 20_000]
    # What sorted sets cost grows with the logarithm; a scan of the queue would be a hundred times as much.
    ratios = {name: figures["ratio"] for name, figures in found["levels"][1]["broker_us"].items()}
    assert {"accept", "claim", "advance", "settle"} <= ratios.keys()
    assert max(ratios.values()) < 2, ratios
    memory = found["memory"]
    assert memory["image_file"] <= memory["image"] < memory["image_file"] + 1000
    assert memory["total"] - memory["image"] < 5000
    assert found["resent"] == 0
