"""What a worker makes of its repository, and of its changes while it serves; with real models."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nevus_core.errors import ModelError
from nevus_core.settings import WorkerSettings, load_settings
from nevus_workers.models.librarian import reread
from nevus_workers.models.library import CLOSING_S, Place
from support.tiny_models import put_tiny

if TYPE_CHECKING:
    from support.shelf import Shelf

LIMIT_S = 60.0


def wait_for(condition: Callable[[], bool]) -> None:
    """Waits for a condition, for a bounded time."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_new_version_takes_over_and_the_old_one_leaves_in_its_time(shelf: Shelf) -> None:
    """Proves the whole way: served, retired (still for pinned jobs), closing (held jobs end), gone."""
    put_tiny(shelf.root, "1", 0.25)
    shelf.librarian.open()
    assert (shelf.served, list(shelf.library)) == (["tiny@1"], ["tiny@1"])
    put_tiny(shelf.root, "2", 0.75)
    shelf.librarian.look()
    assert shelf.served == ["tiny@2"]
    assert set(shelf.library) == {"tiny@1", "tiny@2"}
    shelf.seconds = 59.0
    assert shelf.probability("tiny@1") == pytest.approx(0.25, abs=1e-6)
    assert shelf.probability("tiny@2") == pytest.approx(0.75, abs=1e-6)
    shelf.seconds = 118.0  # a job asked for it at 59 s
    shelf.library.tidy((), 60.0)
    assert shelf.library.place("tiny@1") is Place.RETIRED
    shelf.seconds = 119.0
    shelf.library.tidy((), 60.0)
    assert shelf.library.place("tiny@1") is Place.CLOSING
    assert list(shelf.library) == ["tiny@2"]
    assert shelf.library.get("tiny@1") is not None
    shelf.seconds += CLOSING_S
    shelf.library.tidy({"tiny@1"}, 60.0)
    assert shelf.library.place("tiny@1") is Place.CLOSING
    shelf.library.tidy((), 60.0)
    assert shelf.library.get("tiny@1") is None
    assert not shelf.library.leaving


@pytest.mark.parametrize("closing", [False, True])
def test_the_way_back(shelf: Shelf, closing: bool) -> None:
    """Proves that a version whose successor is taken away serves again, without being loaded again."""
    put_tiny(shelf.root, "1")
    shelf.librarian.open()
    first = shelf.library.get("tiny@1")
    put_tiny(shelf.root, "2")
    shelf.librarian.look()
    shelf.seconds = 100.0
    if closing:
        shelf.library.tidy((), 60.0)
    shutil.rmtree(shelf.root / "tiny" / "2")
    shelf.librarian.look()
    assert shelf.served == ["tiny@1"]
    assert shelf.library.get("tiny@1") is first
    assert set(shelf.library) == {"tiny@1", "tiny@2"}


def test_a_broken_version_is_told_once_and_the_old_one_goes_on(shelf: Shelf, told: list[Any]) -> None:
    """Proves a wrong digest and a wrong card; mended, the version is loaded."""
    put_tiny(shelf.root, "1")
    shelf.librarian.open()
    put_tiny(shelf.root, "2")
    put_tiny(shelf.root, "3")
    weights, card = shelf.root / "tiny" / "2" / "tiny.keras", shelf.root / "tiny" / "3" / "model.toml"
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    card.write_text("tilte = 3")
    for _ in range(3):
        shelf.librarian.look()
    assert shelf.served == ["tiny@1"]
    refused = [(facts["model"], facts["reason"]) for event, facts in told if event == "model_refused"]
    assert refused == [("tiny@3", "INVALID_MODEL_CARD"), ("tiny@2", "WEIGHTS_DIGEST_MISMATCH")]
    weights.write_bytes(good)
    shelf.librarian.look()
    assert shelf.served == ["tiny@2"]


