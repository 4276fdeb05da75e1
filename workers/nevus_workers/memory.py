"""How much memory a worker has."""

from __future__ import annotations

import os
from pathlib import Path


def resident_bytes() -> int:
    """Returns the memory that this process has in RAM; 0 where the system does not tell (it does on Linux)."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
