"""A journey's request follows from the study, the train and the requester's wishes, or is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.foundation.digest import Digest
from branchline.foundation.errors import BranchlineError, Refused
from branchline.foundation.keys import Identity
from branchline.journey.request import JourneyRequest, check_request
from branchline.study.document import CentralPin, Person, StudyDocument, StudyStation
from branchline.train.manifest import Manifest, parse_manifest
from branchline.train.template import new_train
from branchline.workbench.request import Wishes, make_request

TRAIN = Digest("sha256:" + "1" * 64)


def study_of(**datasets: tuple[str, ...]) -> StudyDocument:
    """Return a study over stations with datasets."""
    keys = Identity.create().public
    return StudyDocument(
        id="sleep",
        title="Sleep",
        purpose="",
        protocol="",
        duo=("HMB",),
        people=(Person("anna", "researcher", keys),),
        stations=tuple(StudyStation(name, keys, sets) for name, sets in datasets.items()),
        central=CentralPin("x.org/l", keys, "x"),
        proposer="anna",
        approver="eva",
        valid_from=datetime(2026, 1, 1, tzinfo=UTC),
        valid_until=datetime(2027, 1, 1, tzinfo=UTC),
    )


STUDY = study_of(a=("ages",), b=("ages",), c=("ages", "weights"), d=("ages",))
PARALLEL = parse_manifest(new_train("t")["train.toml"].encode())
SEQUENTIAL = parse_manifest(new_train("t", route="sequential")["train.toml"].encode())


def make(manifest: Manifest = PARALLEL, given: Any = None, **wishes: Any) -> JourneyRequest:
    """Make a request over the example study."""
    return make_request(STUDY, TRAIN, "jws", manifest, given or {}, Wishes(**wishes))


def test_what_is_not_said_comes_from_the_train_and_the_study() -> None:
    """Route, quorum and deadline are the train's; stations and datasets the study's."""
    request = make(datasets={"c": "weights"})
    assert request.route.stations == ("a", "b", "c", "d")
    assert (request.route.kind, request.route.quorum, request.route.rounds) == ("parallel", 2, 1)
    assert request.datasets == {"a": "ages", "b": "ages", "c": "weights", "d": "ages"}
    assert request.parameters == {"minimum_age": 18}
    assert request.study_digest == STUDY.digest


def test_what_is_said_goes_before_the_train() -> None:
    """The requester's stations, in their order, quorum, deadline and rounds hold."""
    wishes = Wishes(["d", "a"], quorum=1, rounds=7, deadline_seconds=5)
    route = make_request(STUDY, TRAIN, "jws", PARALLEL, {"minimum_age": 30}, wishes).route
    assert (route.stations, route.quorum, route.rounds) == (("d", "a"), 1, 7)
    assert route.deadline_seconds == 5


@pytest.mark.parametrize(
    ("manifest", "given", "wishes", "says"),
    [
        (PARALLEL, {}, {"stations": ["e"]}, "not in the study"),
        (PARALLEL, {}, {"stations": ["c"], "quorum": 1}, "several datasets"),
        (PARALLEL, {}, {"stations": ["a"], "datasets": {"a": "weights"}}, "no dataset 'weights'"),
        (PARALLEL, {}, {"stations": ["a"]}, "quorum is 2"),
        (PARALLEL, {}, {"stations": ["a", "a"]}, "twice"),
        (PARALLEL, {}, {"stations": []}, "no station"),
        (PARALLEL, {}, {"stations": ["a"], "quorum": 0}, "quorum is 0"),
        (SEQUENTIAL, {}, {"stations": ["a", "b"], "rounds": 2}, "no rounds"),
        (PARALLEL, {"minimum_age": "x"}, {"stations": ["a", "b"]}, "minimum_age"),
        (PARALLEL, {"other": 1}, {"stations": ["a", "b"]}, "other"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    manifest: Manifest, given: dict[str, Any], wishes: dict[str, Any], says: str
) -> None:
    """Each impossible wish is refused with a sentence that names it."""
    with pytest.raises(Refused, match=says):
        make(manifest, given, **wishes)


@given(
    stations=st.none() | st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=5),
    quorum=st.none() | st.integers(-1, 6),
    rounds=st.none() | st.integers(0, 3),
    dataset=st.none() | st.sampled_from(["ages", "weights", "other"]),
    manifest=st.sampled_from([PARALLEL, SEQUENTIAL]),
)
def test_a_request_is_whole_or_refused(
    stations: list[str] | None,
    quorum: int | None,
    rounds: int | None,
    dataset: str | None,
    manifest: Manifest,
) -> None:
    """Whatever is wished, a request that is made passes central's own check of its form."""
    wishes = Wishes(stations, {"c": dataset} if dataset else None, rounds, quorum)
    try:
        request = make_request(STUDY, TRAIN, "jws", manifest, {}, wishes)
    except BranchlineError:
        return
    check_request(request)
    assert set(request.datasets) == set(request.route.stations)
    assert all(
        request.datasets[station.name] in station.datasets
        for station in STUDY.stations
        if station.name in request.datasets
    )
