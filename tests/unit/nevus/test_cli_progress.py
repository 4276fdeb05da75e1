"""What moves on a terminal: counts by stage, and nothing at all where there is none."""

from __future__ import annotations

import pytest

from nevus import Event, JobStage, JobState, ServerFault
from nevus.cli import _progress


def event(state: JobState, stage: JobStage = JobStage.UNSPECIFIED) -> Event:
    return Event(job="jobs/1", revision=1, state=state, stage=stage)


def test_images_are_counted_where_they_are() -> None:
    """Each image counts at one stage at a time, and in the end as done or failed."""
    bars = _progress.Bars(4)
    with bars:
        bars.update(0, event(JobState.QUEUED))
        bars.update(1, event(JobState.RUNNING, JobStage.DECODING))
        bars.update(2, event(JobState.RUNNING, JobStage.CLASSIFYING))
        assert bars._counts() == "queued 1  decoding 1  segmenting 0  classifying 1  done 0  failed 0"
        bars.update(0, event(JobState.SUCCEEDED))
        bars.update(1, event(JobState.FAILED))
        bars.update(2, event(JobState.SUCCEEDED))
        bars.update(3, ServerFault("x", code="INTERNAL"))
        assert bars._counts() == "queued 0  decoding 0  segmenting 0  classifying 0  done 2  failed 2"


def test_what_is_shown_suits_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing for machines, lines for one image, a bar for many on a terminal, nothing that moves elsewhere."""
    assert type(_progress.watcher_for(9, quiet=True)) is _progress.Silent
    assert type(_progress.watcher_for(1, quiet=False)) is _progress.Stages
    assert type(_progress.watcher_for(9, quiet=False)) is _progress.Silent
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert type(_progress.watcher_for(9, quiet=False)) is _progress.Bars
