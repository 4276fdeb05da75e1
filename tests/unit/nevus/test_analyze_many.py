"""AnalyzeMany, sync and async: each image one outcome, whatever happens to the stream."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import nevus
from nevus import AsyncClient, Client
from nevus._many_async import AsyncManyRun
from nevus._retry import RetryPolicy
from nevus._status import from_rpc_error
from nevus.v1 import job_pb2

FAST = RetryPolicy(retry_for_s=5, first_delay_s=0.01)


def run_sync(server: Any, items: Any, **options: Any) -> list[Any]:
    """All updates through `Client`."""
    policy = options.pop("policy", FAST)
    with Client(server.target, retry_policy=policy) as client:
        return list(client.analyze_many(items, **options))


def run_async(server: Any, items: Any, **options: Any) -> list[Any]:
    """All updates through `AsyncClient`."""

    async def collect() -> list[Any]:
        policy = options.pop("policy", FAST)
        async with AsyncClient(server.target, retry_policy=policy) as client:
            return [update async for update in client.analyze_many(items, **options)]

    return asyncio.run(collect())


@pytest.fixture(params=[run_sync, run_async], ids=["sync", "async"])
def run(request: Any) -> Any:
    """Either client."""
    return request.param


def outcomes(updates: Any) -> Counter[Any]:
    """How often each key came to its outcome."""
    return Counter(key for key, update in updates if isinstance(update, nevus.NevusError) or update.final)


def test_every_image_has_its_events_under_its_own_key(server: Any, run: Any) -> None:
    """Keys are the caller's, of any type, and do not travel."""
    keys = [("patient", n) for n in range(20)]
    updates = run(server, ((key, b"ok") for key in keys), in_flight=4, labels={"a": "b"})
    assert outcomes(updates) == dict.fromkeys(keys, 1)
    for key in keys:
        assert [update.revision for other, update in updates if other == key] == [1, 2, 3, 4, 5]
    assert server.calls["AnalyzeMany"] == 1
    assert not any("patient" in request.key for request in server.requests)
    assert all(request.options.labels == {"a": "b"} for request in server.requests)


def test_no_images_at_all_open_no_stream(server: Any, run: Any) -> None:
    """An empty folder is no call."""
    assert run(server, []) == []
    assert not server.calls


@pytest.mark.parametrize("tells_all", [False, True], ids=["server of today", "server before final_only"])
def test_outcomes_alone_come_where_they_alone_are_asked_for(server: Any, run: Any, tells_all: bool) -> None:
    """One entry an image, whatever it came to; the server is asked for no more, and what it tells beyond is dropped."""
    server.tells_all = tells_all
    updates = run(server, enumerate([b"ok", b"fail", b"refuse", b"ok"]), final_only=True)
    assert sorted(key for key, _ in updates) == [0, 1, 2, 3]
    found = dict(updates)
    assert found.pop(2).reason == "CORRUPT_IMAGE"
    assert [found[key].state for key in (0, 1, 3)] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert all(event.snapshot.final for event in found.values())
    assert all(request.final_only for request in server.requests)


@pytest.mark.parametrize("cuts", [[0], [3], [2, 0, 0, 4], [9]])
def test_outcomes_alone_come_once_each_across_cuts(server: Any, run: Any, cuts: list[int]) -> None:
    """No earlier revision is there to resume after; what has no outcome goes again under its request id."""
    server.cuts = [*cuts]
    updates = run(server, ((n, b"ok") for n in range(10)), in_flight=3, final_only=True)
    assert sorted(key for key, _ in updates) == list(range(10))
    assert {update.revision for _, update in updates} == {5}
    assert len(server.accepted) == 10
    assert server.calls["AnalyzeMany"] == len(cuts) + 1


def test_every_event_is_asked_for_by_default(server: Any, run: Any) -> None:
    """As before there was a choice."""
    run(server, [("a", b"ok")])
    assert [request.final_only for request in server.requests] == [False]


@pytest.mark.parametrize("cuts", [[0], [3], [7, 0, 0, 12], [49]])
def test_a_stream_cut_in_the_middle_yields_each_outcome_once(server: Any, run: Any, cuts: list[int]) -> None:
    """What has no outcome goes again under its request id; nothing is repeated or made twice."""
    server.cuts = [*cuts]
    updates = run(server, ((n, b"ok") for n in range(10)), in_flight=3)
    assert outcomes(updates) == dict.fromkeys(range(10), 1)
    for key in range(10):
        assert [update.revision for other, update in updates if other == key] == [1, 2, 3, 4, 5]
    assert len(server.accepted) == 10
    assert server.calls["AnalyzeMany"] == len(cuts) + 1


