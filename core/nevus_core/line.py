"""How stores call the broker: what is asked for at the same moment leaves together, over one connection.

The worker's threads share a `Line`: while one batch of commands is under way (with `appendfsync always` that is a write
to the disk), further calls gather and leave in the next one. The front end's tasks share an `AsyncLine` over a `Wire`.
One caller alone waits for nobody. Measured on 2026-11-23: docs/performance.md.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any, cast

import hiredis
import redis
from redis import asyncio as aioredis
from redis.backoff import NoBackoff
from redis.retry import Retry

from nevus_core.wire import Command, Wire

LARGE_BYTES = 4 * 2**20
"""A call that carries more goes its own way, so that it holds up nobody."""

TRY_AGAIN_S = (0.05, 0.2, 0.5)
"""Pauses before a call is made again whose connection could not be had or broke. It may have been carried out the first
time: the broker's functions know a repeated call."""


class _Call:
    """Commands of one caller. `replies` is None until they have been answered or `error` is set."""

    __slots__ = ("commands", "error", "replies", "turn")

    def __init__(self, commands: Sequence[Command]) -> None:
        self.commands = commands
        self.replies: list[Any] | None = None
        self.error: BaseException | None = None
        self.turn = threading.Lock()
        self.turn.acquire()

    def result(self) -> list[Any]:
        """Returns the replies.

        Raises:
            redis.RedisError: The first that one of the commands was answered with, or the connection's.
        """
        if self.error is not None:
            raise self.error
        return _unless_error(self.replies or [])


class Line:
    """For the threads of one process: the first to come sends for all that have gathered.

    Args:
        client: Its pool makes the one connection.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._connection: Any = None
        self._lock = threading.Lock()
        self._waiting: list[_Call] = []
        self._busy = False

    def run(self, *commands: Command) -> list[Any]:
        """Returns the replies to some commands, which are sent in this order.

        Raises:
            redis.RedisError: The broker's or the connection's.
        """
        call = _Call(commands)
        with self._lock:
            self._waiting.append(call)
            mine, self._busy = not self._busy, True
        if not mine:
            call.turn.acquire()  # until it is answered, or it is this thread's turn to send
        if call.replies is None and call.error is None:
            self._send_all()
        return call.result()

    def close(self) -> None:
        """Ends the connection; nobody may be calling."""
        if self._connection is not None:
            self._connection.disconnect()

    def _send_all(self) -> None:
        with self._lock:
            calls, self._waiting = self._waiting, []
        try:
            replies = iter(self._exchange([words for call in calls for words in call.commands]))
            for call in calls:
                call.replies = [next(replies) for _ in call.commands]
        except BaseException as error:  # noqa: BLE001 - each caller has to hear it in its own thread
            for call in calls:
                call.error = error
        for call in calls:
            call.turn.release()
        with self._lock:
            following = self._waiting[0] if self._waiting else None
            self._busy = following is not None
        if following is not None:
            following.turn.release()

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        packed = [hiredis.pack_command(cast("Any", words)) for words in commands]
        for pause_s in TRY_AGAIN_S:
            try:
                return self._ask(packed)
            except (redis.ConnectionError, redis.TimeoutError, OSError):
                time.sleep(pause_s)
        return self._ask(packed)

    def _ask(self, packed: Sequence[bytes]) -> list[Any]:
        if self._connection is None:
            self._connection = self._pool.make_connection()
            self._connection.retry = Retry(NoBackoff(), 0)  # `_exchange` says how often
        try:
            self._connection.send_packed_command(packed)
            return [self._reply() for _ in packed]
        except BaseException:
            self._connection.disconnect()
            raise

    def _reply(self) -> Any:
        try:
            return self._connection.read_response()
        except redis.ResponseError as error:  # one command's; the replies to the others follow
            return error


class AsyncLine:
    """For the tasks of one event loop.

    Args:
        client: Its pool makes the connections.
    """

    def __init__(self, client: aioredis.Redis) -> None:
        self._client = client
        self._wire = Wire(client.connection_pool)

    async def run(self, *commands: Command) -> list[Any]:
        """Returns the replies to some commands, which are sent in this order.

        Raises:
            redis.RedisError: The broker's or the connection's.
        """
        if sum(len(word) for words in commands for word in words if isinstance(word, bytes)) > LARGE_BYTES:
            return await self._alone(commands)
        for pause_s in TRY_AGAIN_S:
            try:
                return _unless_error(await self._wire.ask(commands))
            except (redis.ConnectionError, redis.TimeoutError, OSError):
                await asyncio.sleep(pause_s)
        return _unless_error(await self._wire.ask(commands))

    async def close(self) -> None:
        """Ends the connection."""
        await self._wire.close()

    async def _alone(self, commands: Sequence[Command]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            for words in commands:
                pipe.execute_command(*cast("tuple[Any, ...]", words))
            return await pipe.execute()


def _unless_error(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, redis.RedisError):
            raise reply
    return replies
