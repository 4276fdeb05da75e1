"""When a refused caller is told to come back, and how much this process takes in hand."""

from __future__ import annotations

import pytest

from nevus_core.errors import Unavailable
from nevus_server.budget import Budget
from nevus_server.pace import LONGEST_S, SHORTEST_S, UNKNOWN_S, Pace


class Watch:
    """A monotonic clock that a test turns."""

    now = 0.0

    def __call__(self) -> float:
        """Returns the time."""
        return self.now


def test_the_delay_fits_the_measured_rate() -> None:
    """At 100 outcomes a second a queue of 1,000 has drained by a tenth after one second."""
    watch = Watch()
    pace = Pace(None, watch)  # type: ignore[arg-type]
    assert pace.retry_after_s(1000) == UNKNOWN_S
    for second in range(60):
        watch.now = float(second)
        pace.note({"succeeded": 90 * second, "failed": 10 * second, "accepted": 10**6})
    assert pace.retry_after_s(1000) == pytest.approx(1.0, rel=0.01)
    assert pace.retry_after_s(10) == SHORTEST_S
    assert pace.retry_after_s(10**6) == LONGEST_S


def test_a_budget_refuses_what_goes_over_and_gets_back_what_was_taken() -> None:
    """Two calls share the bound; after one has ended, or failed, its bytes are free again."""
    budget = Budget(100)
    with budget.share() as first:
        first.take(60)
        with budget.share() as second:
            second.take(30)
            with pytest.raises(Unavailable) as refused:
                second.take(20)
        assert refused.value.reason == "FRONT_END_BUSY"
        first.take(40)
    with budget.share() as third:
        third.take(100)
