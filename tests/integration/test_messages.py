"""The message that a front end makes is the one that the installed Celery would have sent."""

from __future__ import annotations

import base64
import json
from typing import Any

import redis
from celery import Celery

from nevus_core.celery_config import celery_config
from nevus_core.front_store import FrontStore
from nevus_core.keys import TASK_NAME, Keys
from nevus_core.settings import CommonSettings
from nevus_server.messages import Messages
from support.clock import ManualClock
from support.made_up import new_job

REF = "default/0123456789abcdef"


def test_it_is_what_celery_pushes(broker_url: str, key_prefix: str, raw: redis.Redis) -> None:
    """Compared with a message that went through Celery, kombu and the broker; only the ids differ."""
    settings = CommonSettings(redis_url=broker_url.partition("?")[0], key_prefix=key_prefix)
    keys = Keys(key_prefix)
    with Celery("nevus", set_as_current=False) as app:
        app.conf.update(celery_config(settings))
        app.send_task(TASK_NAME, args=[REF], queue=keys.queue("stat"), ignore_result=True)
    (pushed,) = raw.lrange(keys.messages("stat"), 0, -1)
    theirs, ours = _read(pushed), _read(Messages(settings).message(REF, "stat"))
    assert ours == theirs


def test_no_two_have_the_same_ids(broker_url: str, key_prefix: str) -> None:
    """A worker would take the second for the first."""
    messages = Messages(CommonSettings(redis_url=broker_url.partition("?")[0], key_prefix=key_prefix))
    made = [json.loads(messages.message(REF, "stat")) for _ in range(50)]
    assert len({one["headers"]["id"] for one in made}) == 50
    assert len({one["properties"]["delivery_tag"] for one in made}) == 50
    assert all(one["headers"]["id"] == one["properties"]["correlation_id"] for one in made)


async def test_a_swept_jobs_message_says_the_same(
    front: FrontStore, clock: ManualClock, broker_url: str, key_prefix: str, raw: redis.Redis
) -> None:
    """The broker fills the form in; what kombu and a worker read in it is what they read in the first message."""
    settings = CommonSettings(redis_url=broker_url.partition("?")[0], key_prefix=key_prefix)
    messages = Messages(settings)
    await front.accept(new_job("a"), b"bytes")
    clock.advance(2000)
    swept = await front.sweep("s", lock_ms=1, max_attempts=3, lost_ms=2000, form=messages.form)
    assert swept.sent == (("default/a", "routine"),)
    with Celery("nevus", set_as_current=False) as app:
        app.conf.update(celery_config(settings))
        with (
            app.connection_for_read() as connection,
            connection.SimpleQueue(Keys(key_prefix).queue("routine")) as queue,
        ):
            found = queue.get_nowait()
    assert found.payload == [["default/a"], {}, json.loads(base64.b64decode(_first(messages)["body"]))[2]]
    assert found.properties["correlation_id"] == found.headers["id"] == found.headers["root_id"]
    assert set(found.headers) == set(_first(messages)["headers"])
    assert found.headers["argsrepr"] == "['default/a']"
    assert found.delivery_info["routing_key"] == Keys(key_prefix).queue("routine")


def _first(messages: Messages) -> dict[str, Any]:
    """Returns a message as acceptance sends it."""
    read: dict[str, Any] = json.loads(messages.message("default/a", "routine"))
    return read


def _read(message: bytes) -> dict[str, Any]:
    """Returns a message with its body opened and without what is different in each."""
    read: dict[str, Any] = json.loads(message)
    read["body"] = json.loads(base64.b64decode(read["body"]))
    for name in ("id", "root_id", "origin"):
        read["headers"].pop(name)
    for name in ("correlation_id", "delivery_tag", "reply_to"):
        read["properties"].pop(name)
    return read
