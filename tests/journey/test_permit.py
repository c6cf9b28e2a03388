"""Whether a study permits a journey: judged on signed acts alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.journey import world
from tests.journey.world import IDS, NOW, STATIONS, Done, Teller, permitted, sign

from branchline.foundation.clock import rfc3339
from branchline.foundation.errors import Conflict, Corrupt, NotAllowed
from branchline.foundation.keys import Identity
from branchline.journey import acts
from branchline.journey.permit import (
    NotPermitted,
    announced_terms,
    decision_of,
    facts_of,
    keys_in,
    require_permit,
    standing,
)
from branchline.journey.request import Route
from branchline.study.lifecycle import State

STUDY = world.document()
LATER = NOW + timedelta(minutes=10)


def permit(done: list[Done], route: Any = None, **changes: Any) -> None:
    """Judge ada's request under the study with these decisions."""
    request = world.request_of(Teller(), STUDY, route or Route("parallel", STATIONS, quorum=2))
    entries = [(each.act, sign(each)) for each in done]
    given: dict[str, Any] = {
        "requester": IDS["ada"].id,
        "signer": IDS["ada"].id,
        "reproducible": False,
        "use_terms": announced_terms(entries),
    }
    now = changes.pop("now", LATER)
    decisions = [decision_of(STUDY, entry) for _, entry in entries]
    require_permit(facts_of(STUDY, decisions, request, **(given | changes)), now)


def decisions() -> list[Done]:
    """Return the acts that let the study run."""
    return permitted(Teller(), STUDY, STATIONS)


def test_an_approved_study_permits() -> None:
    """With every gate passed there is no objection."""
    permit(decisions())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"requester": IDS["ben"].id}, "may not request journeys"),
        ({"requester": "nobody"}, "cannot request journeys"),
        ({"signer": IDS["north"].id}, "cannot sign trains"),
        ({"use_terms": {}}, "datasets are not known"),
        ({"use_terms": {"north": {"trial": ("POA",)}}}, "forbid the purpose"),
        ({"now": NOW + timedelta(days=400)}, "has ended"),
        ({"now": NOW - timedelta(days=30)}, "has not begun"),
        ({"route": Route("parallel", ("north", "east"), quorum=2)}, "'east' is not in the study"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(changes: dict[str, Any], why: str) -> None:
    """The sentence names the gate's reason."""
    with pytest.raises(NotPermitted, match=why):
        permit(decisions(), **changes)


@pytest.mark.parametrize("left_out", range(5))
def test_every_decision_is_needed(left_out: int) -> None:
    """Without proposal, approval or a site's approval nothing runs there."""
    given = decisions()
    del given[left_out]
    terms = {name: {"trial": ("GRU",)} for name in STATIONS}
    with pytest.raises(NotPermitted):
        permit(given, use_terms=terms)


def test_the_decisions_order_counts() -> None:
    """An approval before the proposal is none."""
    given = decisions()
    with pytest.raises(Conflict):
        standing(STUDY, [sign(each) for each in (given[1], given[0], *given[2:])])


def test_standing_is_replayed_from_entries() -> None:
    """Signed entries are all that is needed to know where a study stands."""
    found = standing(STUDY, [sign(each) for each in decisions()])
    assert found.state is State.ACTIVE
    assert set(found.sites) == set(STATIONS)


def test_a_decision_by_a_stranger_is_refused() -> None:
    """Only keys that the study pins can decide."""
    stranger = Identity.create()
    with pytest.raises(Corrupt, match="nobody's in study"):
        decision_of(STUDY, acts.sign_act(decisions()[0].act, stranger))
    with pytest.raises(Corrupt, match="nobody's"):
        keys_in(STUDY, stranger.id)


@pytest.mark.parametrize("name", ["ada", "ben", "eve", *STATIONS, "central"])
def test_everybody_in_the_study_is_found_by_key(name: str) -> None:
    """People, stations and central are pinned."""
    assert keys_in(STUDY, IDS[name].id) == IDS[name].public


def test_an_act_about_something_else_is_no_decision() -> None:
    """A journey's act decides nothing about a study."""
    done = world.accepted(Teller(), "north")
    with pytest.raises(Corrupt, match="no decision"):
        decision_of(STUDY, sign(done))


def test_an_approval_by_its_proposer_does_not_count() -> None:
    """Separation of duties is checked by code."""
    proposal, approval = decisions()[:2]
    with pytest.raises(NotAllowed, match="may not decide"):
        standing(STUDY, [sign(proposal), sign(Done("ada", approval.act))])


def test_a_decision_from_the_future_does_not_count() -> None:
    """Clocks may differ by minutes, not by hours."""
    given = decisions()
    late = msgspec.structs.replace(given[-1].act, at=rfc3339(LATER + timedelta(hours=1)))
    with pytest.raises(NotPermitted, match="lies in the future"):
        permit([*given[:-1], Done(given[-1].who, late)])


def test_the_last_terms_a_station_announced_count() -> None:
    """A station may approve again with other terms."""
    tell = Teller()
    given = permitted(tell, STUDY, ["north"])
    again = permitted(tell, STUDY, ["north"])[-1]
    other = msgspec.structs.replace(again.act, datasets={"trial": ("HMB",)})
    entries = [(act, sign(Done("north", act))) for act in (given[-1].act, other)]
    assert announced_terms(entries) == {"north": {"trial": ("HMB",)}}
