"""Who has to wait for a turn: batches, and an image by itself that comes between two of them."""

from __future__ import annotations

from msgspec.structs import replace

from nevus_core.machine import core_numbers
from nevus_core.settings import WorkerSettings
from nevus_workers.arrangement import arrange
from nevus_workers.home_core import HomeCore
from nevus_workers.room import Room
from nevus_workers.turns import Turns, make_turns


class Home(HomeCore):
    """Writes down what it is told."""

    def __init__(self) -> None:
        super().__init__(core_numbers()[0], lambda _: None)
        self.told: list[str] = []

    def batch(self) -> None:
        """More than one image."""
        self.told.append("batch")

    def alone(self) -> None:
        """One image."""
        self.told.append("alone")


def has_to_wait(turns: Turns, room: Room, *, alone: bool) -> bool:
    """Returns whether a pass takes a place in the room."""
    with turns.of_a_pass(alone):
        return room._images == 1


def test_the_second_image_alone_has_its_way() -> None:
    """Proves that the first pass and the second in a row of one image take no place, and all others do."""
    room, home = Room(1), Home()
    turns = Turns(room, 10.0, home)
    waited = [has_to_wait(turns, room, alone=alone) for alone in (True, False, True, False, True, True, True)]
    assert waited == [False, True, True, True, True, False, False]
    assert home.told == [{True: "batch", False: "alone"}[waits] for waits in waited]


def test_without_a_room_nobody_waits() -> None:
    """Proves that passes beside the decoding take no place."""
    room = Room(1)
    turns = make_turns(arrange(WorkerSettings(), cores=8, gpus=0), room)
    assert not has_to_wait(turns, room, alone=False)


def test_a_core_that_is_not_there_is_no_home() -> None:
    """Proves that such a setting leaves the process where it is, and its passes take turns all the same."""
    settings = replace(WorkerSettings(), own_cores=1, home_core=max(core_numbers()) + 1)
    room = Room(1)
    turns = make_turns(arrange(settings, cores=8, gpus=0), room)
    assert all(has_to_wait(turns, room, alone=False) for _ in range(9))
