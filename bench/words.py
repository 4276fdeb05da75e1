"""What the benchmarks' command lines share: lists, sizes and settings as words, what is told, how a run is stopped."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType


def say(text: str) -> None:
    """Tells the person at the terminal how far it is."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def numbers(text: str) -> list[int]:
    """Returns the numbers of "1,8,32"."""
    return [int(word) for word in text.split(",")]


def sizes(text: str) -> list[tuple[int, int]]:
    """Returns widths and heights, in px, of "1022x767,3008x2000"."""
    pairs = [word.split("x") for word in text.split(",")]
    return [(int(width), int(height)) for width, height in pairs]


def setting(text: str) -> tuple[str, str]:
    """Returns variable and value of "max_batch=4"."""
    name, _, value = text.partition("=")
    return f"NEVUS_{name.upper()}", value


def exit_code(run: Callable[[], int]) -> int:
    """Returns what a benchmark returns; 130 where it was stopped, 1 where it failed, after saying so in one line."""
    _stop_on_signals()
    try:
        return run()
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except (RuntimeError, OSError) as error:
        say(str(error))
        return 1


def _stop_on_signals() -> None:
    """Makes SIGINT and SIGTERM raise KeyboardInterrupt, once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signal module's form
    for again in (signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C must not break the stopping
        signal.signal(again, signal.SIG_IGN)
    raise KeyboardInterrupt