def test_a_worker_starts_with_the_newest_sound_version(shelf: Shelf) -> None:
    """Proves that a broken newest version keeps no worker from starting."""
    put_tiny(shelf.root, "1")
    put_tiny(shelf.root, "2")
    (shelf.root / "tiny" / "2" / "tiny.keras").write_bytes(b"x")
    shelf.librarian.open()
    assert shelf.served == ["tiny@1"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"serve_models": "tiny@2"}, "WEIGHTS_SIZE_MISMATCH"),
        ({"serve_models": "tiny@1, tiny@3"}, "MODEL_NOT_FOUND"),
        ({"serve_models": "other"}, "MODEL_NOT_FOUND"),
        ({"default_model": "tiny@2"}, "WEIGHTS_SIZE_MISMATCH"),
    ],
)
def test_a_named_model_must_load(shelf: Shelf, settings: dict[str, str], reason: str) -> None:
    """Proves that a worker does not start without what a setting names."""
    put_tiny(shelf.root, "1")
    put_tiny(shelf.root, "2")
    (shelf.root / "tiny" / "2" / "tiny.keras").write_bytes(b"x")
    shelf.set(**settings)
    with pytest.raises(ModelError) as caught:
        shelf.librarian.open()
    assert caught.value.reason == reason


def test_nothing_to_serve(shelf: Shelf) -> None:
    """Proves that an empty repository is told at the start, and a broken only model by what is wrong with it."""
    with pytest.raises(ModelError, match="no model with weights") as caught:
        shelf.librarian.open()
    assert caught.value.reason == "MODEL_NOT_FOUND"
    put_tiny(shelf.root, segmenter="network")
    with pytest.raises(ModelError, match="names the segmenter 'network'") as caught:
        shelf.librarian.open()
    assert caught.value.reason == "INVALID_MODEL_CARD"


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({}, False),
        ({"default_model": "tiny@latest"}, False),
        ({"default_model": "tiny@1"}, False),
        ({"default_model": "tiny@2", "serve_models": "tiny@1"}, True),
        ({"default_model": "other"}, True),
    ],
)
def test_a_worker_without_the_default_model_says_so(
    shelf: Shelf, told: list[Any], settings: dict[str, str], warned: bool
) -> None:
    """Proves that it serves, and names what requests without a model would get from others only."""
    put_tiny(shelf.root, "1")
    shelf.set(**settings)
    shelf.librarian.open()
    shelf.librarian.look()
    assert shelf.served == ["tiny@1"]
    facts = {"default_model": shelf.settings.default_model, "serving": ["tiny@1"]}
    assert told == ([("default_model_not_served", facts)] if warned else [])


def test_a_repository_that_is_away_changes_nothing(shelf: Shelf, told: list[Any]) -> None:
    """Proves that a worker serves on while the disk with its models is gone."""
    put_tiny(shelf.root)
    shelf.librarian.open()
    shelf.root.rename(shelf.root.with_name("away"))
    shelf.librarian.look()
    assert (shelf.served, list(shelf.library)) == (["tiny@1"], ["tiny@1"])
    assert [event for event, _ in told] == ["nothing_to_serve"]


def test_which_versions_are_served(shelf: Shelf) -> None:
    """Proves the default: the newest of each, by number, the default model first, and a pinned default beside it."""
    for version in ("1", "9", "10"):
        put_tiny(shelf.root, version)
    put_tiny(shelf.root, "1", name="another")
    shelf.librarian.open()
    assert shelf.served == ["tiny@10", "another@1"]
    shelf.set(default_model="another@latest")
    shelf.librarian.look()
    assert shelf.served == ["another@1", "tiny@10"]
    shelf.set(default_model="tiny@9")
    shelf.librarian.look()
    assert shelf.served == ["tiny@9", "tiny@10", "another@1"]
    shelf.set(serve_models="another, tiny@1")
    shelf.librarian.look()
    assert shelf.served == ["another@1", "tiny@1"]
    shelf.set(serve_models="tiny@latest")
    shelf.librarian.look()
    assert shelf.served == ["tiny@10"]


