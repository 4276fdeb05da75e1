"""Many callers on one connection: each gets its own replies, whatever happens to the others or to the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import hiredis
import pytest
import redis
from redis import asyncio as aioredis

from nevus_core import wire
from nevus_core.broker import CONNECTION
from nevus_core.line import LARGE_BYTES, AsyncLine, Line


@pytest.fixture
def line(broker_url: str) -> Iterator[Line]:
    """For threads."""
    client = redis.Redis.from_url(broker_url, **CONNECTION)
    line = Line(client)
    yield line
    line.close()
    client.close()


@pytest.fixture
async def async_line(broker_url: str) -> AsyncIterator[AsyncLine]:
    """For tasks."""
    client = aioredis.Redis.from_url(broker_url, **CONNECTION)
    line = AsyncLine(client)
    yield line
    await line.close()
    await client.aclose()


def cut(raw: redis.Redis) -> None:
    """Kills every connection but the one that asks."""
    raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # type: ignore[no-untyped-call]


def test_threads_get_their_own_replies(line: Line) -> None:
    """Twenty threads, each with two commands a call; an error reply is only its caller's."""

    def talk(number: int) -> None:
        for turn in range(40):
            words = f"{number}-{turn}".encode()
            assert line.run(("ECHO", words), ("ECHO", words[::-1])) == [words, words[::-1]]
            if turn % 10 == number % 10:
                with pytest.raises(redis.ResponseError):
                    line.run(("NO_SUCH_COMMAND",))

    with ThreadPoolExecutor(20) as threads:
        for done in [threads.submit(talk, number) for number in range(20)]:
            done.result(30)


def test_threads_go_on_over_a_cut(line: Line, raw: redis.Redis) -> None:
    """The connection is killed again and again; every call is answered, with its own answer."""

    def talk(number: int) -> None:
        for turn in range(60):
            words = f"{number}-{turn}".encode()
            assert line.run(("ECHO", words)) == [words]

    with ThreadPoolExecutor(9) as threads:
        talking = [threads.submit(talk, number) for number in range(8)]
        while not all(one.done() for one in talking):
            cut(raw)
            line_is_used_again = threads.submit(talk, 99)
            line_is_used_again.result(30)
        for one in talking:
            one.result(30)


async def test_tasks_get_their_own_replies(async_line: AsyncLine) -> None:
    """Three hundred at once; some give up waiting, some are refused, and nobody gets another one's reply."""

    async def talk(number: int) -> None:
        words = b"%d" % number
        if number % 7 == 0:
            with pytest.raises(redis.ResponseError):
                await async_line.run(("NO_SUCH_COMMAND", words))
        else:
            assert await async_line.run(("ECHO", words), ("ECHO", words * 2)) == [words, words * 2]

    tasks = [asyncio.create_task(talk(number)) for number in range(300)]
    await asyncio.sleep(0)
    for task in tasks[::5]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes[::5]} == {asyncio.CancelledError}
    assert {outcome for number, outcome in enumerate(outcomes) if number % 5} == {None}


async def test_tasks_go_on_over_a_cut(async_line: AsyncLine, raw: redis.Redis) -> None:
    """As the threads do."""

    async def talk(number: int) -> None:
        for turn in range(50):
            words = b"%d-%d" % (number, turn)
            assert await async_line.run(("ECHO", words)) == [words]

    talking = [asyncio.create_task(talk(number)) for number in range(8)]
    for _ in range(5):
        cut(raw)
        await talk(99)
    await asyncio.gather(*talking)


async def test_a_large_call_goes_its_own_way(async_line: AsyncLine, key_prefix: str) -> None:
    """Its reply is the same."""
    large = b"x" * (LARGE_BYTES + 1)
    assert await async_line.run(("SET", f"{key_prefix}:large", large)) in ([True], [b"OK"])
    assert await async_line.run(("STRLEN", f"{key_prefix}:large")) == [len(large)]


async def test_a_silent_broker_counts_as_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts the connection and never answers: the caller hears it after the limit, not never."""
    monkeypatch.setattr(wire, "SILENCE_S", 0.1)
    monkeypatch.setattr("nevus_core.line.TRY_AGAIN_S", ())

    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = hiredis.Reader()
        while data := await reader.read(4096):
            commands.feed(data)
            while (words := commands.gets()) is not False:
                if words[0] != b"ECHO":  # the handshake's
                    writer.write(b"+OK\r\n")
        writer.close()

    server = await asyncio.start_server(be_silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = aioredis.Redis.from_url(f"redis://127.0.0.1:{port}", **CONNECTION)
    line = AsyncLine(client)
    try:
        with pytest.raises(redis.ConnectionError):
            await asyncio.wait_for(line.run(("ECHO", "anybody?")), 10)
    finally:
        await line.close()
        await client.aclose()
        server.close()
        await server.wait_closed()
