"""The life of a stop at its station: the whole table, and recovery by replay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.foundation.errors import Conflict
from branchline.journey.stop import ASKS, LANDS, TABLE, Event, Instruction, State, replay, step

S, E = State, Event
EXPECTED: dict[State, dict[Event, State]] = {
    S.TOLD: {E.FETCHED: S.FETCHED, E.DECLINED: S.DECLINED},
    S.FETCHED: {E.GATES_PASSED: S.CHECKED, E.DECLINED: S.DECLINED},
    S.CHECKED: {E.ACCEPTED: S.ACCEPTED, E.NEEDS_PERSON: S.ASKED, E.DECLINED: S.DECLINED},
    S.ASKED: {E.ACCEPTED: S.ACCEPTED, E.DECLINED: S.DECLINED},
    S.ACCEPTED: {E.BOUND: S.READY, E.FAILED: S.FAILED},
    S.READY: {E.COLLECTED: S.COLLECTED, E.FAILED: S.FAILED},
    S.COLLECTED: {E.CLEARED: S.CLEARED, E.HELD: S.HELD, E.WITHHELD: S.WITHHELD},
    S.HELD: {E.CLEARED: S.CLEARED, E.WITHHELD: S.WITHHELD},
    S.CLEARED: {E.DEPARTED: S.DEPARTED},
    S.DEPARTED: {E.NEXT_ROUND: S.READY},
}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("event", list(Event))
def test_every_pair_of_state_and_event(state: State, event: Event) -> None:
    """An event moves a stop as the table says; what is not in it is refused."""
    expected = EXPECTED.get(state, {}).get(event)
    if event is E.ENDED and state is not S.ENDED:
        expected = S.ENDED
    if expected is None:
        with pytest.raises(Conflict, match="does not fit a stop"):
            step(state, event)
    else:
        assert step(state, event) == (expected, ASKS[expected])


def test_nothing_leaves_that_was_not_cleared() -> None:
    """The only way to departure is through the clearance of what was collected."""
    before = {state for (state, _), after in TABLE.items() if after is S.DEPARTED}
    assert before == {S.CLEARED}
    clearing = {state for (state, _), after in TABLE.items() if after is S.CLEARED}
    assert clearing == {S.COLLECTED, S.HELD}


def test_nothing_runs_that_was_not_accepted() -> None:
    """The only ways to run are an acceptance and the next round of one."""
    before = {state for (state, _), after in TABLE.items() if after is S.READY}
    assert before == {S.ACCEPTED, S.DEPARTED}
    accepting = {state for (state, _), after in TABLE.items() if after is S.ACCEPTED}
    assert accepting == {S.CHECKED, S.ASKED}


def test_every_state_asks_for_one_thing() -> None:
    """No state leaves a station without something to do or to wait for."""
    assert set(ASKS) == set(State)
    assert set(ASKS.values()) == set(Instruction)


@given(st.data())
def test_replaying_durable_events_leads_to_where_the_stop_last_stood_durably(
    data: st.DataObject,
) -> None:
    """After a crash at any moment the stop stands where its last stored event left it."""
    state, stored, durable = S.TOLD, [E.TOLD], S.TOLD
    for _ in range(data.draw(st.integers(0, 25))):
        fitting = [event for (at, event) in TABLE if at is state]
        if not fitting:
            break
        event = data.draw(st.sampled_from(fitting))
        state, _ = step(state, event)
        if event in LANDS:
            stored.append(event)
            durable = state
    assert replay(stored) is durable


@given(st.data())
def test_the_same_events_again_after_a_crash_fit(data: st.DataObject) -> None:
    """From where the replay leaves a stop, the normal way goes on: what is asked for fits."""
    durable = replay([E.TOLD, *data.draw(st.lists(st.sampled_from(list(LANDS)), max_size=3))])
    if durable is not S.ENDED:
        assert any(at is durable for at, _ in TABLE)


def test_a_memory_only_event_cannot_be_replayed() -> None:
    """Only durable events are stored."""
    for event in set(Event) - set(LANDS):
        with pytest.raises(KeyError):
            replay([event])
