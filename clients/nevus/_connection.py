"""One sync channel and how calls are made on it: deadlines, metadata, error mapping, retries, broken streams.

`nevus.client.Client` says what is called and with what; here is how. `nevus._connection_async` is the same for asyncio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc

from nevus import _convert, _retry
from nevus._channel import (
    HEALTH_METHOD,
    default_target,
    health_request,
    health_status,
    open_channel,
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


class Connection:
    """A channel to one target. Arguments as `nevus.Client`.

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
        self._channel = open_channel(self.target, credentials)
        # The generated stubs are untyped; what callers see is the records that come out of `_convert`.
        stubs: tuple[Any, ...] = (
            analysis_service_pb2_grpc.AnalysisServiceStub(self._channel),  # type: ignore[no-untyped-call]
            model_service_pb2_grpc.ModelServiceStub(self._channel),  # type: ignore[no-untyped-call]
        )
        self._methods: dict[str, Any] = {name: rpc for stub in stubs for name, rpc in vars(stub).items()}

    def close(self) -> None:
        """Closes the channel; calls under way fail."""
        self._channel.close()

    def error(self, failure: grpc.RpcError) -> NevusError:
        """Returns our error for gRPC's."""
        return from_rpc_error(failure, self.target)

    def open(self, rpc: str, request: Any, timeout_s: float | None) -> Any:
        """Returns an opened call, unary or streaming, with the metadata and a deadline; None for no deadline."""
        return self._methods[rpc](request, timeout=timeout_s, metadata=self._metadata)

    def unary(self, rpc: str, request: Any, *, sends_bytes: int = 0, waits_s: float = 0.0) -> Any:
        """Returns a unary call's response, after retries.

        Args:
            rpc: Name of the RPC.
            request: Its request message.
            sends_bytes: Size of what is sent, for which the deadline leaves time.
            waits_s: How long the server was asked to wait.

        Raises:
            NevusError: The last try's.
        """
        timeout_s = send_timeout_s(self._call_timeout_s, sends_bytes) + waits_s

        def attempt() -> Any:
            try:
                return self.open(rpc, request, timeout_s)
            except grpc.RpcError as failure:
                raise self.error(failure) from failure

        return _retry.call(self.policy, attempt)

    def upload(self, image: Image, options: job_pb2.AnalysisOptions, request_id: str) -> pb.UploadJobResponse:
        """Returns UploadJob's response, after retries under the same request id.

        Raises:
            NevusError: The last try's.
        """
        timeout_s = send_timeout_s(self._call_timeout_s, image_size(image))

        def attempt() -> pb.UploadJobResponse:
            parts = UploadParts(image, options, request_id)
            try:
                response: pb.UploadJobResponse = self.open("UploadJob", parts, timeout_s)
            except grpc.RpcError as failure:
                raise (parts.error or self.error(failure)) from failure
            return response

        return _retry.call(self.policy, attempt)

    def download(self, request: pb.GetArtifactRequest) -> bytes:
        """Returns an artifact's checked bytes, after retries.

        Raises:
            NevusError: The last try's.
        """

        def attempt() -> bytes:
            try:
                return joined_artifact(request.name, self.open("GetArtifact", request, self._call_timeout_s))
            except grpc.RpcError as failure:
                raise self.error(failure) from failure

        return _retry.call(self.policy, attempt)

    def events(self, follow: Follow, deadline: Deadline, first: Callable[[], Any] | None = None) -> Iterator[Event]:
        """Yields a job's events to the end, taking a broken stream up again after the last one.

        Args:
            follow: Where to begin.
            deadline: For the whole.
            first: Opens the stream while the job's name is not known yet (Analyze); None to watch from the start.

        Raises:
            NevusError: The stream failed for good.
        """
        backoff = Backoff(self.policy)
        while True:
            request = pb.WatchJobRequest(name=follow.name, after_revision=follow.revision)
            call = first() if first and not follow.name else self.open("WatchJob", request, deadline.remaining_s())
            try:
                for response in call:
                    event = follow.accept(response.event)
                    if event is not None:
                        backoff.reset()
                        yield event
            except grpc.RpcError as failure:
                error = self.error(failure)
            else:
                return
            finally:
                call.cancel()
            if follow.final:
                return
            backoff.pause(error)

    def follow_upload(
        self, image: Image, options: job_pb2.AnalysisOptions, request_id: str, deadline: Deadline
    ) -> Iterator[Event]:
        """Yields the events of a large image: uploads it, then watches its job from the beginning.

        Raises:
            NevusError: As `upload` and `events`.
        """
        job = _convert.job(self.upload(image, options, request_id).job)
        yield from self.events(Follow(job.name), deadline)

    def health(self, service: str, timeout_s: float) -> int:
        """Returns the status that grpc.health.v1 tells of a service, 1 for SERVING. One try.

        Raises:
            NevusError: It failed.
        """
        check = self._channel.unary_unary(
            HEALTH_METHOD, request_serializer=health_request, response_deserializer=health_status
        )
        try:
            return int(check(service, timeout=timeout_s, metadata=self._metadata))
        except grpc.RpcError as failure:
            raise self.error(failure) from failure
