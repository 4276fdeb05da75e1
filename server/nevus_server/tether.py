"""Runs a command that dies with its parent: `python -m nevus_server.tether COMMAND [ARG ...]`.

`nevus up` starts every child through this, so that kill -9 of `nevus up` leaves nothing running. On Linux the kernel
sends SIGTERM when the parent ends (prctl PR_SET_PDEATHSIG), which survives exec. Elsewhere there is no such thing;
there the embedded broker's pid file lets the next start clean up.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ties this process to its parent, then becomes the command."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before the tie held
            sys.exit(1)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606  # the caller's own command, no shell


if __name__ == "__main__":
    main()
