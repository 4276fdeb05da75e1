"""What a user does and sees, through the real command, server, broker, worker and model."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from nevus import Client
from support.lesions import lesion_jpeg
from support.system import System, running

KEYS = {
    "file": str,
    "job": str,
    "state": str,
    "label": str,
    "probability": float,
    "threshold": float,
    "operating_point": str,
    "regions": list,
    "image": dict,
    "model": dict,
    "segmenter": str,
    "timings_ms": dict,
    "not_for_clinical_use": bool,
}
"""What every line of `nevus analyze --json` holds."""


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Three drawn lesions as files."""
    paths = [tmp_path / f"Jane-Doe-{seed}.jpg" for seed in range(3)]
    for seed, path in enumerate(paths):
        path.write_bytes(lesion_jpeg(seed))
    return paths


def test_analyze_prints_a_line_for_each_image(system: System, pictures: list[Path], tmp_path: Path) -> None:
    """Every promised key with its type; the overlay is a picture; the model's digest is the card's."""
    answer = system.nevus("analyze", *pictures, "--json", "--overlay", tmp_path / "out")
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    assert {line["file"] for line in lines} == {str(path) for path in pictures}
    for line in lines:
        assert {key: type(line[key]) for key in KEYS} == KEYS
        assert line["state"] == "SUCCEEDED"
        assert line["not_for_clinical_use"] is True
        assert (line["label"] == "malignant") == (line["probability"] >= line["threshold"])
        assert line["image"] == {**line["image"], "width_px": 320, "height_px": 240}
        assert line["regions"]
        assert all(set(region) >= {"x", "y", "width", "height", "area_px"} for region in line["regions"])
        assert set(line["timings_ms"]) >= {"queued", "decode", "segment", "classify", "total"}
        assert set(line["model"]) >= {"name", "version", "weights_sha256"}
    overlays = sorted((tmp_path / "out").iterdir())
    assert len(overlays) == 3
    assert cv2.imread(str(overlays[0])) is not None


def test_a_heat_map_comes_on_request_and_changes_no_answer(
    system: System, pictures: list[Path], tmp_path: Path
) -> None:
    """The real network's: a picture of its own beside the overlay, and the same probability to the last digit."""
    plain = json.loads(system.nevus("analyze", pictures[0], "--json").stdout)
    asked = "--heat-map", tmp_path / "maps", "--overlay", tmp_path / "overlays"
    line = json.loads(system.nevus("analyze", pictures[0], "--json", *asked).stdout)
    assert (line["probability"], line["regions"]) == (plain["probability"], plain["regions"])
    assert (plain["heat_map"], line["heat_map"]) == (None, str(tmp_path / "maps" / "Jane-Doe-0.heat_map.png"))
    drawn, overlay = (cv2.imread(line[kind]) for kind in ("heat_map", "overlay"))
    assert drawn is not None
    assert overlay is not None
    assert drawn.shape[0] > overlay.shape[0]


def test_one_bad_image_fails_alone(system: System, pictures: list[Path], tmp_path: Path) -> None:
    """A text file among images: exit code 1, an error on its line, results on the others."""
    bad = tmp_path / "letter.jpg"
    bad.write_text("Dear doctor")
    answer = system.nevus("analyze", *pictures, bad, "--json", check=False)
    lines = {Path(line["file"]).name: line for line in map(json.loads, answer.stdout.splitlines())}
    assert answer.returncode == 1
    assert lines["letter.jpg"]["error"]["reason"] == "UNSUPPORTED_FORMAT"
    assert sum(line["state"] == "SUCCEEDED" for line in lines.values()) == 3


def test_a_damaged_image_that_passes_the_header_fails_in_the_worker(system: System, tmp_path: Path) -> None:
    """A PNG with broken data is accepted and then FAILS with a typed reason; the worker lives on."""
    ok, png = cv2.imencode(".png", cv2.imdecode(_array(lesion_jpeg(9)), cv2.IMREAD_COLOR))
    assert ok
    data = bytearray(png.tobytes())
    data[200:400] = bytes(200)
    with Client(system.target) as client:
        job = client.analyze(bytes(data))
        assert job.state == "FAILED"
        assert job.error is not None
        assert job.error.reason == "CORRUPT_IMAGE"
        assert client.analyze(lesion_jpeg(10)).state == "SUCCEEDED"


def test_events_come_in_order_regions_first(system: System) -> None:
    """Analyze through the library: revisions 1, 2, 3, ...; the regions' event comes before the result's."""
    with Client(system.target) as client:
        events = list(client.stream(lesion_jpeg(11)))
    assert [event.revision for event in events] == list(range(1, len(events) + 1))
    with_regions = next(n for n, event in enumerate(events) if event.regions is not None)
    assert with_regions < len(events) - 1
    assert events[-1].state == "SUCCEEDED"


def test_doctor_finds_all_well(system: System) -> None:
    """`nevus doctor --quiet` says it by its exit code alone."""
    answer = system.nevus("doctor", "--quiet")
    assert (answer.returncode, answer.stdout) == (0, "")


def test_logs_hold_nothing_of_the_patient(system: System, pictures: list[Path]) -> None:
    """File names, labels and the caller's keys never reach a log; job ids do."""
    answer = system.nevus("analyze", *pictures, "--json", "--label", "ward=jane-doe-ward")
    jobs = [json.loads(line)["job"] for line in answer.stdout.splitlines()]
    log = system.log.read_text().lower()
    assert "doe" not in log
    assert all(job.removeprefix("jobs/") in log for job in jobs)


@pytest.mark.slow
def test_ctrl_c_stops_everything_and_accepted_jobs_outlive_it(tmp_path: Path) -> None:
    """SIGINT: exit code 0, no process left. Started again on the same data: what was accepted is done."""
    with running(tmp_path, workers=1) as first:
        family = psutil.Process(first.process.pid).children(recursive=True)
        assert len(family) >= 3
        with Client(first.target) as client:
            names = [client.submit(lesion_jpeg(seed)).name for seed in range(20)]
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(60) == 0
    assert not [process for process in family if process.is_running()]
    with running(tmp_path, workers=1) as second, Client(second.target) as client:
        assert [client.wait(name).state for name in names] == ["SUCCEEDED"] * 20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="dying with the parent is a kernel's service on Linux")
def test_a_killed_nevus_up_leaves_no_process(tmp_path: Path) -> None:
    """kill -9 of `nevus up` ends broker, workers and front end as well."""
    with running(tmp_path, workers=1) as system:
        family = psutil.Process(system.process.pid).children(recursive=True)
        system.process.kill()
        system.process.wait()
        _, alive = psutil.wait_procs(family, timeout=40)
    assert alive == []


def _array(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)
