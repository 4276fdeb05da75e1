"""One grpc.aio channel and how calls are made on it: `nevus._connection` for asyncio, method by method."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc

from nevus import _convert, _retry
from nevus._channel import (
    HEALTH_METHOD,
    default_target,
    health_request,
    health_status,
    open_channel_async,
    send_timeout_s,
)
from nevus._follow import Deadline, Follow
from nevus._requests import Image, image_size
from nevus._retry import Backoff, RetryPolicy
from nevus._status import from_rpc_error
from nevus._transfer import UploadParts, joined_artifact
from nevus.errors import NevusError
from nevus.jobs import Event
from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1 import analysis_service_pb2_grpc, job_pb2, model_service_pb2_grpc


class AsyncConnection:
    """A grpc.aio channel to one target; belongs to the event loop that runs when it is made.

    Attributes:
        target: The address, as given or by default.
        policy: Retries.
    """

    def __init__(
        self,
        target: str | None,
        credentials: grpc.ChannelCredentials | None,
        metadata: Sequence[tuple[str, str | bytes]],
        policy: RetryPolicy,
        call_timeout_s: float,
    ) -> None:
        self.target = target or default_target()
        self.policy = policy
        self._metadata = tuple(metadata)
        self._call_timeout_s = call_timeout_s
        self._channel = open_channel_async(self.target, credentials)
        stubs: tuple[Any, ...] = (
            analysis_service_pb2_grpc.AnalysisServiceStub(self._channel),  # type: ignore[no-untyped-call]
            model_service_pb2_grpc.ModelServiceStub(self._channel),  # type: ignore[no-untyped-call]
        )
        self._methods: dict[str, Any] = {name: rpc for stub in stubs for name, rpc in vars(stub).items()}

    async def close(self) -> None:
        """Closes the channel; calls under way fail."""
        await self._channel.close()

    def error(self, failure: grpc.aio.AioRpcError) -> NevusError:
        """Returns our error for gRPC's."""
        return from_rpc_error(failure, self.target)

    def open(self, rpc: str, request: Any, timeout_s: float | None) -> Any:
        """Returns an opened call; `request` is None for a stream that is written to."""
        return self._methods[rpc](request, timeout=timeout_s, metadata=self._metadata)

    async def unary(self, rpc: str, request: Any, *, sends_bytes: int = 0, waits_s: float = 0.0) -> Any:
        """Returns a unary call's response, after retries. Arguments as `Connection.unary`.

        Raises:
            NevusError: The last try's.
        """
        timeout_s = send_timeout_s(self._call_timeout_s, sends_bytes) + waits_s

        async def attempt() -> Any:
            try:
                return await self.open(rpc, request, timeout_s)
            except grpc.aio.AioRpcError as failure:
                raise self.error(failure) from failure

        return await _retry.call_async(self.policy, attempt)

    async def upload(self, image: Image, options: job_pb2.AnalysisOptions, request_id: str) -> pb.UploadJobResponse:
        """Returns UploadJob's response, after retries under the same request id.

        Raises:
            NevusError: The last try's.
        """
        timeout_s = send_timeout_s(self._call_timeout_s, image_size(image))

        async def attempt() -> pb.UploadJobResponse:
            parts = UploadParts(image, options, request_id)
            try:
                response: pb.UploadJobResponse = await self.open("UploadJob", _off_the_loop(parts), timeout_s)
            except grpc.aio.AioRpcError as failure:
                raise (parts.error or self.error(failure)) from failure
            return response

        return await _retry.call_async(self.policy, attempt)

    async def download(self, request: pb.GetArtifactRequest) -> bytes:
        """Returns an artifact's checked bytes, after retries.

        Raises:
            NevusError: The last try's.
        """

        async def attempt() -> bytes:
            try:
                call = self.open("GetArtifact", request, self._call_timeout_s)
                return joined_artifact(request.name, [part async for part in call])
            except grpc.aio.AioRpcError as failure:
                raise self.error(failure) from failure

        return await _retry.call_async(self.policy, attempt)

    async def events(
        self, follow: Follow, deadline: Deadline, first: Callable[[], Any] | None = None
    ) -> AsyncIterator[Event]:
        """Yields a job's events to the end, taking a broken stream up again. Arguments as `Connection.events`.

        Raises:
            NevusError: The stream failed for good.
        """
        backoff = Backoff(self.policy)
        while True:
            request = pb.WatchJobRequest(name=follow.name, after_revision=follow.revision)
            call = first() if first and not follow.name else self.open("WatchJob", request, deadline.remaining_s())
            try:
                async for response in call:
                    event = follow.accept(response.event)
                    if event is not None:
                        backoff.reset()
                        yield event
            except grpc.aio.AioRpcError as failure:
                error = self.error(failure)
            else:
                return
            finally:
                call.cancel()
            if follow.final:
                return
            await backoff.pause_async(error)

    async def follow_upload(
        self, image: Image, options: job_pb2.AnalysisOptions, request_id: str, deadline: Deadline
    ) -> AsyncIterator[Event]:
        """Yields the events of a large image: uploads it, then watches its job from the beginning.

        Raises:
            NevusError: As `upload` and `events`.
        """
        job = _convert.job((await self.upload(image, options, request_id)).job)
        async for event in self.events(Follow(job.name), deadline):
            yield event

    async def health(self, service: str, timeout_s: float) -> int:
        """Returns the status that grpc.health.v1 tells of a service, 1 for SERVING. One try.

        Raises:
            NevusError: It failed.
        """
        check = self._channel.unary_unary(
            HEALTH_METHOD, request_serializer=health_request, response_deserializer=health_status
        )
        try:
            return int(await check(service, timeout=timeout_s, metadata=self._metadata))
        except grpc.aio.AioRpcError as failure:
            raise self.error(failure) from failure


async def _off_the_loop(parts: UploadParts) -> AsyncIterator[pb.UploadJobRequest]:
    """Yields the parts, each read in a thread, so that a slow disk does not hold up the event loop."""
    while (part := await asyncio.to_thread(next, parts, None)) is not None:
        yield part
