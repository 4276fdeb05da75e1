"""What every call passes through, outermost first: log, error mapping, identity.

gRPC's asyncio interceptors get only the method and its metadata, while peer certificates are in the context; so this
one wraps the handlers themselves, all four kinds.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

import grpc
import structlog

from nevus_core.errors import InternalError, NevusError
from nevus_core.logs import get_logger
from nevus_server.identity import IdentifyCaller, current_caller
from nevus_server.metrics import CallEnded
from nevus_server.status import LONGEST_MESSAGE, code_of, trailing_metadata

log = get_logger("rpc")

QUIET_SERVICES = ("/grpc.health.v1.", "/grpc.reflection.")
"""Probes; they go by without a log line."""


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every handler.

    Args:
        identify: Finds the caller.
        ended: Told of every call that is logged.
    """

    def __init__(self, identify: IdentifyCaller, ended: CallEnded) -> None:
        self._identify = identify
        self._ended = ended

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Returns the method's handler, wrapped."""
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None or method.startswith(QUIET_SERVICES):
            return handler
        if handler.response_streaming:
            wrapped = self._streaming(method, handler.unary_stream or handler.stream_stream)
            make = grpc.stream_stream_rpc_method_handler if handler.request_streaming else (
                grpc.unary_stream_rpc_method_handler
            )  # fmt: skip
        else:
            wrapped = self._single(method, handler.unary_unary or handler.stream_unary)
            make = grpc.stream_unary_rpc_method_handler if handler.request_streaming else (
                grpc.unary_unary_rpc_method_handler
            )  # fmt: skip
        return make(wrapped, handler.request_deserializer, handler.response_serializer)

    def _single(self, method: str, behaviour: Callable[..., Any]) -> Callable[..., Any]:
        async def call(request: Any, context: Any) -> Any:
            with _Logged(method, self._ended) as logged:
                try:
                    current_caller.set(self._identify(context))
                    return await behaviour(request, context)
                except Exception as error:  # noqa: BLE001  # nothing may leave unmapped
                    await logged.abort(context, error)

        return call

    def _streaming(self, method: str, behaviour: Callable[..., Any]) -> Callable[..., Any]:
        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            with _Logged(method, self._ended) as logged:
                try:
                    current_caller.set(self._identify(context))
                    async for response in behaviour(request, context):
                        yield response
                except Exception as error:  # noqa: BLE001
                    await logged.abort(context, error)

        return call


class _Logged:
    """One call's log line, written when it ends; nothing of the payload is in it."""

    def __init__(self, method: str, ended: CallEnded) -> None:
        self._method = method.rpartition("/")[2]
        self._ended = ended
        self._began = time.monotonic()
        self._outcome: dict[str, str] = {"code": "OK"}

    def __enter__(self) -> Self:
        structlog.contextvars.clear_contextvars()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, asyncio.CancelledError | GeneratorExit):
            self._outcome = {"code": "CANCELLED"}
        seconds = time.monotonic() - self._began
        log.info("call", method=self._method, duration_ms=round(seconds * 1000, 1), **self._outcome)
        self._ended(self._method, self._outcome["code"], seconds)

    async def abort(self, context: Any, error: Exception) -> None:
        """Ends the call with the error's Status; an error that is not ours becomes INTERNAL with an id."""
        if isinstance(error, grpc.aio.AbortError | grpc.aio.UsageError):
            raise error
        if not isinstance(error, NevusError):
            error_id = uuid.uuid4().hex[:12]
            log.error("internal_error", error_id=error_id, method=self._method, exc_info=error)
            error = InternalError(error_id)
        self._outcome = {"code": error.code, "reason": error.reason}
        await context.abort(code_of(error.code), error.message[:LONGEST_MESSAGE], trailing_metadata(error))
