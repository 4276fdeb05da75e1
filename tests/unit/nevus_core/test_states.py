"""The state table, checked move by move."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nevus_core.states import FINAL_STATES, MOVES, State, lua_table

WRITTEN_OUT = {
    ("QUEUED", "RUNNING"),
    ("QUEUED", "CANCELLED"),
    ("QUEUED", "EXPIRED"),
    ("RUNNING", "RUNNING"),
    ("RUNNING", "QUEUED"),
    ("RUNNING", "SUCCEEDED"),
    ("RUNNING", "FAILED"),
    ("RUNNING", "CANCELLING"),
    ("CANCELLING", "CANCELLED"),
    ("CANCELLING", "SUCCEEDED"),
    ("CANCELLING", "FAILED"),
}
"""The contract's table, written a second time by hand."""


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_each_pair_is_allowed_or_not_as_the_contract_says(before: State, after: State) -> None:
    """Every one of the 49 pairs of states agrees with the table in the contract."""
    assert (after in MOVES[before]) == ((before.value, after.value) in WRITTEN_OUT)


def test_final_states_are_those_without_a_way_out() -> None:
    """A job has exactly one outcome: nothing leads out of a final state, something out of all others."""
    assert {state.value for state in FINAL_STATES} == {"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"}
    assert all(state.final == (state in FINAL_STATES) for state in State)


@given(st.lists(st.sampled_from(list(State)), max_size=30))
def test_no_walk_leaves_a_final_state_or_starves(wishes: list[State]) -> None:
    """Whatever is tried in whatever order, a walk stops at one outcome, and can always reach one."""
    state = State.QUEUED
    outcomes = []
    for wish in wishes:
        if wish in MOVES[state]:
            state = wish
            if state.final:
                outcomes.append(state)
    assert len(outcomes) <= 1
    assert _reaches_an_outcome(state)


def test_lua_gets_the_same_table() -> None:
    """What is rendered into the broker's functions names exactly the allowed moves."""
    rows = dict(re.findall(r"([A-Z]+)=\{([^{}]*)\}", lua_table()))
    pairs = {(before, after) for before, row in rows.items() for after in re.findall(r"([A-Z]+)=true", row)}
    assert set(rows) == {state.value for state in State}
    assert pairs == WRITTEN_OUT


def _reaches_an_outcome(state: State) -> bool:
    seen, todo = set(), [state]
    while todo:
        here = todo.pop()
        if here.final:
            return True
        if here not in seen:
            seen.add(here)
            todo.extend(MOVES[here])
    return False
