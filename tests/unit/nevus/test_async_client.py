"""`nevus.AsyncClient`: the same promises as `Client`, on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import nevus
from nevus import AsyncClient


@pytest.fixture
async def client(server: Any) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.target, retry_for_s=5) as connected:
        yield connected


async def test_an_image_comes_through(server: Any, client: Any) -> None:
    """analyze, submit + wait and stream agree."""
    job = (await client.analyze(b"ok")).raise_for_state()
    assert job.result.classification.label == "benign"
    other = await client.submit(b"ok", priority="bulk")
    assert (await client.wait(other.name)).final
    assert (await client.get(other.name)).options.priority is nevus.JobPriority.BULK
    assert [event.revision async for event in client.stream(b"ok")] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("cut", [0, 2, 4])
async def test_a_cut_stream_misses_and_repeats_nothing(server: Any, client: Any, cut: int) -> None:
    """As for the sync client."""
    server.cuts = [cut, 1]
    assert [event.revision async for event in client.stream(b"ok")] == [1, 2, 3, 4, 5]
    name = next(iter(server.accepted.values()))
    server.cuts = [1, 1]
    assert [event.revision async for event in client.watch(name)] == [1, 2, 3, 4, 5]


async def test_large_images_are_uploaded(
    server: Any, client: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In chunks, read off the loop."""
    monkeypatch.setattr("nevus._requests.INLINE_LIMIT_BYTES", 1000)
    path = tmp_path / "large.png"
    path.write_bytes(b"ok" + bytes(1_200_000))
    assert (await client.analyze(path)).state is nevus.JobState.SUCCEEDED
    assert (await client.submit(path)).name == "jobs/j0001"
    assert server.calls["UploadJob"] == 2


async def test_the_rest_of_the_calls(server: Any, client: Any) -> None:
    """Lists, pictures, models, health, cancel and delete."""
    name = (await client.submit(b"ok")).name
    await client.submit(b"ok")
    await client.submit(b"ok")
    assert len([job async for job in client.list()]) == 3
    for kind in nevus.ArtifactKind:
        assert (await client.artifact(name, kind)).startswith(b"\x89PNG")
    assert (await client.models()) == (await client.model("notebook-cnn"),)
    assert await client.ready()
    assert not await client.ready("model/other")
    assert (await client.cancel(name)).state is nevus.JobState.CANCELLED
    assert (await client.delete(name)).name == name


async def test_errors_are_mapped(server: Any, client: Any, dead_target: str, tmp_path: Path) -> None:
    """The same tree as from the sync client."""
    with pytest.raises(nevus.InvalidRequest, match="broken"):
        await client.analyze(b"refuse")
    with pytest.raises(nevus.NotFound):
        await client.get("j1")
    with pytest.raises(nevus.NotFound):
        _ = [event async for event in client.watch("j1")]
    with pytest.raises(nevus.UnreadableImage):
        await client.submit(tmp_path / "no.png")
    with pytest.raises(nevus.DeadlineExceeded):
        await client.analyze(b"hang", timeout_s=0.2)
    async with AsyncClient(dead_target, retry_for_s=0) as lonely:
        with pytest.raises(nevus.ServerUnreachable):
            await lonely.get("j1")
        assert not await lonely.ready()


async def test_cancelling_the_caller_does_not_cancel_the_job(server: Any, client: Any) -> None:
    """A task that waits can be cancelled; the server hears of no CancelJob."""
    task = asyncio.create_task(client.analyze(b"hang"))
    assert await asyncio.to_thread(server.arrived.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.calls["CancelJob"] == 0
