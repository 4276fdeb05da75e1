"""When a failed call is made again: the one place that decides it, for unary calls and broken streams alike.

Only what is safe is retried: reads; calls that carry a request id, which the server answers with the same job; cancel,
which is idempotent; delete, whose repeated request id gets the first receipt. Every call of the clients is one of
these. gRPC's own transparent retries are switched off (`nevus._channel`), so that nothing is retried twice over.

The delay is the server's RetryInfo where it sent one, else grows exponentially; both with jitter, so that clients cut
off together do not come back together.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from nevus.errors import NevusError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long and how often to try again.

    Attributes:
        retry_for_s: Overall limit: no new try starts later than this many seconds after the first failure. 0: never
            retry.
        first_delay_s: Before the second try, where the server names no delay.
        max_delay_s: What the doubling delay stops at. A delay that the server names is honoured beyond it.
        clock: Seconds that never jump back.
        sleep: Waits so many seconds.
        sleep_async: The same in a coroutine.
        jitter: Returns a number in 0..1.
        on_retry: Is told of each failure that will be retried, and of the seconds until then.
    """

    retry_for_s: float = 30.0
    first_delay_s: float = 0.2
    max_delay_s: float = 5.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    sleep_async: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
    on_retry: Callable[[NevusError, float], None] | None = None


class Backoff:
    """The tries of one call, or of one stream since it last brought something."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._failures = 0
        self._give_up_at: float | None = None

    def reset(self) -> None:
        """Forgets past failures: the call makes progress."""
        self._failures = 0
        self._give_up_at = None

    def delay_s(self, error: NevusError) -> float | None:
        """Returns the seconds to wait before the next try, or None where there should be none.

        Args:
            error: What the last try failed with.
        """
        policy = self._policy
        if not error.retryable or policy.retry_for_s <= 0:
            return None
        now_s = policy.clock()
        if self._give_up_at is None:
            self._give_up_at = now_s + policy.retry_for_s
        if error.retry_after_s is not None:
            # Never earlier than told.
            delay = error.retry_after_s * (1 + 0.1 * policy.jitter())
        else:
            delay = min(policy.max_delay_s, policy.first_delay_s * 2**self._failures) * (0.5 + 0.5 * policy.jitter())
        self._failures += 1
        if now_s + delay > self._give_up_at:
            return None
        if policy.on_retry is not None:
            policy.on_retry(error, delay)
        return delay

    def pause(self, error: NevusError) -> None:
        """Waits until the next try is due.

        Raises:
            NevusError: `error` itself, where there should be no next try.
        """
        delay = self.delay_s(error)
        if delay is None:
            raise error
        self._policy.sleep(delay)

    async def pause_async(self, error: NevusError) -> None:
        """Waits, in a coroutine, until the next try is due.

        Raises:
            NevusError: `error` itself, where there should be no next try.
        """
        delay = self.delay_s(error)
        if delay is None:
            raise error
        await self._policy.sleep_async(delay)


def call(policy: RetryPolicy, attempt: Callable[[], T]) -> T:
    """Returns what `attempt` returns, trying again while the policy allows.

    Raises:
        NevusError: The last try's.
    """
    backoff = Backoff(policy)
    while True:
        try:
            return attempt()
        except NevusError as error:
            backoff.pause(error)


async def call_async(policy: RetryPolicy, attempt: Callable[[], Awaitable[T]]) -> T:
    """Returns what `attempt` returns, trying again while the policy allows.

    Raises:
        NevusError: The last try's.
    """
    backoff = Backoff(policy)
    while True:
        try:
            return await attempt()
        except NevusError as error:
            await backoff.pause_async(error)
