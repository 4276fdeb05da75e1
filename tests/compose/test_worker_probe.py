"""The worker containers' health check, against a real broker."""

from __future__ import annotations

from pathlib import Path

from nevus_core.settings import WorkerSettings, load_settings
from nevus_workers.probe import alive
from support.scripted_worker import ScriptedWorker


def test_a_live_worker_of_this_host_is_found(broker_url: str, key_prefix: str) -> None:
    """True while a worker with this host's name beats; a neighbour's worker does not count."""
    settings = load_settings(WorkerSettings, {}, redis_url=broker_url, key_prefix=key_prefix)
    assert not alive(settings, "here")
    with ScriptedWorker(broker_url, key_prefix):  # says that its host is "here"
        assert alive(settings, "here")
        assert not alive(settings, "there")
    assert not alive(settings, "here")


def test_a_broker_that_is_away_is_no_crash(tmp_path: Path) -> None:
    """False, without a traceback."""
    settings = load_settings(WorkerSettings, {}, redis_url=f"unix://{tmp_path}/nobody.sock")
    assert not alive(settings, "here")
