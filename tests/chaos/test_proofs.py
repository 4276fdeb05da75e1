"""The proofs in short form; `python -m chaos` runs them at full length."""

from __future__ import annotations

import pytest

from chaos.faults import SHORT
from chaos.overload import overload
from chaos.poison import poison
from chaos.rolling import rolling
from chaos.soak import soak
from chaos.storm import storm

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


def test_nothing_is_lost_and_nothing_answered_twice() -> None:
    """200 jobs while workers, front ends and the broker are killed, stopped and paused."""
    assert storm(jobs=200, seed=1, minutes=3, faults=SHORT) == []


def test_a_poisonous_image_fails_alone() -> None:
    """It kills every worker that touches it; 200 neighbours succeed, none with more than two attempts."""
    assert poison(neighbours=200) == []


def test_ten_times_the_load_is_refused_in_good_order() -> None:
    """Accepted and refused make up what was sent; waiting and memory stay bounded."""
    assert overload(seconds=15) == []


def test_a_thousand_jobs_leave_no_trace() -> None:
    """Memory, descriptors and keys after 1,000 jobs as after the first 100."""
    assert soak(jobs=1000, growth_limit=0.10) == []


def test_a_rolling_restart_goes_unnoticed() -> None:
    """Both front ends and both workers restarted with SIGTERM under load: no error, no second attempt."""
    assert rolling() == []
