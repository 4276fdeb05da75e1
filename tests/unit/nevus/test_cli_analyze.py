"""`nevus analyze`: files in; lines, tables, pictures and exit codes out."""

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

import pytest
from typer.testing import CliRunner

from nevus.cli import build_app

KEYS = {
    "file", "job", "state", "label", "probability", "threshold", "operating_point", "regions", "image", "model",
    "segmenter", "timings_ms", "needs_review", "quality_issues", "measures", "not_for_clinical_use", "error",
    "overlay", "mask", "heat_map",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six inputs: three good ones (two of one stem), one that fails, one that is refused, and one that is no image."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name, content in (
        ("a.png", b"ok 1"), ("a.jpg", b"ok 2"), ("b.JPG", b"fail"), ("c.tif", b"refuse"),
        ("notes.txt", b"refuse"), (".hidden.png", b"refuse"), ("deep/a.webp", b"ok 3"),
    ):  # fmt: skip
        (tmp_path / "in" / name).write_bytes(content)
    return tmp_path / "in"


def nevus(server: Any, *arguments: Any) -> Any:
    """Runs the command in this process."""
    target = server if isinstance(server, str) else server.target
    return CliRunner().invoke(build_app(), [*map(str, arguments), "--target", target])


def lines(result: Any) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_json_has_every_documented_key_with_values(server: Any, folder: Path) -> None:
    """A result's line is what the issue promises, to the key."""
    result = nevus(server, "analyze", folder / "a.png", "--json")
    (line,) = lines(result)
    assert result.exit_code == 0
    assert set(line) == KEYS
    assert line == {
        "file": str(folder / "a.png"),
        "job": "jobs/j0000",
        "state": "SUCCEEDED",
        "label": "benign",
        "probability": 0.25,
        "threshold": 0.5,
        "operating_point": "balanced",
        "regions": [{"x": 3, "y": 4, "width": 50, "height": 60, "area_px": 1234.5}],
        "image": {"width_px": 600, "height_px": 450, "sha256": "cd" * 32},
        "model": {"name": "notebook-cnn", "version": "1", "weights_sha256": "ef" * 32},
        "segmenter": "otsu",
        "timings_ms": {"queued": 1.0, "decode": 2.0, "segment": 3.0, "classify": 4.0, "total": 1500.0},
        "needs_review": True,
        "quality_issues": ["NO_REGION_FOUND"],
        "measures": {
            "region": 0,
            "asymmetry_major": 0.25,
            "asymmetry_minor": None,
            "border_irregularity": 1.5,
            "colours": ["red", "blue_grey"],
            "diameter_px": 78.1,
        },
        "not_for_clinical_use": True,
        "error": None,
        "overlay": None,
        "mask": None,
        "heat_map": None,
    }


def test_a_bad_file_fails_alone_with_its_line(server: Any, folder: Path) -> None:
    """Every file has one line with the same keys; those that failed say why; exit code 1."""
    result = nevus(server, "analyze", folder, folder / "notes.txt", "--json", "--model", "m@2")
    found = {Path(line["file"]).name: line for line in lines(result)}
    assert result.exit_code == 1
    assert set(found) == {"a.jpg", "a.png", "b.JPG", "c.tif", "notes.txt"}
    assert all(set(line) == KEYS for line in found.values())
    assert found["a.png"]["error"] is None
    assert found["b.JPG"]["state"] == "FAILED"
    assert found["b.JPG"]["error"] == {"code": "INTERNAL", "reason": "WORKER_LOST", "message": "Its workers died."}
    assert found["b.JPG"]["model"] == {"name": "m", "version": "2", "weights_sha256": None}
    assert found["c.tif"]["job"] is None
    assert found["c.tif"]["error"]["reason"] == "CORRUPT_IMAGE"
    assert found["c.tif"]["image"] == {"width_px": None, "height_px": None, "sha256": None}


def test_options_reach_the_server(server: Any, folder: Path) -> None:
    """Each option of the command is one of the contract's."""
    nevus(
        server, "analyze", folder / "a.png", "--model", "m", "--segmenter", "s", "--operating-point", "o",
        "--priority", "stat", "--label", "study=a=1", "--label", "x=", "--overlay", folder / "o",
        "--heat-map", folder / "h",
    )  # fmt: skip
    options = server.requests[0].options
    assert (options.model, options.segmenter, options.operating_point, options.priority) == ("m", "s", "o", 1)
    assert dict(options.labels) == {"study": "a=1", "x": ""}
    assert list(options.artifacts) == [1, 3]
    assert (folder / "h" / "a.heat_map.png").read_bytes().startswith(b"\x89PNG")


def test_pictures_of_equal_stems_do_not_overwrite_each_other(server: Any, folder: Path, tmp_path: Path) -> None:
    """Three files named a, three overlays and three masks; the folders are made."""
    out = tmp_path / "new" / "out"
    result = nevus(server, "analyze", folder, "--recursive", "--overlay", out, "--mask", tmp_path / "m", "--json")
    assert sorted(path.name for path in out.iterdir()) == ["a-2.overlay.png", "a-3.overlay.png", "a.overlay.png"]
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["a-2.mask.png", "a-3.mask.png", "a.mask.png"]
    saved = {line["overlay"] for line in lines(result) if line["state"] == "SUCCEEDED"}
    assert saved == {str(path) for path in out.iterdir()}


