"""How Celery is set up on both sides; the broker only rings the bell, the record is the truth.

Values and reasons: the queue measurements behind the design (celery 5.7.0, kombu 5.7.0).
"""

from __future__ import annotations

from typing import Any

from nevus_core.keys import Keys
from nevus_core.records import Priority
from nevus_core.settings import CommonSettings, broker_url


def celery_config(settings: CommonSettings) -> dict[str, Any]:
    """Returns Celery's configuration for one system of front ends and workers."""
    url = broker_url(settings)
    return {
        # kombu writes a unix socket as redis+socket://.
        "broker_url": url.replace("unix://", "redis+socket://", 1) if url.startswith("unix://") else url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            # kombu would keep a second ledger of what is delivered and not yet acknowledged: two transactions a job (a
            # fifth of a worker's and the broker's work beside the network, docs/performance.md), to give a message
            # again after a timeout longer than the longest job. The record says who holds a job, and the sweeper sends
            # a message that is nowhere within seconds; a worker that stops puts back what it has not begun.
            "ack_emulation": False,
            "health_check_interval": 10,
            "socket_connect_timeout": 5,
            "socket_timeout": 30,
            "socket_keepalive": True,
            # Drain the queues in the order in which the worker names them; one list a queue instead of four.
            "queue_order_strategy": "priority",
            "priority_steps": [0],
            "global_keyprefix": f"{settings.key_prefix}:celery:",
        },
        "task_default_queue": Keys(settings.key_prefix).queue(Priority.ROUTINE),
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "result_backend": None,
        "worker_prefetch_multiplier": 1,
        "worker_send_task_events": False,
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_store_errors_even_if_ignored": False,
    }
