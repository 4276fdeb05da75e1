"""What a shadow is asked, when, and what is counted; with real models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nevus_core.image_header import inspect_image
from nevus_core.records import JobOptions, Result
from nevus_core.work_store import Claim
from nevus_core.worker_stats import ShadowCount
from nevus_workers.arrangement import Arrangement
from nevus_workers.imaging.segmenter import built_in_segmenters
from nevus_workers.models.repository import Repository
from nevus_workers.models.serving import Loader, ServingModel
from nevus_workers.pipeline import Pipeline
from nevus_workers.room import Room
from nevus_workers.shadow import MOST_IMAGES, Shadow, ShadowPlan
from nevus_workers.stats import Stats
from nevus_workers.turns import Turns
from support.lesions import lesion_jpeg
from support.tiny_models import put_tiny

LIMIT_S = 60.0
JPEG = lesion_jpeg(1)


def test_which_jobs_are_chosen() -> None:
    """Proves that a job is chosen by its ref alone, and that the share is kept."""
    assert ShadowPlan.parse("") is None
    plan = ShadowPlan.parse("tiny@2:0.1")
    assert plan == ShadowPlan("tiny@2", 0.1)
    refs = [f"default/{number}" for number in range(20_000)]
    chosen = [ref for ref in refs if plan.chooses(ref)]
    assert 0.09 < len(chosen) / len(refs) < 0.11
    assert chosen == [ref for ref in refs if ShadowPlan("other@1", 0.1).chooses(ref)]
    assert all(ShadowPlan("tiny@2", 1.0).chooses(ref) for ref in refs)


class Stand:
    """A served model, its shadow, and a worker that is as busy as the test says."""

    def __init__(self, models: dict[str, ServingModel]) -> None:
        self.models = models
        self.calm = True
        self.stats = Stats()
        self.shadow = Shadow(ShadowPlan("tiny@2", 1.0), models, lambda: self.calm, self.stats)
        self.pipeline = Pipeline(models, built_in_segmenters(), Room(1), "w")

    def do(self, number: int, model: str = "tiny") -> Result:
        """Does a job, and offers it."""
        options = JobOptions(
            model=model,
            version="1",
            segmenter="otsu",
            operating_point="balanced",
            queue_ttl_ms=1,
            execution_timeout_ms=1,
        )
        image = inspect_image(JPEG, max_bytes=len(JPEG), max_pixels=10**6)
        result = self.pipeline.run(JPEG, image, options, lambda *_: None).result
        self.shadow.offer(Claim(f"default/{number}", 1, 1, 1, image, JPEG, options), result)
        return result

    def counted(self, condition: Callable[[ShadowCount], bool]) -> ShadowCount:
        """Returns the counts, once they are as a condition wants them."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            for count in self.stats.copy().shadows:
                if condition(count):
                    return count
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ServingModel]]:
    """One that says 0.25, one that says 0.7, and the shadow, which says 0.75; all with the threshold 0.5."""
    root = tmp_path_factory.mktemp("models")
    arrangement = Arrangement(
        device="cpu", max_batch=2, max_wait_ms=2.0, turns=False, threads=2, decoders=1, engine_threads=1
    )
    loader = Loader(Repository(root), built_in_segmenters(), arrangement, Turns(), Stats())
    cards = (
        put_tiny(root, "1", 0.25),
        put_tiny(root, "2", 0.75),
        put_tiny(root, "1", 0.7, name="near"),
    )
    made = {card.key: loader.load(card) for card in cards}
    yield made
    for model in made.values():
        model.batcher.close()


@pytest.fixture
def stand(models: dict[str, ServingModel]) -> Iterator[Stand]:
    """A shadow that has not been started."""
    made = Stand(models)
    yield made
    made.shadow.stop()


def test_pairs_are_counted(stand: Stand) -> None:
    """Proves labels and probabilities against two models, one that agrees and one that does not."""
    stand.shadow.start()
    for number in range(3):
        assert stand.do(number).classification.probability == pytest.approx(0.25, abs=1e-6)
    stand.do(3, "near")
    apart = stand.counted(lambda count: count.model == "tiny@1" and count.pairs == 3)
    assert (apart.shadow, apart.agreements, apart.skipped) == ("tiny@2", 0, 0)
    assert apart.difference_sum == pytest.approx(1.5, abs=1e-5)
    assert apart.difference_max == pytest.approx(0.5, abs=1e-5)
    same = stand.counted(lambda count: count.model == "near@1" and count.pairs == 1)
    assert (same.agreements, same.difference_sum) == (1, pytest.approx(0.05, abs=1e-5))


def test_a_busy_worker_skips(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that jobs come first: what finds no moment, and what finds no room, is counted and left."""
    stand.calm = False
    for number in range(MOST_IMAGES + 2):
        stand.do(number)
    assert stand.counted(lambda count: count.skipped == 2).pairs == 0
    monkeypatch.setattr("nevus_workers.shadow.PATIENCE_S", 0.0)
    stand.shadow.start()
    assert stand.counted(lambda count: count.skipped == MOST_IMAGES + 2).pairs == 0
    stand.calm = True
    stand.do(0)
    assert stand.counted(lambda count: count.pairs == 1).skipped == MOST_IMAGES + 2


def test_a_shadow_that_is_not_there_or_fails(stand: Stand, models: dict[str, ServingModel], tmp_path: Path) -> None:
    """Proves that neither a missing model nor one that has ended touches anything but the count."""
    stand.models = {key: model for key, model in models.items() if key != "tiny@2"}
    missing = Stand(stand.models)
    missing.shadow.start()
    missing.do(1)
    assert missing.counted(lambda count: count.skipped == 1).pairs == 0
    missing.shadow.stop()
    arrangement = Arrangement(
        device="cpu", max_batch=1, max_wait_ms=2.0, turns=False, threads=2, decoders=1, engine_threads=1
    )
    ended = Loader(Repository(tmp_path), built_in_segmenters(), arrangement, Turns(), Stats()).load(
        put_tiny(tmp_path, "2")
    )
    ended.batcher.close()
    failing = Stand({**models, "tiny@2": ended})
    failing.shadow.start()
    failing.do(1)
    assert failing.counted(lambda count: count.skipped == 1).pairs == 0
    failing.shadow.stop()


def test_its_own_answers_are_not_compared(stand: Stand) -> None:
    """Proves that a shadow that also serves is not compared with itself."""
    stand.shadow.start()
    stand.shadow._plan = ShadowPlan("tiny@1", 1.0)
    stand.do(1)
    stand.shadow._plan = ShadowPlan("tiny@2", 1.0)
    stand.do(2)
    assert stand.counted(lambda count: count.pairs == 1).shadow == "tiny@2"
    assert len(stand.stats.copy().shadows) == 1
