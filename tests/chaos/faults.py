"""The faults: what they do to the stage, in which seeded order, and what each one cost."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from chaos.backstage import Holding
from chaos.load import Load
from chaos.stage import Actor, Stage
from nevus_server.probe import ready

HOLDS_LIMIT_S = 3.0
"""A worker that is to be struck is given so long to hold something."""


class Fault(StrEnum):
    """What can happen."""

    KILL_WORKER = "kill -9 of a worker"
    PAUSE_WORKER = "SIGSTOP of a worker past its lease, then SIGCONT"
    KILL_FRONT = "kill -9 of a front end"
    KILL_BROKER = "kill -9 of the broker"
    STOP_BROKER = "SIGTERM and restart of the broker"


WORKER_FAULTS = frozenset({Fault.KILL_WORKER, Fault.PAUSE_WORKER})
BROKER_FAULTS = frozenset({Fault.KILL_BROKER, Fault.STOP_BROKER})

FULL = {
    Fault.KILL_WORKER: 20,
    Fault.PAUSE_WORKER: 5,
    Fault.KILL_FRONT: 5,
    Fault.KILL_BROKER: 5,
    Fault.STOP_BROKER: 5,
}
SHORT = {
    Fault.KILL_WORKER: 3,
    Fault.PAUSE_WORKER: 1,
    Fault.KILL_FRONT: 1,
    Fault.KILL_BROKER: 2,
    Fault.STOP_BROKER: 1,
}


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault that happened.

    Attributes:
        fault: Its kind.
        at_ms: When it struck, by this machine's clock, which is the broker's as well.
        over_ms: When a broker answered again; `at_ms` for other faults.
        victims: The jobs that a worker held when it was struck.
    """

    fault: Fault
    at_ms: int
    over_ms: int
    victims: tuple[Holding, ...] = ()


@dataclass(slots=True)
class Schedule:
    """A seeded order of faults.

    Attributes:
        faults: One after the other.
        dice: Further chance: which process, after what delay.
    """

    faults: list[Fault]
    dice: random.Random

    @classmethod
    def of(cls, counts: dict[Fault, int], seed: int) -> Schedule:
        """Returns so many of each in an order that the seed decides."""
        dice = random.Random(seed)
        faults = [fault for fault, count in counts.items() for _ in range(count)]
        dice.shuffle(faults)
        return cls(faults, dice)


@dataclass(slots=True)
class Striker:
    """Strikes, one fault a wave of load.

    Args:
        stage: What is struck.
        load: Its clients; a wave of theirs is released before every fault.
        dice: Chance.
        lease_s: What a paused worker must sleep beyond.
    """

    stage: Stage
    load: Load
    dice: random.Random
    lease_s: float
    strikes: list[Strike] = field(default_factory=list)
    _wakings: list[tuple[float, Actor]] = field(default_factory=list)
    _next_drip_s: float = 0.0

    def tend(self) -> None:
        """Keeps everything going: restarts, wakings, and a trickle of load between the waves."""
        now = time.monotonic()
        for due in [waking for waking in self._wakings if waking[0] <= now]:
            self._wakings.remove(due)
            due[1].wake()
        if now >= self._next_drip_s:
            self._next_drip_s = now + 0.5
            self.load.release(1)
        self.stage.tend()

    def sleep(self, seconds: float) -> None:
        """Lets time pass, tending."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.tend()
            time.sleep(0.02)

    def strike(self, fault: Fault, wave: int) -> None:
        """Waits until the fault makes sense, releases a wave, and strikes into it."""
        self._until(self._precondition(fault), f"no {fault} was possible")
        self.load.release(wave)
        if fault in WORKER_FAULTS:
            self._strike_worker(fault)
            return
        self.sleep(self.dice.uniform(0.05, 0.6))
        at_ms = _now_ms()
        match fault:
            case Fault.KILL_FRONT:
                self.dice.choice(self.stage.fronts).kill()
            case Fault.KILL_BROKER:
                self.stage.kill_broker()
                self.stage.start_broker()
            case Fault.STOP_BROKER:
                self.stage.broker.stop()
                self.stage.start_broker()
        over_ms = _now_ms() if fault in BROKER_FAULTS else at_ms
        self.strikes.append(Strike(fault, at_ms, over_ms))

    def wake_all(self) -> None:
        """Ends every pause whose time has come, waiting for the last."""
        self._until(lambda: not self._wakings, "a paused worker was not woken")

    def _strike_worker(self, fault: Fault) -> None:
        worker = self.dice.choice(self.stage.workers)
        worker_id = self.stage.backstage.worker_ids().get(worker.pid, "")
        time.sleep(self.dice.uniform(0, 0.4))
        deadline = time.monotonic() + HOLDS_LIMIT_S
        while not self.stage.backstage.holdings(worker_id) and time.monotonic() < deadline:
            time.sleep(0.002)
        at_ms = _now_ms()
        if fault is Fault.KILL_WORKER:
            worker.kill()
        else:
            worker.pause()
            self._wakings.append((time.monotonic() + self.lease_s + self.dice.uniform(1.5, 3.0), worker))
        self.strikes.append(Strike(fault, at_ms, at_ms, tuple(self.stage.backstage.holdings(worker_id))))

    def _precondition(self, fault: Fault) -> Callable[[], bool]:
        if fault in WORKER_FAULTS:
            return lambda: len(self.stage.ready_workers()) == len(self.stage.workers)
        if fault is Fault.KILL_FRONT:
            return lambda: (
                all(front.pid for front in self.stage.fronts)
                and all(ready(front.target) for front in self.stage.fronts)
            )
        return lambda: bool(self.stage.ready_workers())

    def _until(self, condition: Callable[[], bool], why: str, limit_s: float = 90.0) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{why}; logs in {self.stage.folder}")
            self.tend()
            time.sleep(0.05)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
