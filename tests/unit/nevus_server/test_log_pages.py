"""The append-only file's pages are dropped from the page cache, and nothing but its pages."""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from pathlib import Path

import pytest

from nevus_server.log_pages import LogPages

PAGES = 512
pytestmark = pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system can't drop pages")


def cached(path: Path) -> int:
    """Returns how many of a file's pages are in the page cache."""
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        there = (ctypes.c_ubyte * -(-len(view) // mmap.PAGESIZE))()
        first = ctypes.c_ubyte.from_buffer(view)
        assert libc.mincore(ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(len(view)), there) == 0
        del first
    return sum(page & 1 for page in there)


def append(path: Path, pages: int) -> None:
    """Adds so many pages, synced as the broker does it."""
    with path.open("ab", buffering=0) as file:
        file.write(os.urandom(pages * mmap.PAGESIZE))
        os.fsync(file.fileno())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Returns an append-only file, synced and cached, on a file system that keeps pages and drops them when asked."""
    probe = tmp_path / "probe"
    append(probe, PAGES)
    kept = cached(probe)
    with probe.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if (kept, cached(probe)) != (PAGES, 0):
        pytest.skip("this file system's pages can't be dropped")
    path = tmp_path / "appendonly.aof.1.incr.aof"
    append(path, PAGES)
    return path


def test_what_was_added_is_dropped(log: Path) -> None:
    """Each time; a file of another kind stays, one that goes away is no error."""
    other = log.with_name("appendonly.aof.1.base.rdb")
    append(other, 8)
    pages = LogPages(log.parent)
    pages.drop()
    assert cached(log) == 0
    append(log, 8)
    assert cached(log) >= 8
    pages.drop()
    assert cached(log) == 0
    assert cached(other) == 8
    assert log.stat().st_size == (PAGES + 8) * mmap.PAGESIZE
    log.unlink()
    pages.drop()


def test_it_goes_on_by_itself_until_it_is_stopped(log: Path) -> None:
    """And may be stopped twice, or without ever having started."""
    pages = LogPages(log.parent)
    pages.start()
    deadline = time.monotonic() + 5
    while cached(log) and time.monotonic() < deadline:
        time.sleep(0.01)
    pages.stop()
    pages.stop()
    LogPages(log.parent).stop()
    assert cached(log) == 0
    append(log, 8)
    assert cached(log) >= 8
