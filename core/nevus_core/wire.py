"""One connection to the broker for all tasks of an event loop: commands go out together, replies come in their order.

What is asked for while an answer is under way leaves when that has come: with `appendfsync always` every batch is a
write to the disk and two changes of process, and under load they cost more than the commands.

redis-py opens it (it knows addresses, TLS, passwords, the handshake) and hiredis speaks the protocol; between the two
redis-py's own client takes a connection from a pool, packs, awaits and unpacks for each call in some forty steps of the
loop. Measured on 2026-11-23: docs/performance.md.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import hiredis
import redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

Command = tuple[object, ...]
"""A command's words."""

SILENCE_S = 10.0
"""A broker that owes an answer for so long counts as gone."""

LARGE_BYTES = 32 * 1024
"""A word of so many bytes goes out as it is; packed with the others it would be copied."""

_MORE = object()
"""What hiredis gives where a reply is not complete yet."""


class _Asked:
    """Some commands of one caller, and what has come of their replies."""

    __slots__ = ("answered", "at_s", "missing", "replies")

    def __init__(self, missing: int, answered: asyncio.Future[list[Any]], at_s: float) -> None:
        self.missing = missing
        self.answered = answered
        self.at_s = at_s
        self.replies: list[Any] = []


class Wire(asyncio.Protocol):
    """Connects with the first call, and again with the next call after it broke.

    Args:
        pool: A redis.asyncio pool; makes the connection, and knows nothing of it afterwards.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._opening = asyncio.Lock()
        self._reader = hiredis.Reader()
        self._out: list[bytes] = []
        self._asked: deque[_Asked] = deque()
        self._owed = 0  # of those asked, sent and not yet answered
        self._gone = asyncio.Event()
        self._watching = False
        self._writer: Any = None

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Returns the replies to some commands in their order; an error reply is an exception in the list.

        Raises:
            redis.ConnectionError: There is no connection, or it broke: the commands may have been carried out or not.
        """
        if self._transport is None:
            await self._open()
        loop = asyncio.get_running_loop()
        asked = _Asked(len(commands), loop.create_future(), loop.time())
        self._asked.append(asked)
        if not (self._out or self._owed):
            loop.call_soon(self._flush)  # with whatever else is asked for in this turn of the loop
        for words in commands:
            self._out.extend(_packed(words))
        if not self._watching:
            self._watch()
        return await asked.answered

    async def close(self) -> None:
        """Ends the connection; who waits for an answer gets ConnectionError."""
        if self._transport is not None:
            self._transport.abort()
            await self._gone.wait()

    def data_received(self, data: bytes) -> None:
        """Hands complete replies to those who asked."""
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not _MORE:
            asked = self._asked[0]
            asked.replies.append(reply)
            asked.missing -= 1
            if not asked.missing:
                self._asked.popleft()
                self._owed -= 1
                if not asked.answered.done():  # its caller may have gone
                    asked.answered.set_result(asked.replies)
        if self._out and not self._owed:
            self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells all who wait."""
        self._transport = None
        self._gone.set()
        self._out.clear()
        self._owed = 0
        asked, self._asked = self._asked, deque()
        for one in asked:
            if not one.answered.done():
                one.answered.set_exception(redis.ConnectionError(f"The connection broke: {exc or 'closed'}"))

    async def _open(self) -> None:
        async with self._opening:
            if self._transport is not None:
                return
            connection = self._pool.make_connection()
            connection.retry = Retry(NoBackoff(), 0)  # callers say how often
            await connection.connect()
            # Taken over: redis-py has no public way to hand out what it has opened. A writer that is forgotten closes.
            self._writer = connection._writer  # noqa: SLF001
            connection._reader = connection._writer = None  # noqa: SLF001
            transport = self._writer.transport
            self._reader = hiredis.Reader(replyError=redis.ResponseError, notEnoughData=_MORE)
            transport.set_protocol(self)
            self._transport = transport
            self._gone.clear()

    def _flush(self) -> None:
        if self._transport is None:
            return
        out, self._out = self._out, []
        self._owed = len(self._asked)
        self._transport.writelines(out)

    def _watch(self) -> None:
        """Breaks a connection that owes an answer for too long; looks again while there is something owed."""
        loop = asyncio.get_running_loop()
        self._watching = bool(self._asked)
        if not self._watching:
            return
        if loop.time() - self._asked[0].at_s > SILENCE_S and self._transport is not None:
            self._transport.abort()
        loop.call_later(SILENCE_S / 4, self._watch)


def _packed(words: Command) -> list[bytes]:
    """Returns a command as the broker reads it, in pieces to be sent one after the other."""
    if not any(isinstance(word, bytes) and len(word) >= LARGE_BYTES for word in words):
        return [hiredis.pack_command(cast("Any", words))]
    pieces = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        pieces += [b"$%d\r\n" % len(data), data, b"\r\n"]
    return pieces
