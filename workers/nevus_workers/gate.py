"""Who may work beside whom in one process: ordinary jobs together, a suspect alone.

A job whose worker died may be what killed it. Done alone, and claimed only when nothing else is held, it can take no
neighbour's attempt with it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Lets many in together, or one alone. Who wants to be alone goes first, so that it gets its turn under load."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._together = 0
        self._alone = False
        self._wanting_alone = 0

    @property
    def wanted(self) -> bool:
        """Whether somebody wants to be alone: who is in should not stay for long."""
        return self._wanting_alone > 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Waits until nobody is alone or wants to be, and stays beside others."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not self._wanting_alone)
            self._together += 1
        try:
            yield
        finally:
            with self._changed:
                self._together -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until nobody else is in, and keeps all others out."""
        with self._changed:
            self._wanting_alone += 1
            self._changed.wait_for(lambda: not self._alone and not self._together)
            self._wanting_alone -= 1
            self._alone = True
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()
