"""The life cycle of a stop at its station: a pure table of (state, event) → state, and the one
thing that each state asks to be done.

Events marked durable are stored before anything else happens; the others live in memory. After a
crash the stored events are replayed: a stop then stands where it last stood durably, asks for the
same thing again, and goes the normal way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from branchline.foundation.errors import Conflict


class State(StrEnum):
    """Where a stop stands at its station."""

    TOLD = "told"
    FETCHED = "fetched"
    CHECKED = "checked"
    ASKED = "asked"
    ACCEPTED = "accepted"
    READY = "ready"
    COLLECTED = "collected"
    HELD = "held"
    CLEARED = "cleared"
    DEPARTED = "departed"
    DECLINED = "declined"
    WITHHELD = "withheld"
    FAILED = "failed"
    ENDED = "ended"


class Event(StrEnum):
    """What can happen to a stop."""

    TOLD = "told"
    FETCHED = "fetched"
    GATES_PASSED = "gates-passed"
    NEEDS_PERSON = "needs-person"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    BOUND = "bound"
    COLLECTED = "collected"
    CLEARED = "cleared"
    HELD = "held"
    WITHHELD = "withheld"
    FAILED = "failed"
    DEPARTED = "departed"
    NEXT_ROUND = "next-round"
    ENDED = "ended"


class Instruction(StrEnum):
    """What a state asks the station to do."""

    FETCH = "fetch"
    CHECK_GATES = "check-gates"
    DECIDE = "decide"
    AWAIT_PERSON = "await-person"
    BIND = "bind"
    RUN = "run"
    CHECK_OUTPUTS = "check-outputs"
    DEPART = "depart"
    AWAIT_CENTRAL = "await-central"
    CLEAR_AWAY = "clear-away"


S, E = State, Event

TABLE: Mapping[tuple[State, Event], State] = {
    (S.TOLD, E.FETCHED): S.FETCHED,
    (S.TOLD, E.DECLINED): S.DECLINED,
    (S.FETCHED, E.GATES_PASSED): S.CHECKED,
    (S.FETCHED, E.DECLINED): S.DECLINED,
    (S.CHECKED, E.ACCEPTED): S.ACCEPTED,
    (S.CHECKED, E.NEEDS_PERSON): S.ASKED,
    (S.CHECKED, E.DECLINED): S.DECLINED,
    (S.ASKED, E.ACCEPTED): S.ACCEPTED,
    (S.ASKED, E.DECLINED): S.DECLINED,
    (S.ACCEPTED, E.BOUND): S.READY,
    (S.ACCEPTED, E.FAILED): S.FAILED,
    (S.READY, E.COLLECTED): S.COLLECTED,
    (S.READY, E.FAILED): S.FAILED,
    (S.COLLECTED, E.CLEARED): S.CLEARED,
    (S.COLLECTED, E.HELD): S.HELD,
    (S.COLLECTED, E.WITHHELD): S.WITHHELD,
    (S.HELD, E.CLEARED): S.CLEARED,
    (S.HELD, E.WITHHELD): S.WITHHELD,
    (S.CLEARED, E.DEPARTED): S.DEPARTED,
    (S.DEPARTED, E.NEXT_ROUND): S.READY,
    **{(state, E.ENDED): S.ENDED for state in State if state is not S.ENDED},
}
"""What an event makes of a stop. Not in the table: refused and recorded."""

ASKS: Mapping[State, Instruction] = {
    S.TOLD: Instruction.FETCH,
    S.FETCHED: Instruction.CHECK_GATES,
    S.CHECKED: Instruction.DECIDE,
    S.ASKED: Instruction.AWAIT_PERSON,
    S.ACCEPTED: Instruction.BIND,
    S.READY: Instruction.RUN,
    S.COLLECTED: Instruction.CHECK_OUTPUTS,
    S.HELD: Instruction.AWAIT_PERSON,
    S.CLEARED: Instruction.DEPART,
    S.DEPARTED: Instruction.AWAIT_CENTRAL,
    S.DECLINED: Instruction.AWAIT_CENTRAL,
    S.WITHHELD: Instruction.AWAIT_CENTRAL,
    S.FAILED: Instruction.AWAIT_CENTRAL,
    S.ENDED: Instruction.CLEAR_AWAY,
}
"""The one thing each state asks for."""

LANDS: Mapping[Event, State] = {
    E.TOLD: S.TOLD,
    E.NEEDS_PERSON: S.ASKED,
    E.ACCEPTED: S.ACCEPTED,
    E.DECLINED: S.DECLINED,
    E.HELD: S.HELD,
    E.CLEARED: S.CLEARED,
    E.WITHHELD: S.WITHHELD,
    E.FAILED: S.FAILED,
    E.DEPARTED: S.DEPARTED,
    E.ENDED: S.ENDED,
}
"""Where each durable event leaves a stop."""


def step(state: State, event: Event) -> tuple[State, Instruction]:
    """Return the next state of a stop and what it asks for.

    Raises:
        Conflict: The event does not fit the state.
    """
    after = TABLE.get((state, event))
    if after is None:
        raise Conflict(f"The event {event!r} does not fit a stop that is {state}")
    return after, ASKS[after]


def replay(events: Iterable[Event]) -> State:
    """Return where a stop stands after its stored events.

    Each durable event leads to one state wherever it came from, so the events between, which only
    memory knew, need not be there.
    """
    state = S.TOLD
    for event in events:
        state = LANDS[event]
    return state
