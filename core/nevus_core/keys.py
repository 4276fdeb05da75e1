"""Names of keys and queues that Python builds; all others are built by the functions (lua/00_ground.lua)."""

from __future__ import annotations

from dataclasses import dataclass

from nevus_core.records import Priority

TASK_NAME = "nevus.analyze"
"""The Celery task; its one argument is a job's ref."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Builds names below one prefix. A `ref` is `tenant/id`."""

    prefix: str

    def job(self, ref: str) -> str:
        """The record, a hash."""
        return f"{self.prefix}:job:{ref}"

    def image(self, ref: str) -> str:
        """The upload's bytes."""
        return f"{self.prefix}:image:{ref}"

    def artifact(self, ref: str, name: str) -> str:
        """A picture; `name` is `attempt:kind`."""
        return f"{self.prefix}:artifact:{ref}:{name}"

    def request(self, tenant: str, method: str, request_id: str) -> str:
        """What a request id led to."""
        return f"{self.prefix}:request:{tenant}:{method}:{request_id}"

    def index(self, tenant: str, state: str = "") -> str:
        """A tenant's job ids by time of acceptance; all, or those in one state."""
        return f"{self.prefix}:jobs:{tenant}:{state}" if state else f"{self.prefix}:jobs:{tenant}"

    @property
    def events(self) -> str:
        """The stream of all moves."""
        return f"{self.prefix}:events"

    @property
    def workers(self) -> str:
        """Live workers by the end of their heartbeat."""
        return f"{self.prefix}:workers"

    def worker(self, worker_id: str) -> str:
        """What a worker says of itself."""
        return f"{self.prefix}:worker:{worker_id}"

    @property
    def stats(self) -> str:
        """Counters, a hash."""
        return f"{self.prefix}:stats"

    def queue(self, name: str) -> str:
        """The Celery queue of a priority, or of the suspects."""
        return f"{self.prefix}.{name}"

    def messages(self, name: str) -> str:
        """The list in which that queue's messages lie; kombu puts its key prefix before the queue's name."""
        return f"{self.prefix}:celery:{self.queue(name)}"


SUSPECTS = "suspect"
"""Queue of jobs whose worker died; each is retried with nothing beside it, and before all others."""


def queue_names(keys: Keys) -> list[str]:
    """Returns the Celery queues in the order in which they are drained."""
    return [keys.queue(name) for name in (SUSPECTS, *Priority)]
