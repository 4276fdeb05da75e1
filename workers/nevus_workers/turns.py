"""What a pass of the network waits for, and where it runs: the rules of a process that has one core to itself.

Decoding and the network drive each other's data out of that core's caches, so a batch has its turn in the room where
images are decoded. An image that is alone gains by running beside what else is done with it, on whatever core is idle;
the second one in a row is, for between two batches one may come by itself on a machine that is busy.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from nevus_core.machine import core_numbers
from nevus_workers.arrangement import Arrangement
from nevus_workers.home_core import HomeCore
from nevus_workers.room import Room


class Turns:
    """The turns of all models in a process.

    Args:
        room: Where images are decoded; None where passes and images don't hinder one another.
        patience_s: How long a batch waits for its turn.
        home: Told of each pass where the process has a core to keep to.
    """

    def __init__(self, room: Room | None = None, patience_s: float = 0.0, home: HomeCore | None = None) -> None:
        self._room = room
        self._patience_s = patience_s
        self._home = home
        self._was_alone = True  # two models' threads may meet here; then the turn that one image takes does not matter

    def of_a_pass(self, alone: bool) -> AbstractContextManager[None]:
        """Returns what a pass has to enter; `alone`: it is that of one image with no other on its way."""
        if self._room is None:
            return nullcontext()
        quiet, self._was_alone = alone and self._was_alone, alone
        if self._home is not None:
            (self._home.alone if quiet else self._home.batch)()
        if quiet:
            return nullcontext()
        return self._room.of_a_pass(self._patience_s)


def make_turns(arrangement: Arrangement, room: Room) -> Turns:
    """Returns the turns of this process's arrangement."""
    if not arrangement.turns:
        return Turns()
    home = HomeCore(arrangement.home_core) if arrangement.home_core in core_numbers() else None
    return Turns(room, arrangement.max_wait_ms / 1000, home)
