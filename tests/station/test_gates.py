"""Attempts: a train comes again only because its requester wished it."""

from datetime import UTC, datetime

import msgspec
import pytest

from branchline.foundation.errors import Corrupt
from branchline.foundation.keys import Identity
from branchline.journey import acts
from branchline.journey.messages import Notice
from branchline.journey.request import JourneyRequest, Route
from branchline.station.gates import check_retry
from branchline.study.document import CentralPin, Person, StudyDocument, StudyStation

ADA, ELLA, NORTH, CENTRAL = (Identity.create() for _ in range(4))
AT = "2026-11-21T12:00:00.000Z"
DIGEST = "sha256:" + "0" * 64
JOURNEY = "journey-" + "a" * 26

STUDY = StudyDocument(
    id="ages",
    title="Ages",
    purpose="To know",
    protocol="Means",
    duo=("GRU",),
    people=(
        Person("ada", "researcher", ADA.public),
        Person("ella", "ethics-officer", ELLA.public),
    ),
    stations=(StudyStation("north", NORTH.public, ("trial",)),),
    central=CentralPin("central.test/branchline", CENTRAL.public, "vkey"),
    proposer="ada",
    approver="ella",
    valid_from=datetime(2026, 1, 1, tzinfo=UTC),
    valid_until=datetime(2027, 1, 1, tzinfo=UTC),
)


def _notice(attempt: int, retried: acts.Act | None, by: Identity = ADA) -> Notice:
    route = Route("parallel", ("north",))
    request = JourneyRequest(JOURNEY, "ages", DIGEST, DIGEST, "jws", route, {}, {"north": "trial"})  # type: ignore[arg-type]
    asked = acts.JourneyRequested(id="act-" + "a" * 26, at=AT, journey=JOURNEY, request=request)
    return Notice(
        kind="visit",
        journey=JOURNEY,
        attempt=attempt,
        request=acts.sign_act(asked, ADA),
        retried=None if retried is None else acts.sign_act(retried, by),
    )


def _retry(journey: str = JOURNEY, station: str = "north") -> acts.StopRetried:
    return acts.StopRetried(id="act-" + "b" * 26, at=AT, journey=journey, station=station)


def test_the_first_attempt_needs_no_more_than_the_request() -> None:
    """Nobody retries what was not tried."""
    check_retry(_notice(1, None), STUDY, "north", [])


def test_a_further_attempt_is_the_requesters_wish() -> None:
    """With the requester's signed act for this station a train may come again."""
    check_retry(_notice(2, _retry()), STUDY, "north", [])


@pytest.mark.parametrize(
    "notice",
    [
        _notice(2, None),
        _notice(2, _retry(), by=CENTRAL),
        _notice(2, _retry(station="south")),
        _notice(2, _retry(journey="journey-" + "b" * 26)),
    ],
    ids=["nobody asked", "central asked", "another station", "another journey"],
)
def test_central_cannot_send_a_train_again_by_itself(notice: Notice) -> None:
    """Every further run would be one more look at the data."""
    with pytest.raises(Corrupt):
        check_retry(notice, STUDY, "north", [])


def test_one_wish_serves_for_one_attempt() -> None:
    """The act of an earlier attempt does not serve for the next one."""
    second = _notice(2, _retry())
    assert second.retried is not None
    third = msgspec.structs.replace(second, attempt=3)
    with pytest.raises(Corrupt, match="did not ask"):
        check_retry(third, STUDY, "north", [second.retried.id])
