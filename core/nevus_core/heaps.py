"""How a process that moves images uses memory: glibc gives each thread a heap of its own, and large blocks back.

Measured on 2026-11-23 with 2,000 hostile files after 600 others: a worker's resident memory grew by 118 MiB with
glibc's default (8 arenas a core), by 13 MiB with two arenas. And with images of 3008x2000, whose pixels are blocks of
18 MB: taken from the system anew for each they cost 5,000 page faults an image, 6 of a worker's 72 ms.
"""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
"""mallopt(3)."""

ARENAS = 2
KEPT_BLOCK_BYTES = 32 * 2**20
"""Freed blocks of up to this size are kept for the next image (glibc takes no more); larger ones go back."""
KEPT_BYTES = 256 * 2**20
"""At most so much that is free is kept at the end of a heap."""
STEP_BYTES = 16 * 2**20
"""A heap grows by so much more than it needs."""


def arrange_heaps() -> bool:
    """Limits glibc to two heaps that keep what an image needs; call it before threads are started.

    Returns:
        Whether there is a glibc, and it took that.
    """
    if sys.platform != "linux":
        return False
    wanted = {
        M_ARENA_MAX: ARENAS,
        M_MMAP_THRESHOLD: KEPT_BLOCK_BYTES,
        M_TRIM_THRESHOLD: KEPT_BYTES,
        M_TOP_PAD: STEP_BYTES,
    }
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    taken = [mallopt(name, value) for name, value in wanted.items()]
    return all(taken)
