"""The Celery message that wakes a worker, made without a connection: its bytes go to the broker with the job itself.

Celery's own `send_task` needs a thread (it blocks for about 0.4 ms) and a round trip of its own, after the record's. So
Celery makes one message here, at start, for a channel that only keeps it; each job's is that one with its own ids. What
is pushed is what the installed Celery would push: a test compares the two.
"""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

from celery import Celery
from kombu.transport import memory

from nevus_core.celery_config import celery_config
from nevus_core.keys import TASK_NAME, Keys
from nevus_core.settings import CommonSettings


class Messages:
    """Makes messages.

    Args:
        settings: Prefix of keys and queues.
    """

    def __init__(self, settings: CommonSettings) -> None:
        self._keys = Keys(settings.key_prefix)
        model = _sent_by_celery(settings)
        embed = json.loads(base64.b64decode(model["body"]))[2]
        self._body_tail = json.dumps(embed).encode()
        headers = {**model["headers"], "id": "@ID@", "root_id": "@ID@", "argsrepr": "['@REF@']"}
        properties = {
            **model["properties"],
            "correlation_id": "@ID@",
            "delivery_tag": "@TAG@",
            "delivery_info": {"exchange": "", "routing_key": "@QUEUE@"},
        }
        self._form = json.dumps({**model, "body": "@BODY@", "headers": headers, "properties": properties})
        del properties["body_encoding"]
        body = f'[["@REF@"], {{}}, {self._body_tail.decode()}]'
        self._form_inside = json.dumps({**model, "body": body, "headers": headers, "properties": properties})

    @property
    def form(self) -> str:
        """A message for the broker's own functions to fill in: @ID@, @TAG@, @REF@ and @QUEUE@ are to be replaced.

        Its body is plain JSON (kombu takes both), for the broker has no base64.
        """
        return self._form_inside

    def message(self, ref: str, queue: str) -> bytes:
        """Returns the message for a job, as it lies in the broker's list.

        Args:
            ref: The job's; of characters that JSON takes as they are.
            queue: "stat", "routine", "bulk" or "suspect".
        """
        body = base64.b64encode(b'[["%s"], {}, %s]' % (ref.encode(), self._body_tail)).decode()
        return (
            self._form.replace("@ID@", str(uuid.uuid4()))
            .replace("@TAG@", str(uuid.uuid4()))
            .replace("@QUEUE@", self._keys.queue(queue))
            .replace("@REF@", ref)
            .replace("@BODY@", body)
            .encode()
        )


def _sent_by_celery(settings: CommonSettings) -> dict[str, Any]:
    """Returns what Celery with our configuration puts into a queue."""
    kept: list[dict[str, Any]] = []

    class Channel(memory.Channel):
        def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:  # noqa: ARG002
            kept.append(message)

    class Transport(memory.Transport):
        pass

    Transport.Channel = Channel
    app = Celery("nevus", set_as_current=False)
    app.conf.update({**celery_config(settings), "broker_transport_options": {}})
    with app.connection_for_write(url="memory://", transport=Transport) as connection:
        producer = app.amqp.Producer(connection.default_channel, auto_declare=False)
        app.send_task(TASK_NAME, args=["?"], queue="?", ignore_result=True, producer=producer)
    app.close()
    (message,) = kept
    return message
