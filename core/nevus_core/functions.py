"""The store's functions inside the broker: Lua files joined into one library, named by their content.

Redis and Valkey keep function libraries beside the data (also across restarts and failovers). Each process calls
exactly the functions that it was shipped with: their names carry a digest of the source, so that old and new processes
work side by side during a rolling update.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

from nevus_core.states import lua_table


@cache
def version() -> str:
    """Returns the first eight hex digits of the digest of all Lua sources."""
    return hashlib.sha256(_joined().encode()).hexdigest()[:8]


@cache
def library() -> str:
    """Returns the library's source, ready for FUNCTION LOAD."""
    return f"#!lua name=nevus_{version()}\n" + _joined().replace("@VERSION@", f"_{version()}")


def function_name(short: str) -> str:
    """Returns the name under which `short` ("accept", "claim", ...) is registered."""
    return f"{short}_{version()}"


@cache
def _joined() -> str:
    folder = resources.files("nevus_core") / "lua"
    sources = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".lua")), key=lambda entry: entry.name)
    return "\n".join(entry.read_text(encoding="utf-8") for entry in sources).replace("@MOVES@", lua_table())
