"""`nevus submit`, `get`, `wait`, `watch`, `list`, `cancel`, `delete`, `artifact`, `models`, `sample`, and the root."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Never

import pytest
import typer
from typer.testing import CliRunner

from nevus import Client
from nevus.cli import _plugins, build_app, main


@pytest.fixture
def run(server: Any) -> Any:
    """Runs a client command in this process, against the fake server."""

    def nevus(*arguments: Any) -> Any:
        return CliRunner().invoke(build_app(), [*map(str, arguments), "--target", server.target])

    return nevus


@pytest.fixture
def names(server: Any) -> list[str]:
    """A job that succeeded, one that failed, one that waits."""
    with Client(server.target) as client:
        return [client.submit(image, labels={"k": "v"}).name for image in (b"ok", b"fail", b"hang")]


def lines(result: Any) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_submit_prints_names_and_goes_on_after_a_refusal(server: Any, run: Any, tmp_path: Path) -> None:
    """Names on stdout for scripts; what was refused on stderr; exit code 1."""
    for name, content in (("a.png", b"ok"), ("b.png", b"refuse"), ("c.png", b"ok")):
        (tmp_path / name).write_bytes(content)
    result = run("submit", tmp_path, "--artifact", "overlay", "--priority", "bulk")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == ["jobs/j0000", "jobs/j0001"]
    assert result.stderr == f"nevus: {tmp_path / 'b.png'}: The image is broken.\n"
    assert (server.requests[0].options.priority, list(server.requests[0].options.artifacts)) == (3, [1])
    states = [line["state"] for line in lines(run("submit", tmp_path, "--json"))]
    assert states == ["QUEUED", None, "QUEUED"]


def test_get_shows_a_job(run: Any, names: list[str]) -> None:
    """A table for a person, one object for a machine."""
    text = run("get", names[0]).stdout
    assert "SUCCEEDED" in text
    assert "NOT FOR CLINICAL USE" in text
    (line,) = lines(run("get", "j0000", "--json"))
    assert (line["job"], line["labels"], line["label"], line["create_time"]) == (names[0], {"k": "v"}, "benign", None)


def test_wait_tells_the_outcome_by_its_exit_code(run: Any, names: list[str]) -> None:
    """0 succeeded, 1 failed or not finished in time."""
    assert run("wait", names[0]).exit_code == 0
    assert run("wait", names[1], "--json").exit_code == 1
    late = run("wait", names[2], "--timeout", "0")
    assert late.exit_code == 1
    assert "is still QUEUED after 0 s" in late.stderr


def test_watch_prints_each_move(run: Any, names: list[str]) -> None:
    """In order, regions before the class, from the revision asked for."""
    rows = run("watch", names[0]).stdout.splitlines()
    assert [row.split()[2] for row in rows[:-1]] == ["QUEUED", "RUNNING", "RUNNING", "RUNNING", "SUCCEEDED"]
    assert "1 regions: 50x60 at (3, 4)" in rows[3]
    assert "benign, probability 0.250" in rows[4]
    found = lines(run("watch", names[0], "--json", "--after-revision", "3"))
    assert [line["revision"] for line in found] == [4, 5]
    assert found[0]["outcome"] is None
    assert found[1]["outcome"]["probability"] == 0.25


def test_list_filters_and_limits(server: Any, run: Any, names: list[str]) -> None:
    """States in either case, labels, at most so many."""
    found = lines(run("list", "--state", "failed", "--label", "k=v", "--limit", "1", "--json"))
    assert [line["job"] for line in found] == [names[1]]
    assert server.requests[-1].page_size == 1
    assert dict(server.requests[-1].labels) == {"k": "v"}
    text = run("list").stdout
    assert all(name in text for name in names)
    assert run("list", "--state", "expired").stdout == "No job.\n"


def test_a_command_that_waits_for_the_server_says_so_once(
    run: Any, server: Any, names: list[str], status_busy: Any
) -> None:
    """Retries are not silent: one line on stderr for each reason."""
    server.refusals = [status_busy, status_busy]
    result = run("get", names[0], "--json")
    assert result.exit_code == 0
    assert result.stderr == "nevus: The queue is full. Trying again for up to 30 s.\n"


def test_cancel_and_delete_take_several_and_go_on_after_a_failure(run: Any, names: list[str]) -> None:
    """One unknown name is one line on stderr and exit code 1; the others have their turn."""
    result = run("cancel", "nope", names[2])
    assert (result.exit_code, result.stdout, result.stderr) == (
        1, "jobs/j0002 CANCELLED\n", "nevus: There is no such job.\n",
    )  # fmt: skip
    assert run("cancel", names[2], "--json").exit_code == 0
    result = run("delete", names[0], names[1], "--json")
    assert [line["purged_objects"] for line in lines(result)] == [3, 3]
    assert "purged (3 objects" in run("delete", names[2]).stdout


def test_artifact_saves_a_picture(
    server: Any, run: Any, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the name given, or one made of job and kind."""
    monkeypatch.chdir(tmp_path)
    assert run("artifact", names[0]).stdout == "j0000.overlay.png\n"
    assert run("artifact", names[0], "--kind", "mask", "-o", "m.png").exit_code == 0
    assert run("artifact", names[0], "--kind", "heat_map").stdout == "j0000.heat_map.png\n"
    assert (tmp_path / "m.png").read_bytes() == (tmp_path / "j0000.overlay.png").read_bytes()
    assert run("artifact", names[0], "-o", tmp_path / "no" / "m.png").exit_code == 1
    assert run("artifact", "nope").stderr == "nevus: There is no such job.\n"


