"""Child processes of the benchmark: tied to it, out of reach of the terminal's Ctrl-C, ended in good order."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

TOP = Path(__file__).parent.parent
STOP_LIMIT_S = 60.0

Child = subprocess.Popen[str]


@contextmanager
def child(
    words: Sequence[str], *, environ: Mapping[str, str] | None = None, log: IO[str] | None = None
) -> Iterator[Child]:
    """Yields `python WORDS` with pipes on stdin and stdout; terminates it in the end.

    It dies with this process, even of kill -9 (see `nevus_server.tether`), and gets no SIGINT from the terminal, so
    that there is one place that decides in which order things end.

    Args:
        words: What follows `python`.
        environ: Its environment. Default: this one.
        log: Gets its stderr. Default: this process's.
    """
    tied = [sys.executable, "-m", "nevus_server.tether", sys.executable, *words]
    process = subprocess.Popen(
        tied,
        cwd=TOP,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        bufsize=1,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _end(process)


def tell(process: Child, order: dict[str, Any]) -> None:
    """Sends one JSON object as a line."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()


def hear(process: Child) -> dict[str, Any]:
    """Returns the next JSON object.

    Raises:
        RuntimeError: It ended instead.
    """
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"A process of the benchmark ended by itself with exit code {process.wait(STOP_LIMIT_S)}.")
    heard: dict[str, Any] = json.loads(line)
    return heard


def _end(process: Child) -> None:
    process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
