"""Settings: where values come from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from nevus_core.errors import SettingsError
from nevus_core.settings import ServerSettings, WorkerSettings, broker_url, load_settings, redacted


def test_defaults_alone_make_a_process() -> None:
    """Nothing has to be set."""
    assert load_settings(ServerSettings, {}).listen == "127.0.0.1:50051"
    assert load_settings(WorkerSettings, {}).max_wait_ms is None


def test_command_line_beats_environment_beats_file(tmp_path: Path) -> None:
    """The later source wins; what only one of them names is taken from it."""
    file = tmp_path / "nevus.toml"
    file.write_text('listen = "a:1"\npage_size = 7\nmax_queued = 9\n')
    environ = {"NEVUS_CONFIG": str(file), "NEVUS_LISTEN": "b:2", "NEVUS_MAX_QUEUED": "11"}
    settings = load_settings(ServerSettings, environ, listen="c:3", max_queued=None)
    assert (settings.listen, settings.page_size, settings.max_queued) == ("c:3", 7, 11)


def test_an_unknown_name_is_refused_with_its_nearest() -> None:
    """A misspelt variable must not be ignored in silence."""
    with pytest.raises(SettingsError, match="Did you mean max_batch"):
        load_settings(WorkerSettings, {"NEVUS_MAX_BACTH": "4"})


def test_a_name_of_another_process_is_no_error() -> None:
    """Front end and workers may share one environment."""
    assert load_settings(WorkerSettings, {"NEVUS_LISTEN": "x:1", "NEVUS_TARGET": "y:2"}).max_batch == 0


@pytest.mark.parametrize(
    ("name", "value"), [("MAX_QUEUED", "0"), ("MAX_QUEUED", "many"), ("LEASE_S", "-1"), ("KEY_PREFIX", "a b")]
)
def test_values_of_the_wrong_type_or_range_are_refused(name: str, value: str) -> None:
    """The error names the field."""
    with pytest.raises(SettingsError, match=name.lower()):
        load_settings(ServerSettings, {f"NEVUS_{name}": value})


@pytest.mark.parametrize(("name", "value"), [("ENGINE_DTYPE", "float16"), ("REDUCED_DECODE", "sometimes")])
def test_a_workers_choices(name: str, value: str) -> None:
    """A type that is not offered must not become float32 in silence."""
    with pytest.raises(SettingsError, match=name.lower()):
        load_settings(WorkerSettings, {f"NEVUS_{name}": value})


@pytest.mark.parametrize(
    "value", ["tiny", "tiny@1", "tiny@1:", "tiny@1:0", "tiny@1:0.0", "tiny@1:1.5", "@1:0.5", "a@b:1"]
)
def test_a_shadow_needs_version_and_share(value: str) -> None:
    """Anything else would shadow nothing, or everything, in silence."""
    with pytest.raises(SettingsError, match="shadow"):
        load_settings(WorkerSettings, {"NEVUS_SHADOW": value})


@pytest.mark.parametrize("value", ["tiny@1:1", "derm-joint@2.1:0.05", "tiny@1:1.0", ""])
def test_shadows(value: str) -> None:
    """Shares from above 0 to 1."""
    assert load_settings(WorkerSettings, {"NEVUS_SHADOW": value}).shadow == value


def test_a_lease_shorter_than_three_heartbeats_is_refused() -> None:
    """A lease that one late beat ends would take jobs from healthy workers."""
    with pytest.raises(SettingsError, match="three times"):
        load_settings(WorkerSettings, {"NEVUS_LEASE_S": "2", "NEVUS_HEARTBEAT_S": "1"})


def test_the_password_comes_from_its_file_and_is_never_printed(tmp_path: Path) -> None:
    """Secrets are given by path, reach the broker's URL, and are masked in what is printed."""
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    environ = {"NEVUS_REDIS_URL": "redis://broker:6379/0", "NEVUS_REDIS_PASSWORD_FILE": str(secret)}
    settings = load_settings(ServerSettings, environ)
    assert broker_url(settings) == "redis://:hunter2@broker:6379/0"
    inline = load_settings(ServerSettings, {"NEVUS_REDIS_URL": "redis://user:hunter2@broker/0"})
    assert "hunter2" not in str(redacted(inline))
    assert "hunter2" not in str(redacted(settings))


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """The message says which file and why."""
    with pytest.raises(SettingsError, match=r"missing\.toml"):
        load_settings(ServerSettings, {"NEVUS_CONFIG": str(tmp_path / "missing.toml")})
    broken = tmp_path / "broken.toml"
    broken.write_text("= 3")
    with pytest.raises(SettingsError, match="not valid TOML"):
        load_settings(ServerSettings, {"NEVUS_CONFIG": str(broken)})


def test_a_password_of_any_characters_stays_one(tmp_path: Path) -> None:
    """Characters that mean something in a URL must not become part of a host's name."""
    secret = tmp_path / "password"
    secret.write_text("p@ss/w#rd:%?")
    for url, expected in (
        ("redis://broker:6379/0", "redis://:p%40ss%2Fw%23rd%3A%25%3F@broker:6379/0"),
        ("unix:///run/valkey.sock", "unix://:p%40ss%2Fw%23rd%3A%25%3F@/run/valkey.sock"),
    ):
        environ = {"NEVUS_REDIS_URL": url, "NEVUS_REDIS_PASSWORD_FILE": str(secret)}
        assert broker_url(load_settings(ServerSettings, environ)) == expected


def test_an_address_of_another_kind_is_refused() -> None:
    """A URL that no broker answers is found at start, not at the first call."""
    with pytest.raises(SettingsError, match="redis_url"):
        load_settings(WorkerSettings, {"NEVUS_REDIS_URL": "amqp://broker"})
