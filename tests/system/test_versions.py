"""Two versions of a model on two workers: each job is done by one that holds its version."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from nevus import Client
from nevus_workers.models.card import write_card
from nevus_workers.models.repository import Repository
from support.lesions import lesion_jpeg
from support.system import NOTEBOOK, TOP, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_jobs_find_the_worker_that_holds_their_version(tmp_path: Path) -> None:
    """As in a rolling update: no job fails for having met the wrong worker, none uses an attempt for it."""
    repository = Repository(tmp_path / "models")
    shutil.copytree(TOP / "models" / "notebook-cnn" / "1", repository.root / "notebook-cnn" / "1")
    shutil.copytree(TOP / "models" / "notebook-cnn" / "1", repository.root / "notebook-cnn" / "2")
    card = repository.root / "notebook-cnn" / "2" / "model.toml"
    card.unlink()
    write_card(card, msgspec.structs.replace(repository.resolve("notebook-cnn", "1"), version="2"))
    both = {**NOTEBOOK, "NEVUS_MODELS": str(repository.root), "NEVUS_MAX_BATCH": "2"}
    first = {**both, "NEVUS_SERVE_MODELS": "notebook-cnn@1"}
    second = {**both, "NEVUS_SERVE_MODELS": "notebook-cnn@2"}
    with (
        running(tmp_path, workers=1, settings=first) as system,
        system.another_worker(second),
        Client(system.target) as client,
    ):
        system.wait_until(lambda: len(client.models()) == 2)
        names = [client.submit(lesion_jpeg(n), model=f"notebook-cnn@{1 + n % 2}").name for n in range(20)]
        jobs = [client.wait(name) for name in names]
    assert Counter(job.state for job in jobs) == {"SUCCEEDED": 20}
    assert [job.result.provenance.version for job in jobs] == ["1", "2"] * 10
    assert {job.attempt for job in jobs} == {1}
