"""Invitations and requests: what a person hands over or signs, read strictly."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.journey import world

from branchline.foundation.canonical import canonical_json, parse_json
from branchline.foundation.encoding import to_base64url
from branchline.foundation.errors import Refused
from branchline.foundation.ids import NAME_PATTERN
from branchline.journey.invitation import Invitation, parse_invitation
from branchline.journey.request import JourneyRequest, Route, check_request

MADE = Invitation("https://central.example", "secret", "north", "station", "kid")


@given(
    st.builds(
        Invitation,
        url=st.text(max_size=60),
        token=st.text(max_size=60),
        name=st.from_regex(NAME_PATTERN),
        kind=st.sampled_from(["station", "person"]),
        central=st.text(max_size=50),
    )
)
def test_an_invitation_is_read_as_it_was_written(made: Invitation) -> None:
    """One line holds everything, also with line breaks around it from copying."""
    assert parse_invitation(made.text) == made
    assert parse_invitation(f"\n  {made.text}\n") == made
    assert made.text.isascii()


@given(st.text(max_size=200))
def test_anything_else_is_refused_in_a_sentence(text: str) -> None:
    """What a person pastes by mistake is refused, never crashes."""
    for tried in (text, "bl1." + text, MADE.text[: len(text) % len(MADE.text)]):
        with pytest.raises(Refused, match="invitation"):
            parse_invitation(tried)


@given(st.data())
def test_a_cut_invitation_is_not_whole(data: st.DataObject) -> None:
    """An invitation cut anywhere says so."""
    with pytest.raises(Refused):
        parse_invitation(MADE.text[: data.draw(st.integers(0, len(MADE.text) - 1))])


@pytest.mark.parametrize("changes", [{"more": 1}, {"kind": "robot"}, {"name": "No Name"}])
def test_an_invitation_of_another_form_is_refused(changes: dict[str, object]) -> None:
    """Unknown fields and kinds are refused."""
    plain = msgspec.to_builtins(MADE) | changes
    with pytest.raises(Refused):
        parse_invitation("bl1." + to_base64url(canonical_json(plain)))


# Requests


REQUEST = world.parallel().request


def changed(**changes: object) -> JourneyRequest:
    """Return the request with some fields changed."""
    return msgspec.structs.replace(REQUEST, **changes)


def test_a_sensible_request_is_accepted() -> None:
    """Nothing is objected to."""
    check_request(REQUEST)


@pytest.mark.parametrize(
    ("route", "why"),
    [
        (Route("parallel", ("north", "north")), "twice"),
        (Route("parallel", ("north",), quorum=2), "quorum is 2"),
        (Route("parallel", ("north", "east")), "No dataset is named for east"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(route: Route, why: str) -> None:
    """The sentence says what does not fit."""
    with pytest.raises(Refused, match=why):
        check_request(changed(route=route))


@pytest.mark.parametrize(
    "route",
    [
        {"stations": []},
        {"stations": ["a"] * 51},
        {"stations": ["Up"]},
        {"rounds": 0},
        {"quorum": 0},
        {"deadline_seconds": 0},
        {"kind": "round"},
        {"more": 1},
    ],
)
def test_a_malformed_route_is_refused_while_reading(route: dict[str, object]) -> None:
    """Bounds are part of the schema."""
    plain = msgspec.to_builtins(REQUEST)
    plain["route"] |= route
    with pytest.raises(Refused):
        parse_json(canonical_json(plain), JourneyRequest, what="request")


def test_a_request_is_named_by_all_that_it_says() -> None:
    """Any other parameter is another request."""
    assert changed().digest == REQUEST.digest
    assert changed(parameters={"column": "sex"}).digest != REQUEST.digest
    assert changed(datasets={}).digest != REQUEST.digest
