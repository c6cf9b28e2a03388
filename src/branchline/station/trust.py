"""Whom a station believes: states and recipients only from those the study names, by signature."""

from __future__ import annotations

from branchline.foundation.errors import Corrupt
from branchline.foundation.jws import read_kid
from branchline.foundation.keys import PublicKeys
from branchline.journey import acts
from branchline.journey.machine import REQUESTER
from branchline.journey.messages import Notice, ParcelRef
from branchline.journey.request import Route
from branchline.station.gates import read_request
from branchline.study.document import StudyDocument


def host_keys(study: StudyDocument) -> PublicKeys:
    """Return the keys of the place where the study lets the aggregator run."""
    if study.aggregator == "central":
        return study.central.keys
    station = study.station(study.aggregator)
    assert station is not None, "the study was checked"
    return station.keys


def check_state(study: StudyDocument, journey: str, round_: int, ref: ParcelRef) -> None:
    """Believe a state only if whoever the study says made it has signed for it.

    Args:
        study: The study, as the station approved it.
        journey: The journey under way.
        round_: The round about to be run.
        ref: The state's parcel with the act that names it.

    Raises:
        Corrupt: A stranger's state, another journey's or round's, or another parcel.
    """
    if ref.station:
        station = study.station(ref.station)
        if station is None:
            raise Corrupt("A state comes from a station that is not in the study")
        act = acts.read_act(ref.entry, station.keys)
        if not isinstance(act, acts.StopReleased | acts.StopForwarded):
            raise Corrupt("A state's act is no release")
        named, about = act.parcel, act.journey
    else:
        combined = acts.expect_act(ref.entry, host_keys(study), acts.JourneyCombined)
        if combined.round != round_ - 1 or combined.state is None:
            raise Corrupt("A state is of another round")
        named, about = combined.state, combined.journey
    if about != journey or named != ref.digest:
        raise Corrupt("A state's parcel is not the one its maker signed for")


def recipient(study: StudyDocument, notice: Notice, own: str, to: str) -> str:
    """Return to whom an output is sealed: keys pinned in the study, or signed for by its host.

    Args:
        study: The study, as the station approved it.
        notice: The notice with which the train came.
        own: This station's name.
        to: A station, the requester, or empty for the aggregator.

    Raises:
        Corrupt: Nobody the study knows, or nobody to whom this route's outputs go from here.
    """
    _check_direction(read_request(notice, study).request.route, own, to)
    if not to:
        if notice.prepared is None:
            raise Corrupt("The notice does not name the aggregator's recipient")
        act = acts.expect_act(notice.prepared, host_keys(study), acts.JourneyPrepared)
        if act.journey != notice.journey:
            raise Corrupt("The aggregator's recipient is another journey's")
        return act.recipient
    if to == REQUESTER:
        asked_by = "" if notice.request is None else read_kid(notice.request.jws)
        person = study.person_with(asked_by)
        if person is None:
            raise Corrupt("The requester is nobody of the study")
        return person.keys.seal
    station = study.station(to)
    if station is None:
        raise Corrupt("The output is to go to a station that is not in the study")
    return station.keys.seal


def _check_direction(route: Route, own: str, to: str) -> None:
    """Refuse a recipient whom the requester's route does not put after this station.

    Updates of a parallel route go to the aggregator alone. A sequence goes on to a later station,
    or to the requester once as many stations as the quorum asks for can be in it.
    """
    later = route.stations[route.stations.index(own) + 1 :]
    if route.kind == "parallel":
        fits = not to
    elif to == REQUESTER:
        fits = len(route.stations) - len(later) >= route.quorum
    else:
        fits = to in later
    if not fits:
        raise Corrupt(f"From {own} this route's outputs do not go to {to or 'an aggregator'}")
