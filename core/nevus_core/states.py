"""The states of a job and the only moves between them.

This table is the single source: the Lua scripts get it rendered into them (`lua_table`), the tests check it
exhaustively, and the contract's comments repeat it for readers of other languages.

    QUEUED ──claim──▶ RUNNING ──▶ SUCCEEDED
      ▲  │ │            │  │ └──▶ FAILED
      │  │ └─▶ EXPIRED  │  └────▶ CANCELLING ──▶ CANCELLED | SUCCEEDED | FAILED
      │  └───▶ CANCELLED│
      └── lease lost ───┘
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a job stands. Finished states are past participles, states with work going on present participles."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def final(self) -> bool:
        """Whether the job has its one outcome."""
        return not MOVES[self]


class Stage(StrEnum):
    """What a running job is at."""

    NONE = ""
    DECODING = "DECODING"
    SEGMENTING = "SEGMENTING"
    CLASSIFYING = "CLASSIFYING"


MOVES: dict[State, frozenset[State]] = {
    # Claimed; cancelled before it ran; nobody came in time; or its last attempt's worker died.
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED, State.EXPIRED}),
    # RUNNING to itself is a move from stage to stage; to QUEUED when the lease ran out.
    State.RUNNING: frozenset({State.RUNNING, State.QUEUED, State.SUCCEEDED, State.FAILED, State.CANCELLING}),
    # The worker may finish before it sees the wish: then the outcome stands.
    State.CANCELLING: frozenset({State.CANCELLED, State.SUCCEEDED, State.FAILED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
    State.EXPIRED: frozenset(),
}
"""From each state, the states that a job may move to."""

FINAL_STATES = tuple(state for state in State if not MOVES[state])
"""SUCCEEDED, FAILED, CANCELLED, EXPIRED."""


def lua_table() -> str:
    """Returns MOVES as a Lua expression: `{QUEUED={RUNNING=true,...},...}`."""
    rows = (f"{state}={{{','.join(f'{to}=true' for to in sorted(MOVES[state]))}}}" for state in State)
    return "{" + ",".join(rows) + "}"
