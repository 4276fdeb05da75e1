"""A repository that changes under load: no job lost, each result by the version that it names, a shadow that counts."""

from __future__ import annotations

import signal
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from nevus import Client
from nevus_server.address import free_address
from support.lesions import lesion_jpeg
from support.system import System, running
from support.tiny_models import put_tiny

pytestmark = pytest.mark.timeout(300)

SAYS = {"1": 0.25, "2": 0.75, "3": 0.6}
"""Version: the probability that it gives every image."""


@dataclass(frozen=True, slots=True)
class Stand:
    """A system with one worker, its repository, and where its metrics are."""

    system: System
    models: Path
    metrics: str

    def look(self) -> None:
        """Has the worker look at its repository now."""
        family = psutil.Process(self.system.process.pid).children(recursive=True)
        (worker,) = [process for process in family if process.cmdline()[-1:] == ["work"]]
        worker.send_signal(signal.SIGHUP)

    def shadowed(self) -> dict[str, float]:
        """Returns what is counted of the shadow, by metric, over all models."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=30) as answer:
            page = answer.read().decode()
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name.startswith("nevus_shadow_"):
                    found[sample.name] += sample.value
        return dict(found)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """Version 1 serves; version 9, which is newer than all that will come, is the shadow of every job."""
    models, metrics = tmp_path / "models", free_address("127.0.0.1:0")
    put_tiny(models, "1", SAYS["1"])
    put_tiny(models, "9", 0.8)
    settings = {
        "NEVUS_MODELS": str(models),
        "NEVUS_DEFAULT_MODEL": "tiny",
        "NEVUS_MODELS_POLL_S": "0",
        "NEVUS_SHADOW": "tiny@9:1",
        "NEVUS_METRICS_LISTEN": metrics,
    }
    with running(tmp_path, workers=1, settings=settings) as system:
        yield Stand(system, models, metrics)


def analyse(client: Client, numbers: range, model: str = "") -> list[str]:
    """Does jobs beside one another; returns the version that each one's result names, and checks that it made it."""

    def one(number: int) -> str:
        job = client.analyze(lesion_jpeg(number), model=model or None)
        assert job.state == "SUCCEEDED", job
        assert job.result is not None
        provenance = job.result.provenance
        assert job.options.model == f"tiny@{provenance.version}"
        assert job.result.classification.probability == pytest.approx(SAYS[provenance.version], abs=1e-5)
        return str(provenance.version)

    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(one, numbers))


def test_a_version_comes_in_under_load(stand: Stand) -> None:
    """The new one answers, jobs pinned to the old one are done, a broken one changes nothing, the shadow is counted."""
    with Client(stand.system.target) as client:
        assert analyse(client, range(4)) == ["1"] * 4
        put_tiny(stand.models, "2", SAYS["2"])
        stand.look()
        seen: list[str] = []
        while "2" not in seen[-1:]:
            assert len(seen) < 2000, stand.system.log.read_text()
            seen += analyse(client, range(len(seen), len(seen) + 8))
        assert set(seen) == {"1", "2"}
        assert analyse(client, range(24)) == ["2"] * 24
        assert analyse(client, range(4), "tiny@latest") == ["2"] * 4
        assert analyse(client, range(12), "tiny@1") == ["1"] * 12
        assert [card.name for card in client.models()] == ["models/tiny/versions/2"]

        weights = stand.models / "tiny" / "3" / "tiny.keras"
        put_tiny(stand.models, "3", SAYS["3"])
        good = weights.read_bytes()
        weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        stand.look()
        stand.system.wait_until(lambda: "WEIGHTS_DIGEST_MISMATCH" in stand.system.log.read_text())
        assert analyse(client, range(4)) == ["2"] * 4
        weights.write_bytes(good)
        stand.look()
        stand.system.wait_until(lambda: client.models()[0].version == "3")
        assert analyse(client, range(4)) == ["3"] * 4

    stand.system.wait_until(lambda: stand.shadowed().get("nevus_shadow_pairs_total", 0) > 0)
    counted = stand.shadowed()
    assert counted["nevus_shadow_difference_max"] > 0
    assert counted["nevus_shadow_difference_total"] >= counted["nevus_shadow_difference_max"] - 1e-6
    assert "nevus_shadow_agreements_total" in counted
