"""On which event loop a command runs."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace

import pytest

from nevus.cli._loop import run


async def running() -> asyncio.AbstractEventLoop:
    """The loop that runs this."""
    return asyncio.get_running_loop()


def test_uvloop_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop is the one that it makes, and is closed afterwards."""
    made = []

    def new_event_loop() -> asyncio.AbstractEventLoop:
        made.append(asyncio.SelectorEventLoop())
        return made[-1]

    monkeypatch.setitem(sys.modules, "uvloop", SimpleNamespace(new_event_loop=new_event_loop))
    assert [run(running())] == made
    assert made[0].is_closed()


def test_a_client_alone_has_asyncios_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base install does not bring uvloop."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = run(running())
    assert type(loop).__module__.startswith("asyncio.")
    assert loop.is_closed()
