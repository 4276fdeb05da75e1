"""Who calls: one seam. Today everybody is the tenant `default`; certificates and tokens come in here."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a call is for.

    Attributes:
        tenant: Owner of jobs, quotas and lists; lower case, no slash or colon.
        subject: Who in it, for the logs.
    """

    tenant: str = DEFAULT_TENANT
    subject: str = "anonymous"


class IdentifyCaller(Protocol):
    """Finds the caller of a call, or raises an error of ours."""

    def __call__(self, context: Any) -> Caller:
        """Returns the caller; `context` is gRPC's servicer context, which holds peer and metadata."""


def everybody_is_default(context: Any) -> Caller:  # noqa: ARG001  # the seam's shape
    """Returns the tenant `default`, whoever calls."""
    return Caller()


current_caller: ContextVar[Caller] = ContextVar("current_caller", default=Caller())  # noqa: B039  # frozen
"""The caller of the RPC that this task serves; set by the interceptor."""
