"""Sending the Celery message that wakes a worker. Blocking inside (about 0.4 ms), so it runs off the loop.

The message carries the job's ref alone. A message that can't be sent is no loss: the record stands, and the sweeper
rings again.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from celery import Celery
from kombu.exceptions import OperationalError

from nevus_core.celery_config import celery_config
from nevus_core.keys import TASK_NAME, Keys
from nevus_core.logs import get_logger
from nevus_core.settings import CommonSettings

log = get_logger("bell")


class Bell:
    """Rings for jobs.

    Args:
        settings: Which broker.
    """

    def __init__(self, settings: CommonSettings) -> None:
        self._keys = Keys(settings.key_prefix)
        self._celery = Celery("nevus", set_as_current=False)
        self._celery.conf.update(celery_config(settings))
        # One thread: kombu's connection is not shared, and messages of one front end keep their order.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bell")
        self._unsent: dict[str, str] = {}

    async def ring(self, ref: str, queue: str) -> None:
        """Sends the message of a job to a queue; one that can't be sent is kept for `ring_again`."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._send, ref, queue)
        except (OperationalError, OSError) as error:
            log.warning("message_not_sent", job=ref, error=type(error).__name__)
            self._unsent[ref] = queue

    async def ring_again(self) -> None:
        """Sends what could not be sent before."""
        unsent, self._unsent = self._unsent, {}
        for ref, queue in unsent.items():
            await self.ring(ref, queue)

    def close(self) -> None:
        """Ends the thread and its connections."""
        self._thread.shutdown()
        self._celery.close()

    def _send(self, ref: str, queue: str) -> None:
        self._celery.send_task(
            TASK_NAME, args=[ref], queue=self._keys.queue(queue), ignore_result=True, retry=False, expires=None
        )