def test_refused_and_unreadable_images_fail_alone(server: Any, run: Any, tmp_path: Path) -> None:
    """One bad image yields one error under its key; the others go on."""
    good = tmp_path / "good.png"
    good.write_bytes(b"ok")
    items = [("gone", tmp_path / "gone.png"), ("bad", b"refuse"), ("good", good), ("late", b"fail"), ("more", b"ok")]
    updates = run(server, items)
    assert outcomes(updates) == dict.fromkeys(["gone", "bad", "good", "late", "more"], 1)
    errors = {key: update for key, update in updates if isinstance(update, nevus.NevusError)}
    assert isinstance(errors.pop("gone"), nevus.UnreadableImage)
    assert errors.pop("bad").reason == "CORRUPT_IMAGE"
    assert errors == {}
    assert [update.state for key, update in updates if key == "late"][-1] == "FAILED"


def test_a_file_that_vanishes_after_it_was_listed_fails_alone(
    server: Any, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are read when their turn comes; what is gone by then has its own error."""
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for path in paths:
        path.write_bytes(b"ok")
    real = nevus._requests.read_image
    gone = nevus.UnreadableImage(str(paths[1]), "No such file or directory")

    def read(image: bytes) -> bytes:
        if image == paths[1]:
            raise gone
        return real(image)

    monkeypatch.setattr("nevus._ledger.read_image", read)
    updates = run(server, ((path.name, path) for path in paths))
    assert outcomes(updates) == {"0.png": 1, "1.png": 1, "2.png": 1}
    assert ("1.png", gone) in updates


def test_a_full_queue_holds_the_sender_and_loses_nothing(server: Any, run: Any) -> None:
    """UNAVAILABLE for single images is waited out, for all of them together, under the same request ids."""
    updates = run(server, ((n, b"busy" if n % 3 == 0 else b"ok") for n in range(9)), in_flight=2)
    assert outcomes(updates) == dict.fromkeys(range(9), 1)
    assert not any(isinstance(update, nevus.NevusError) for _, update in updates)
    assert len({request.request_id for request in server.requests}) == 9


def test_a_full_queue_is_an_outcome_where_retries_are_off(server: Any, run: Any) -> None:
    """retry_for_s = 0 means what it says."""
    updates = run(server, [("a", b"busy"), ("b", b"ok")], policy=RetryPolicy(retry_for_s=0))
    assert outcomes(updates) == {"a": 1, "b": 1}
    assert next(update.reason for key, update in updates if key == "a") == "QUEUE_FULL"


def test_large_images_are_uploaded_between_the_others(server: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image over the inline limit never rides on the stream, and holds up nobody's outcome."""
    monkeypatch.setattr("nevus._requests.INLINE_LIMIT_BYTES", 100)
    images = [b"ok", b"ok" + bytes(200), b"ok", b"ok", b"ok" + bytes(300)]
    updates = run(server, list(enumerate(images)))
    assert outcomes(updates) == dict.fromkeys(range(5), 1)
    assert server.calls["UploadJob"] == 2
    assert server.calls["AnalyzeMany"] == 2


def test_large_images_as_well_bring_their_outcome_alone(server: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their jobs are watched, event by event; the caller sees the last one."""
    monkeypatch.setattr("nevus._requests.INLINE_LIMIT_BYTES", 100)
    updates = run(server, list(enumerate([b"ok", b"ok" + bytes(200)])), final_only=True)
    assert sorted(key for key, _ in updates) == [0, 1]
    assert all(update.final for _, update in updates)


def test_images_are_taken_as_there_is_room(server: Any, run: Any) -> None:
    """A folder of any size needs the memory of a few images: no more than in_flight are taken ahead of outcomes."""
    taken, ahead = 0, 0
    done: Counter[int] = Counter()

    def items() -> Iterator[Any]:
        nonlocal taken, ahead
        for n in range(40):
            taken += 1
            ahead = max(ahead, taken - done.total())
            yield n, b"ok"

    async def watch() -> None:
        async with AsyncClient(server.target) as client:
            async for key, update in client.analyze_many(items(), in_flight=5):
                if update.final:
                    done[key] += 1

    if run is run_async:
        asyncio.run(watch())
    else:
        with Client(server.target) as client:
            for key, update in client.analyze_many(items(), in_flight=5):
                if update.final:
                    done[key] += 1
    assert done.total() == 40
    # One more is taken out of the iterable, and one may be out of the books but not yet at the caller.
    assert ahead <= 5 + 2


def test_an_exception_of_the_callers_iterable_comes_out_after_the_outcomes(server: Any, run: Any) -> None:
    """What was taken before it still has its outcome; the exception is the caller's own."""
    seen = []

    def items() -> Iterator[Any]:
        yield "a", b"ok"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        seen.extend(run(server, items()))


def test_out_of_time_raises_and_the_accepted_jobs_stay(server: Any, run: Any) -> None:
    """The limit is for the whole run."""
    with pytest.raises(nevus.DeadlineExceeded):
        run(server, [("a", b"ok"), ("b", b"ok")], timeout_s=0.0)


def test_nobody_there_raises_for_the_run(dead_target: str) -> None:
    """The stream's own failure is no image's outcome."""
    with Client(dead_target, retry_for_s=0) as client, pytest.raises(nevus.ServerUnreachable):
        list(client.analyze_many([("a", b"ok")]))


def test_leaving_the_loop_early_ends_the_sender(server: Any) -> None:
    """A caller who has seen enough leaves no thread waiting for room."""
    with Client(server.target) as client:
        updates = client.analyze_many(((n, b"ok") for n in range(1000)), in_flight=2)
        next(updates)
        updates.close()
    for thread in threading.enumerate():
        if "consume" in thread.name.lower():
            thread.join(5)
            assert not thread.is_alive()


async def test_files_are_read_off_the_loop_and_bytes_taken_on_it(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk holds up nobody, and an image in memory costs no thread."""
    path = tmp_path / "ok.png"
    path.write_bytes(b"ok")
    real, here = nevus._requests.read_image, threading.current_thread()
    on_the_loop = {}

    def read(image: Any) -> bytes:
        on_the_loop[image] = threading.current_thread() is here
        return real(image)

    monkeypatch.setattr("nevus._ledger.read_image", read)
    items = [("path", path), ("name", str(path)), ("bytes", b"ok")]
    async with AsyncClient(server.target) as client:
        assert len([key async for key, _ in client.analyze_many(items, final_only=True)]) == 3
    assert on_the_loop == {path: False, str(path): False, b"ok": True}


async def test_a_row_of_unreadable_files_does_not_hold_up_the_loop(server: Any, tmp_path: Path) -> None:
    """Others have their turn between them."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    async with AsyncClient(server.target) as client:
        updates = [update async for update in client.analyze_many((n, tmp_path / "gone.png") for n in range(100))]
    task.cancel()
    assert outcomes(updates) == dict.fromkeys(range(100), 1)
    assert turns >= 100


async def test_a_stream_that_breaks_as_it_is_half_closed_says_why() -> None:
    """What grpc.aio throws at the writer then is its own affair; the caller gets the stream's error."""
    half_closed = asyncio.Event()

    class Call:
        async def write(self, request: Any) -> None:
            """Takes everything."""

        async def done_writing(self) -> None:
            half_closed.set()
            raise ZeroDivisionError  # in place of cygrpc.ExecuteBatchError

        def cancel(self) -> None:
            """Is over."""

        async def __aiter__(self) -> AsyncIterator[Any]:
            await half_closed.wait()
            raise grpc.aio.AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, grpc.aio.Metadata(), grpc.aio.Metadata())
            yield

    run = AsyncManyRun(
        [("a", b"ok")],
        options=job_pb2.AnalysisOptions(),
        in_flight=2,  # so that the writer sees the end of the images while one is on the way
        final_only=False,
        policy=RetryPolicy(retry_for_s=0),
        open_stream=Call,
        follow_large=lambda image, request_id: pytest.fail("not large"),
        to_error=lambda failure: from_rpc_error(failure, "there"),
    )
    with pytest.raises(nevus.DeadlineExceeded):
        assert [update async for update in run.events()] == []


async def test_async_iterables_are_taken_as_they_come(server: Any) -> None:
    """`AsyncClient` takes images that arrive over time, and a cut does not end their source."""
    server.cuts = [7]

    async def items() -> AsyncIterator[Any]:
        for n in range(8):
            await asyncio.sleep(0.001)
            yield n, b"ok"

    async with AsyncClient(server.target, retry_policy=FAST) as client:
        updates = [update async for update in client.analyze_many(items(), in_flight=2)]
    assert outcomes(updates) == dict.fromkeys(range(8), 1)
