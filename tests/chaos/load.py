"""A closed-loop load through the shipped clients with their documented retries: hospitals that wait for their outcomes.

Tickets are released by whoever conducts; free clients take them. Five ways of asking are mixed: submit and wait, submit
and watch, Analyze, AnalyzeMany, and the blocking client. One image is one ticket, one ticket one job.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from chaos.ledger import Ledger
from nevus import AsyncClient, Client, Event, NevusError, RetryPolicy
from support.lesions import lesion_jpeg

PICTURES = 40
MANY_BATCH = 8
CONNECTIONS = 4
OUTCOME_LIMIT_S = 120.0
"""An outcome that a client has not seen after so long is an error that its retries did not hide."""


class Load:
    """Clients in a thread with an event loop of its own, from `start` to `finish`.

    Args:
        target: Every front end.
        ledger: Where all that happens is noted.
        clients: Coroutines that each have one image under way.
        many: AnalyzeMany streams beside them.
        blocking: Threads with a blocking client beside them.
        label: Put on every job, so that a list can find them.
    """

    def __init__(
        self,
        target: str,
        ledger: Ledger,
        *,
        clients: int = 40,
        many: int = 2,
        blocking: int = 4,
        label: str = "chaos",
    ) -> None:
        self._target = target
        self._ledger = ledger
        self._crew = (clients, many, blocking)
        self._labels = {"run": label}
        self._pictures = [_picture(seed) for seed in range(PICTURES)]
        self._policy = RetryPolicy(on_retry=ledger.retry)
        self._loop = asyncio.new_event_loop()
        self._tickets: asyncio.Queue[int | None] = asyncio.Queue()
        self._released = 0
        self._under_way = 0
        self._threads = ThreadPoolExecutor(blocking + 2, thread_name_prefix="hospital")
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), name="load")

    @property
    def released(self) -> int:
        """Tickets so far."""
        return self._released

    @property
    def waiting(self) -> int:
        """Tickets that nobody has taken or that are under way."""
        return self._tickets.qsize() + self._under_way

    def start(self) -> None:
        """Opens the clients."""
        self._thread.start()

    def release(self, count: int) -> None:
        """Lets so many more images be sent."""
        numbers = range(self._released, self._released + count)
        self._released += count
        self._loop.call_soon_threadsafe(lambda: [self._tickets.put_nowait(number) for number in numbers])

    def finish(self, tend: Callable[[], None], limit_s: float = 180.0) -> None:
        """Waits until every ticket has come to something, and closes the clients."""
        self._loop.call_soon_threadsafe(lambda: [self._tickets.put_nowait(None) for _ in range(sum(self._crew))])
        waited = 0.0
        while self._thread.is_alive() and waited < limit_s:
            self._thread.join(0.1)
            waited += 0.1
            tend()
        if self._thread.is_alive():
            raise TimeoutError(f"{self.waiting} images have no outcome after {limit_s:g} s")
        self._loop.close()
        self._threads.shutdown()

    async def _run(self) -> None:
        clients, many, blocking = self._crew
        async with contextlib.AsyncExitStack() as stack:
            connections = [
                await stack.enter_async_context(AsyncClient(self._target, retry_policy=self._policy))
                for _ in range(CONNECTIONS)
            ]
            blocking_client = stack.enter_context(Client(self._target, retry_policy=self._policy))
            ways = (self._submit_and_wait, self._submit_and_watch, self._stream)
            hospitals: list[Awaitable[None]] = [
                self._hospital(connections[n % CONNECTIONS], ways[n % len(ways)]) for n in range(clients)
            ]
            hospitals += [self._many(connections[n % CONNECTIONS]) for n in range(many)]
            hospitals += [self._blocking(blocking_client) for _ in range(blocking)]
            await asyncio.gather(*hospitals)

    async def _hospital(self, client: AsyncClient, way: Callable[[AsyncClient, int], Awaitable[None]]) -> None:
        while (number := await self._tickets.get()) is not None:
            with self._one(number, way.__name__):
                async with asyncio.timeout(OUTCOME_LIMIT_S):
                    await way(client, number)

    async def _submit_and_wait(self, client: AsyncClient, number: int) -> None:
        job = await client.submit(self._image(number), labels=self._labels)
        self._ledger.promise(number, job.name)
        self._ledger.tell(await client.wait(job.name))

    async def _submit_and_watch(self, client: AsyncClient, number: int) -> None:
        job = await client.submit(self._image(number), labels=self._labels)
        self._ledger.promise(number, job.name)
        await self._note(number, client.watch(job.name))

    async def _stream(self, client: AsyncClient, number: int) -> None:
        await self._note(number, client.stream(self._image(number), labels=self._labels))

    async def _note(self, number: int, events: AsyncIterator[Event]) -> None:
        revision = 0
        final = None
        async for event in events:
            self._ledger.promise(number, event.job)
            if event.revision != revision + 1:
                raise AssertionError(f"revision {event.revision} came after {revision}")
            revision, final = event.revision, event
        if final is None or final.snapshot is None or not final.final:
            raise AssertionError(f"the stream ended at revision {revision} without the outcome")
        self._ledger.tell(final.snapshot)

    async def _many(self, client: AsyncClient) -> None:
        while (first := await self._tickets.get()) is not None:
            numbers = [first]
            while len(numbers) < MANY_BATCH and not self._tickets.empty():
                number = self._tickets.get_nowait()
                if number is None:  # the sign to stop is for somebody else
                    self._tickets.put_nowait(None)
                    break
                numbers.append(number)
            await self._one_batch(client, numbers)

    async def _one_batch(self, client: AsyncClient, numbers: list[int]) -> None:
        items = [(number, self._image(number)) for number in numbers]
        for _ in numbers:
            self._ledger.send()
        self._under_way += len(numbers)
        left = set(numbers)
        error: Exception = AssertionError("AnalyzeMany ended without an outcome")
        try:
            async with asyncio.timeout(OUTCOME_LIMIT_S):
                async for number, event in client.analyze_many(items, labels=self._labels):
                    if isinstance(event, NevusError):
                        left.discard(number)
                        self._ledger.error(number, "_many", event)
                        continue
                    self._ledger.promise(number, event.job)
                    if event.final and event.snapshot is not None:
                        left.discard(number)
                        self._ledger.tell(event.snapshot)
        except Exception as failure:  # noqa: BLE001  # whatever a client's caller would see
            error = failure
        for number in left:
            self._ledger.error(number, "_many", error)
        self._under_way -= len(numbers)

    async def _blocking(self, client: Client) -> None:
        while (number := await self._tickets.get()) is not None:
            with self._one(number, "_blocking"):
                image = self._image(number)
                job = await self._loop.run_in_executor(
                    self._threads, lambda image=image: client.analyze(image, labels=self._labels)
                )
                self._ledger.promise(number, job.name)
                self._ledger.tell(job)

    @contextlib.contextmanager
    def _one(self, number: int, way: str):  # noqa: ANN202  # a generator for `with`
        """Notes one image's beginning and any end but the good one."""
        self._ledger.send()
        self._under_way += 1
        try:
            yield
        except Exception as error:  # noqa: BLE001  # whatever a client's caller would see
            self._ledger.error(number, way, error)
        finally:
            self._under_way -= 1

    def _image(self, number: int) -> bytes:
        return self._pictures[number % PICTURES]


def _picture(seed: int) -> bytes:
    return lesion_jpeg(seed, 640, 480) if seed % 4 == 0 else lesion_jpeg(seed)
