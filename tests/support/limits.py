"""Bounds small enough for a test to reach."""

from __future__ import annotations

from nevus_core.front_store import Limits

LIMITS = Limits(
    max_queued=20,
    max_queued_per_tenant=10,
    max_held_bytes=1000,
    max_held_bytes_per_tenant=500,
    result_ttl_ms=10_000,
    letter_ttl_ms=0,
)