def test_a_picture_that_does_not_come_makes_the_image_fail(server: Any, folder: Path, tmp_path: Path) -> None:
    """What was asked for and is missing is a failure, though the class is there."""
    server.damaged = True
    result = nevus(server, "analyze", folder / "a.png", "--json", "--overlay", tmp_path)
    (line,) = lines(result)
    assert (result.exit_code, line["label"], line["error"]["reason"]) == (1, "benign", "DIGEST_MISMATCH")


def test_a_person_sees_a_table_and_the_sentence(server: Any, folder: Path) -> None:
    """Without --json: a row each, in order, why images failed on stderr, and what the result is not for."""
    result = nevus(server, "analyze", folder)
    assert result.exit_code == 1
    rows = result.stdout.splitlines()
    assert rows[0].split() == ["file", "label", "probability", "regions", "review", "boxes", "ms", "job"]
    assert [Path(row.split()[0]).name for row in rows[1:-1]] == ["a.jpg", "a.png", "b.JPG", "c.tif"]
    cells = rows[1].replace("no region found", "NO_REGION").split()
    label, probability, regions, review, size, _at, corner, total_ms = cells[1:9]
    assert review == "NO_REGION"
    assert (label, probability, regions, total_ms) == ("benign", "0.250", "1", "1500")
    assert re.fullmatch(r"\d+x\d+", size)
    assert re.fullmatch(r"\d+,\d+", corner)
    assert rows[-1] == "NOT FOR CLINICAL USE"
    assert f"nevus: {folder / 'c.tif'}: The image is broken." in result.stderr
    assert "\x1b" not in result.output


def test_a_single_image_tells_its_stages(server: Any, folder: Path) -> None:
    """Lines on stderr as it goes, regions before the class."""
    result = nevus(server, "analyze", folder / "a.png")
    words = [line.split(maxsplit=2)[2] for line in result.stderr.splitlines()]
    assert words == ["queued", "decoding", "segmenting", "classifying: 1 region found", "succeeded"]


def test_usage_errors_send_nothing(server: Any, folder: Path, tmp_path: Path) -> None:
    """Exit code 2 and one line on stderr, before anything reaches a server."""
    (tmp_path / "empty").mkdir()
    for arguments in (
        [tmp_path / "missing.png", folder / "a.png"], [tmp_path / "empty"], [folder / "a.png", "--label", "novalue"],
        [folder / "a.png", "--overlay", folder / "a.png"],
        [folder / "a.png", "--heat-map", folder / "a.png"],
    ):  # fmt: skip
        result = nevus(server, "analyze", *arguments, "--json")
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1
        assert result.stdout == ""
    assert nevus(server, "analyze", folder / "a.png", "--priority", "soon").exit_code == 2
    assert not server.requests


def test_no_server_is_exit_code_3_and_one_line(dead_target: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but what is wrong, where, and what to do."""
    monkeypatch.setattr("nevus.cli._session._FIRST_CONTACT_S", 0.0)
    result = nevus(dead_target, "analyze", folder / "a.png", "--json")
    assert result.exit_code == 3
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        "nevus: No nevus server answers at 127.0.0.1:1 (connection refused). Start one with `nevus up`"
    )


def test_a_server_that_goes_away_for_good_is_exit_code_3(
    server: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the retries every file without an outcome has its line, so that none is missing from the output."""
    monkeypatch.setattr("nevus.cli._session._RETRY_FOR_S", 0.0)
    server.cuts = [5]
    result = nevus(server, "analyze", folder / "a.png", folder / "deep", "--json")
    found = lines(result)
    assert result.exit_code == 3
    assert [line["error"] and line["error"]["reason"] for line in found] == [None, "DRAINING"]


def test_time_over_is_exit_code_1_and_names_the_job(server: Any, folder: Path, tmp_path: Path) -> None:
    """--timeout ends the waiting, not the job."""
    (tmp_path / "h.png").write_bytes(b"hang")
    result = nevus(server, "analyze", tmp_path / "h.png", "--json", "--timeout", "0")
    (line,) = lines(result)
    assert (result.exit_code, line["error"]["code"]) == (1, "DEADLINE_EXCEEDED")


def start(server: Any, *arguments: Any, **pipes: Any) -> subprocess.Popen[str]:
    """Runs the command in a process of its own."""
    command = [sys.executable, "-m", "nevus", *map(str, arguments)]
    environment = os.environ | {"NEVUS_TARGET": server.target, "COLUMNS": "200"}
    return subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE, **pipes)


def test_ctrl_c_ends_within_a_second_and_says_what_goes_on(server: Any, tmp_path: Path) -> None:
    """SIGINT in the middle: exit code 130, how many were done, no traceback."""
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(b"ok" if number < 3 else b"hang")
    server.stall = True
    process = start(server, "analyze", tmp_path, "--json", stdout=subprocess.PIPE)
    done = [process.stdout.readline() for _ in range(3)]
    assert all(json.loads(line)["state"] == "SUCCEEDED" for line in done)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert time.monotonic() - begin < 1.5
    assert process.returncode == 130
    assert "Stopped: 3 of 5 images done" in errors
    assert "nevus list" in errors
    assert "Traceback" not in errors


def test_a_reader_that_leaves_is_no_drama(server: Any, tmp_path: Path) -> None:
    """`nevus analyze --json | head -1` ends quietly."""
    for number in range(300):
        (tmp_path / f"{number:03}.png").write_bytes(b"ok")
    process = start(server, "analyze", tmp_path, "--json", stdout=subprocess.PIPE)
    assert json.loads(process.stdout.readline())["state"] == "SUCCEEDED"
    process.stdout.close()
    assert process.wait(timeout=20) != 0
    assert process.stderr.read() == ""
    process.stderr.close()
