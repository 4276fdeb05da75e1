"""What a window's answers amount to."""

from __future__ import annotations

import pytest

from nevus.cli._figures import Tally, quantile
from nevus.jobs import Job, JobState
from nevus.results import Classification, Provenance, Result, Timings


def job(batch_size: int, timings: Timings) -> Job:
    """A job with its result."""
    provenance = Provenance("m", "1", "", "s", "1", "", 1, 1, "w", batch_size, timings)
    result = Result((), Classification("benign", 0.1, {}, 0.5, "balanced"), (), provenance, not_for_clinical_use=True)
    return Job("jobs/x", JobState.SUCCEEDED, result=result)


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [(1, 0.5, 1), (1, 0.99, 1), (4, 0.5, 2), (100, 0.95, 95), (100, 0.99, 99), (3, 0, 1)],
)
def test_a_quantile_is_the_smallest_value_that_enough_do_not_exceed(count: int, share: float, expected: int) -> None:
    """Nearest rank."""
    assert quantile(list(range(1, count + 1)), share) == expected


def test_nothing_answered_gives_no_times() -> None:
    """None, not zero; the rate is zero."""
    figures = Tally().figures(3, 2.0, 1.0)
    assert (figures.images, figures.images_per_s) == (0, 0)
    assert {figures.p50_ms, figures.batch_size, figures.queued_ms, figures.client_cpu_ms_per_image} == {None}


def test_answers_amount_to_rates_means_and_medians() -> None:
    """What is not known of one answer does not count for it."""
    tally = Tally()
    tally.answer(job(1, Timings(queued_ms=10, decode_ms=1)), 0.1, 0.02)
    tally.answer(job(2, Timings(queued_ms=30)), 0.2, None)
    tally.answer(job(3, Timings(queued_ms=20, decode_ms=3)), 0.3, 0.04)
    tally.errors["QUEUE_FULL"] += 2
    figures = tally.figures(3, 2.0, 0.006)
    assert (figures.images, figures.images_per_s, figures.errors) == (3, 1.5, {"QUEUE_FULL": 2})
    assert (figures.p50_ms, figures.p99_ms, figures.batch_size) == (200, 300, 2)
    assert (figures.queued_ms, figures.decode_ms, figures.segment_ms) == (20, 2, None)
    assert figures.regions_before_class_ms == pytest.approx(30)
    assert figures.client_cpu_ms_per_image == pytest.approx(2)


def test_a_line_has_every_figure_rounded() -> None:
    """Four digits behind the point are more than anything measured here is good for."""
    line = Tally().figures(1, 2.000049, 0.0).line()
    assert line["seconds"] == 2.0
    assert line["errors"] == {}
