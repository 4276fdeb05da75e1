"""When a call is made again: with a clock that only moves when someone sleeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nevus import Client, InvalidRequest, NevusError, QuotaExceeded, ServerUnreachable, Unavailable
from nevus._retry import Backoff, RetryPolicy, call, call_async


class Clock:
    """Time that passes by sleeping alone; remembers the sleeps."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.sleeps: list[float] = []

    def policy(self, retry_for_s: float = 30.0, jitter: float = 1.0) -> RetryPolicy:
        return RetryPolicy(
            retry_for_s=retry_for_s,
            clock=lambda: self.now_s,
            sleep=self.sleep,
            sleep_async=self.sleep_async,
            jitter=lambda: jitter,
        )

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(round(seconds, 6))
        self.now_s += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


def failing(*errors: NevusError) -> Callable[[], str]:
    """A call that fails with these errors, then returns "done"."""
    left = list(errors)

    def attempt() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return attempt


def unavailable(retry_after_s: float | None = None) -> Unavailable:
    return Unavailable("later", code="UNAVAILABLE", retry_after_s=retry_after_s)


def test_the_delay_doubles_up_to_its_limit() -> None:
    """Without word from the server: 0.2 s, then twice as long each time, at most 5 s."""
    clock = Clock()
    assert call(clock.policy(), failing(*[unavailable()] * 7)) == "done"
    assert clock.sleeps == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_jitter_shortens_a_delay_of_ours_by_up_to_half() -> None:
    """Clients cut off together do not come back together."""
    clock = Clock()
    call(clock.policy(jitter=0.0), failing(unavailable(), unavailable()))
    assert clock.sleeps == [0.1, 0.2]


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_retry_info_is_honoured_and_never_undercut(jitter: float) -> None:
    """The server's delay is waited in full; jitter only adds to it."""
    clock = Clock()
    call(clock.policy(jitter=jitter), failing(unavailable(7.0)))
    assert clock.sleeps == [pytest.approx(7.0 + 0.7 * jitter)]


def test_a_quota_is_retried_only_where_it_names_a_delay() -> None:
    """RESOURCE_EXHAUSTED is final unless RetryInfo says when its end is."""
    clock = Clock()
    quota = QuotaExceeded("full", code="RESOURCE_EXHAUSTED", retry_after_s=2.0)
    assert call(clock.policy(jitter=0.0), failing(quota)) == "done"
    assert clock.sleeps == [2.0]
    with pytest.raises(QuotaExceeded):
        call(clock.policy(), failing(QuotaExceeded("full", code="RESOURCE_EXHAUSTED")))


def test_no_try_starts_after_the_limit() -> None:
    """retry_for_s counts from the first failure; a delay that would pass it is not begun."""
    clock = Clock()
    with pytest.raises(Unavailable):
        call(clock.policy(retry_for_s=3.0), failing(*[unavailable()] * 99))
    assert clock.sleeps == [0.2, 0.4, 0.8, 1.6]
    with pytest.raises(Unavailable):
        call(clock.policy(retry_for_s=3.0), failing(unavailable(3.5)))


def test_zero_means_never_and_final_errors_are_final() -> None:
    """One try, where retries are off or can't help."""
    clock = Clock()
    with pytest.raises(Unavailable):
        call(clock.policy(retry_for_s=0), failing(unavailable()))
    with pytest.raises(InvalidRequest):
        call(clock.policy(), failing(InvalidRequest("no", code="INVALID_ARGUMENT")))
    assert clock.sleeps == []


def test_progress_resets_the_backoff() -> None:
    """A stream that brings something has its full time again after the next cut."""
    clock = Clock()
    backoff = Backoff(clock.policy(retry_for_s=1.0))
    for _ in range(5):
        backoff.pause(unavailable())
        backoff.reset()
    assert clock.sleeps == [0.2] * 5


async def test_the_async_form_decides_the_same() -> None:
    """One policy, two ways to sleep."""
    clock = Clock()
    attempt = failing(unavailable(1.0), unavailable())

    async def awaited() -> str:
        return attempt()

    assert await call_async(clock.policy(jitter=0.0), awaited) == "done"
    assert clock.sleeps == [1.0, 0.2]


def test_a_refused_call_is_repeated_with_the_same_request_id(server: Any, status_busy: Any) -> None:
    """Through the whole client: two UNAVAILABLE with RetryInfo 0.05 s, then the answer; the id never changes."""
    clock = Clock()
    server.refusals = [status_busy, status_busy]
    with Client(server.target, retry_policy=clock.policy(jitter=0.0)) as client:
        client.submit(b"ok")
    assert clock.sleeps == [0.05, 0.05]
    assert len({request.request_id for request in server.requests}) == 1
    assert len(server.requests) == 3


def test_an_absent_server_is_tried_until_the_limit(dead_target: str) -> None:
    """A refused connection counts as UNAVAILABLE, and gRPC itself retries nothing."""
    clock = Clock()
    with Client(dead_target, retry_policy=clock.policy(retry_for_s=2.0)) as client, pytest.raises(ServerUnreachable):
        client.get("j1")
    assert clock.sleeps == [0.2, 0.4, 0.8]
