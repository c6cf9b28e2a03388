"""A study moves only as its table says, and only by those who may move it."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.study.frame import KEYS, approved, decision, study

from branchline.foundation.errors import Conflict, NotAllowed
from branchline.study.decisions import Decision, DecisionKind, objection
from branchline.study.lifecycle import TABLE, State, decide, move, standing_of

EVENTS: tuple[DecisionKind, ...] = get_args(DecisionKind)

# What each state allows, written out once more by hand: event → next state.
EXPECTED: dict[State, dict[str, State]] = {
    State.DRAFT: {"proposed": State.PROPOSED},
    State.PROPOSED: {"approved": State.APPROVED, "closed": State.CLOSED},
    State.APPROVED: {
        "site-approved": State.ACTIVE,
        "suspended": State.SUSPENDED,
        "closed": State.CLOSED,
    },
    State.ACTIVE: {
        "site-approved": State.ACTIVE,
        "site-withdrawn": State.ACTIVE,
        "suspended": State.SUSPENDED,
        "closed": State.CLOSED,
    },
    State.SUSPENDED: {
        "site-approved": State.SUSPENDED,
        "site-withdrawn": State.SUSPENDED,
        "resumed": State.ACTIVE,
        "closed": State.CLOSED,
    },
    State.CLOSED: {},
}


@pytest.mark.parametrize(("state", "event"), list(product(State, EVENTS)))
def test_every_state_and_event(state: State, event: DecisionKind) -> None:
    """Each pair moves as expected or is refused, and leaving activity stops journeys."""
    expected = EXPECTED[state].get(event)
    if expected is None:
        with pytest.raises(Conflict, match=f"{state.value} cannot be {event}"):
            move(state, event)
        return
    after, instructions = move(state, event)
    assert after is expected
    if state in (State.APPROVED, State.ACTIVE) and after in (State.SUSPENDED, State.CLOSED):
        assert "stop-journeys" in instructions
    if event == "site-withdrawn":
        assert "stop-station" in instructions


def test_the_table_has_no_other_entry() -> None:
    """No move hides in the table that the expectation does not list."""
    assert len(TABLE) == sum(len(events) for events in EXPECTED.values())


MAY: dict[DecisionKind, set[str]] = {
    "proposed": {"ada"},
    "approved": {"ben"},
    "resumed": {"ben"},
    "suspended": {"ada", "ben", "dora"},
    "closed": {"ada", "ben", "dora"},
    "site-approved": {"north"},
    "site-withdrawn": {"north"},
}


@pytest.mark.parametrize(("kind", "who"), list(product(EVENTS, sorted(KEYS))))
def test_every_decision_by_every_party(kind: DecisionKind, who: str) -> None:
    """A decision counts only when made by whoever has that task, and nobody else."""
    about = study()
    site = kind.startswith("site-")
    made = decision(
        kind,
        who,
        about,
        station="north" if site else None,
        datasets=("trial",) if kind == "site-approved" else (),
    )
    assert (objection(about, made) is None) == (who in MAY[kind])


@pytest.mark.parametrize(
    "made",
    [
        decision("site-approved", "north", study(), station="south", datasets=("trial",)),
        decision("site-approved", "north", study(), station="north", datasets=("other",)),
        decision("site-approved", "north", study(), station="north"),
        decision("site-approved", "north", study(), datasets=("trial",)),
        decision("site-withdrawn", "north", study(), station="north", datasets=("trial",)),
        decision("approved", "ben", study(), station="north"),
        decision("approved", "ben", study(title="Another revision")),
    ],
)
def test_a_malformed_decision_does_not_count(made: Decision) -> None:
    """For another station, dataset or revision: no effect."""
    with pytest.raises(NotAllowed):
        decide(standing_of(study(), approved(study())[:2]), study(), made)


def test_a_withdrawn_site_is_gone_and_may_come_back() -> None:
    """The last word of a site counts."""
    about = study()
    gone = decision("site-withdrawn", "north", about, station="north")
    standing = standing_of(about, (*approved(about), gone))
    assert set(standing.sites) == {"south"}
    with pytest.raises(Conflict, match="has not approved"):
        decide(standing, about, gone)
    again = standing_of(about, (*approved(about), gone, approved(about)[2]))
    assert set(again.sites) == {"north", "south"}


@given(st.lists(st.sampled_from(EVENTS), max_size=12))
def test_no_history_reaches_activity_without_both_approvals(events: list[DecisionKind]) -> None:
    """Whatever is tried in whatever order, active means proposed, approved, and a site said yes."""
    about = study()
    by: dict[DecisionKind, str] = {"proposed": "ada", "approved": "ben", "resumed": "ben"}
    standing, applied = standing_of(about, ()), []
    for event in events:
        site = event.startswith("site-")
        made = decision(
            event,
            "north" if site else by.get(event, "dora"),
            about,
            station="north" if site else None,
            datasets=("trial",) if event == "site-approved" else (),
        )
        try:
            standing, _ = decide(standing, about, made)
            applied.append(made)
        except Conflict:
            continue
    assert standing_of(about, applied) == standing
    if standing.state is State.ACTIVE:
        kinds = [made.kind for made in applied]
        assert kinds[:2] == ["proposed", "approved"]
        assert "site-approved" in kinds or "resumed" in kinds