def test_a_shadow_is_held_but_not_served(shelf: Shelf, told: list[Any]) -> None:
    """Proves that the newest version serves nobody while it is the shadow, and that a missing one stops nothing."""
    put_tiny(shelf.root, "1")
    shelf.set(shadow="tiny@2:0.5")
    shelf.librarian.open()
    assert [(event, facts["reason"]) for event, facts in told] == [("model_refused", "MODEL_NOT_FOUND")]
    put_tiny(shelf.root, "2", 0.75)
    shelf.librarian.look()
    assert (shelf.served, list(shelf.library)) == (["tiny@1"], ["tiny@1"])
    assert shelf.probability("tiny@2") == pytest.approx(0.75, abs=1e-6)
    shelf.set(serve_models="tiny@1,tiny@2")
    shelf.librarian.look()
    assert shelf.served == ["tiny@1", "tiny@2"]


def test_memory_is_bounded(shelf: Shelf, told: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that a model counts with what loading it took, and that one too many is let go and told once."""
    put_tiny(shelf.root, name="another")
    put_tiny(shelf.root)
    put_tiny(shelf.root, name="zebra")
    grown = iter(range(0, 10_000 << 20, 100 << 20))
    monkeypatch.setattr("nevus_workers.models.serving.resident_bytes", lambda: next(grown))
    shelf.set(models_memory_mib=250)
    shelf.librarian.open()
    shelf.librarian.look()
    assert shelf.served == ["tiny@1", "another@1"]
    assert shelf.library.bytes_taken == 200 << 20
    ((event, facts),) = told
    assert (event, facts["model"], facts["reason"]) == ("model_refused", "zebra@1", "MODEL_OVER_MEMORY")
    assert "takes 100 MiB, those that are loaded take 200 MiB" in facts["why"]
    put_tiny(shelf.root, "2", name="another")
    shelf.librarian.look()
    assert shelf.served == ["tiny@1", "another@1"]
    shelf.set(models_memory_mib=400)
    shelf.librarian.look()
    assert shelf.served == ["tiny@1", "another@2", "zebra@1"]


def test_a_file_that_can_not_fit_is_not_even_read(shelf: Shelf, told: list[Any]) -> None:
    """Proves that the weights' size alone can be too much, and that then there is nothing to start with."""
    put_tiny(shelf.root, weights_bytes=1)
    card = shelf.root / "tiny" / "1" / "model.toml"
    card.write_text(re.sub("weights_bytes = .*", f"weights_bytes = {1 << 20}", card.read_text()))
    shelf.set(models_memory_mib=3)
    with pytest.raises(ModelError) as caught:
        shelf.librarian.open()
    assert caught.value.reason == "MODEL_OVER_MEMORY"
    assert len(told) == 1


def test_the_thread_finds_a_version_by_itself(shelf: Shelf) -> None:
    """Proves the periodic look."""
    put_tiny(shelf.root, "1")
    shelf.set(models_poll_s=0.05)
    shelf.librarian.open()
    shelf.librarian.start()
    put_tiny(shelf.root, "2")
    wait_for(lambda: shelf.served == ["tiny@2"])


def test_the_thread_looks_when_it_is_asked(shelf: Shelf) -> None:
    """Proves that with a period of 0 it looks on SIGHUP alone, and that a look that fails is not the last one."""
    put_tiny(shelf.root, "1")
    shelf.librarian.open()
    shelf.librarian.start()
    put_tiny(shelf.root, "2")
    shelf.librarian.look_now()
    wait_for(lambda: shelf.served == ["tiny@2"])
    shelf.set(serve_models="tiny@1")
    shelf.librarian.look_now()
    wait_for(lambda: shelf.served == ["tiny@1"])


def test_settings_are_read_anew(tmp_path: Path) -> None:
    """Proves that the settings' file may change, and that a wrong one leaves what was in force."""
    file = tmp_path / "nevus.toml"
    settings = reread(lambda: load_settings(WorkerSettings, {"NEVUS_CONFIG": str(file)}), WorkerSettings())
    assert settings() == WorkerSettings()
    file.write_text('serve_models = "tiny@1"')
    assert settings().serve_models == "tiny@1"
    for wrong in (b'serve_modles = "tiny@2"', b"serve_models = ", b"\xff"):
        file.write_bytes(wrong)
        assert settings().serve_models == "tiny@1"