def test_models_list_and_show(server: Any, run: Any) -> None:
    """What the server serves, with its default operating point and figures."""
    text = run("models", "list").stdout
    assert "balanced 0.5 (default)" in text
    text = run("models", "show", "notebook-cnn@1").stdout
    assert "auroc 0.8" in text
    assert "NOT FOR CLINICAL USE" in text
    (line,) = lines(run("models", "list", "--json"))
    assert (line["model"], line["version"], line["workers"]) == ("notebook-cnn", "1", 2)
    assert run("models", "show", "other").exit_code == 1
    server.models = []
    assert "No live worker" in run("models", "list").stdout


def test_sample_writes_a_png(tmp_path: Path) -> None:
    """No server needed."""
    result = CliRunner().invoke(build_app(), ["sample", str(tmp_path / "s.png"), "--width", "64", "--height", "48"])
    assert result.exit_code == 0
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    assert CliRunner().invoke(build_app(), ["sample", str(tmp_path / "no" / "s.png")]).exit_code == 1


def test_no_server_is_exit_code_3_everywhere(dead_target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every client command says the same."""
    monkeypatch.setattr("nevus.cli._session._FIRST_CONTACT_S", 0.0)
    (tmp_path / "a.png").write_bytes(b"ok")
    for arguments in (
        ["submit", str(tmp_path / "a.png")], ["get", "j"], ["wait", "j"], ["watch", "j"], ["list"], ["cancel", "j"],
        ["delete", "j"], ["artifact", "j"], ["models", "list"], ["models", "show", "m"], ["doctor", "--quiet"],
    ):  # fmt: skip
        result = CliRunner().invoke(build_app(), [*arguments, "--target", dead_target])
        assert result.exit_code == 3, arguments
        assert result.stdout == ""


def test_the_target_comes_from_the_environment(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """NEVUS_TARGET stands in for --target."""
    result = CliRunner().invoke(build_app(), ["list", "--json"], env={"NEVUS_TARGET": server.target})
    assert result.exit_code == 0
    assert server.calls["ListJobs"] == 1


def test_version_and_help() -> None:
    """Both answer without a server; every command is in the help."""
    assert CliRunner().invoke(build_app(), ["--version"]).stdout.startswith("nevus 0.")
    text = CliRunner().invoke(build_app(), ["--help"], env={"COLUMNS": "120"}).stdout
    for command in ("analyze", "submit", "get", "wait", "watch", "list", "cancel", "delete", "artifact", "models",
                    "doctor", "sample"):  # fmt: skip
        assert f" {command} " in text


class FakeEntryPoint:
    """An installed plugin."""

    def __init__(self, name: str, register: Any) -> None:
        self.name, self.register = name, register

    def load(self) -> Any:
        if isinstance(self.register, Exception):
            raise self.register
        return self.register


def test_plugins_add_to_both_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin's function gets `nevus` and `nevus models`."""

    def register(app: typer.Typer, models: typer.Typer) -> None:
        app.command("up")(lambda: typer.echo("up!"))
        models.command("fetch")(lambda: typer.echo("fetched!"))

    monkeypatch.setattr(_plugins, "entry_points", lambda group: [FakeEntryPoint("server", register)])
    assert CliRunner().invoke(build_app(), ["up"]).stdout == "up!\n"
    assert CliRunner().invoke(build_app(), ["models", "fetch"]).stdout == "fetched!\n"


def test_a_client_only_install_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands whose packages can't be imported stand in the help, take any arguments, and exit 2 with one line."""
    missing = [FakeEntryPoint(name, ModuleNotFoundError("no", name="celery")) for name in ("server", "workers")]
    monkeypatch.setattr(_plugins, "entry_points", lambda group: missing)
    for command in (["up", "--listen", "x"], ["serve"], ["work"], ["train", "m"], ["models", "fetch", "m"]):
        result = CliRunner().invoke(build_app(), command)
        assert result.exit_code == 2
        words = " ".join(command[:2] if command[0] == "models" else command[:1])
        assert result.stderr == (
            f"nevus {words} needs the server parts (there is no celery here): pip install 'nevus[all]'\n"
        )


def test_a_module_missing_only_at_run_time_says_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plugins import what is heavy when their command runs."""

    def register(app: typer.Typer, models: typer.Typer) -> None:
        @app.command("up")
        def up() -> Never:
            raise ModuleNotFoundError(name="tensorflow.keras")

    monkeypatch.setattr(_plugins, "entry_points", lambda group: [FakeEntryPoint("server", register)])
    monkeypatch.setattr(sys, "argv", ["nevus", "up"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "nevus up needs the server parts" in capsys.readouterr().err
