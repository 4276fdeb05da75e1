"""`nevus models check` and `add`: what they complete, what they refuse, and the example in docs/models.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nevus_core.errors import ModelError
from nevus_workers.models.card import format_card, read_card
from nevus_workers.models.check import add_folder, check_folder
from nevus_workers.models.repository import Repository, file_sha256
from support.tiny_models import tiny_card, tiny_network

PAGE = Path(__file__).parents[4] / "docs" / "models.md"
NEVUS = Path(sys.executable).with_name("nevus")


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    """A folder with a model and a card that lacks the digest."""
    folder = tmp_path / "brought"
    folder.mkdir()
    tiny_network(0.25).save(folder / "tiny.keras")
    (folder / "model.toml").write_text("# mine\n" + format_card(tiny_card()))
    return folder


def test_a_card_is_completed_in_its_authors_words(brought: Path) -> None:
    """Proves that size and digest come in beside the weights' name, and that nothing else changes."""
    before = (brought / "model.toml").read_text()
    checked = check_folder(brought)
    after = (brought / "model.toml").read_text()
    assert checked.probability == pytest.approx(0.25, abs=1e-6)
    assert checked.card == read_card(brought / "model.toml")
    assert checked.card.weights_sha256 == file_sha256(brought / "tiny.keras")
    assert [line for line in after.splitlines() if not line.startswith("weights_")] == before.splitlines()
    assert sorted(path.name for path in brought.iterdir()) == ["model.toml", "tiny.keras"]


def test_a_card_that_says_it_empty(brought: Path) -> None:
    """Proves that a digest is also written where the card has an empty one."""
    card = brought / "model.toml"
    card.write_text('weights_sha256 = ""\n' + card.read_text())
    assert read_card(card).weights_sha256 == ""
    assert check_folder(brought).card == read_card(card)


def test_a_folder_without_a_card(tmp_path: Path) -> None:
    """Proves that the message names what is missing, and where."""
    with pytest.raises(ModelError, match=re.escape(f"There is no model.toml in {tmp_path}.")):
        check_folder(tmp_path)


def test_a_changed_file_is_refused(brought: Path) -> None:
    """Proves that a digest that is there is compared, not replaced."""
    check_folder(brought)
    tiny_network(0.75).save(brought / "tiny.keras")
    with pytest.raises(ModelError) as caught:
        check_folder(brought)
    assert caught.value.reason in {"WEIGHTS_SIZE_MISMATCH", "WEIGHTS_DIGEST_MISMATCH"}


def test_logits_are_noticed(brought: Path) -> None:
    """Proves that numbers beyond 0..1 are no probabilities."""
    import keras

    network = tiny_network(0.25)
    network.layers[-1].activation = keras.activations.linear
    network.save(brought / "tiny.keras")
    with pytest.raises(ModelError, match="Are they logits"):
        check_folder(brought)


def test_added_as_a_whole_and_only_once(brought: Path, tmp_path: Path) -> None:
    """Proves that a version never takes another one's place, and that nothing half-made is left."""
    repository = Repository(tmp_path / "models")
    checked = add_folder(brought, repository)
    assert repository.verify(repository.resolve("tiny")) == repository.weights_path(checked.card)
    with pytest.raises(ModelError, match="another number") as caught:
        add_folder(brought, repository)
    assert caught.value.reason == "MODEL_EXISTS"
    assert [path.name for path in (tmp_path / "models" / "tiny").iterdir()] == ["1"]


@pytest.mark.timeout(300)
def test_the_example_of_the_page(tmp_path: Path) -> None:
    """Proves docs/models.md: its network, its card and its two commands put a model into a repository."""
    blocks = dict(
        re.findall(r"^```(python|toml)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    )
    subprocess.run([sys.executable, "-c", blocks["python"]], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "model.toml").write_text(blocks["toml"], encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NEVUS_")}
    said = []
    for words in (["check", "."], ["add", ".", "--models", "models"]):
        assert f"nevus models {' '.join(words)}" in PAGE.read_text(encoding="utf-8")
        answer = subprocess.run(
            [NEVUS, "models", *words], cwd=tmp_path, env=environ, check=False, capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stderr
        said.append(answer.stdout)
    assert re.search(r"darkness@1 would serve: .* malignant 0\.\d{4}, a map of 16 x 24", said[0])
    repository = Repository(tmp_path / "models")
    assert repository.verify(repository.resolve("darkness")).is_file()
