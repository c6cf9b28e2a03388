"""Steps of verification, the second half: where it ran, what was decided, what the result is made of.

Every step is a small function that returns what it found, or raises what does not hold.
"""

from __future__ import annotations

from itertools import pairwise

from branchline.foundation.digest import Digest
from branchline.foundation.errors import Conflict, Corrupt, NotAllowed
from branchline.journey import acts, machine
from branchline.journey.machine import OUT, STOPS, Phase
from branchline.journey.request import MAX_ROUNDS
from branchline.journey.verify_case import Case, Detail, Release, said
from branchline.journey.verify_frame import permitted
from branchline.ledger.topics import LOOK_AHEAD, tag_of
from branchline.study.lifecycle import State


def environment(case: Case) -> Detail:
    """Check where each contributor, and the aggregator, ran against what the train names."""
    named = case.opened.environment
    found = {}
    for station, accepted in case.acceptances().items():
        for _, act in accepted:
            _check_environment(case, f"Station {station!r}", act.environment, act.reproducible)
            found[station] = {"environment": act.environment, "reproducible": act.reproducible}
    for prepared in case.preparations():
        if prepared.environment is not None or named.image is not None:
            _check_environment(case, "The aggregator", prepared.environment, named.reproducible)
    return found


def _check_environment(
    case: Case, who: str, environment: Digest | None, reproducible: bool
) -> None:
    named = case.opened.environment
    if named.image is not None and environment != named.image:
        raise Corrupt(f"{who} ran in {environment or 'none told'}; the train names {named.image}")
    if reproducible and not named.reproducible:
        raise Corrupt(f"{who} claims an environment that can be built again; the train names none")
    if not reproducible and not case.study.allow_not_reproducible:
        raise NotAllowed(f"{who} ran in an environment that cannot be built again")


def datasets(case: Case) -> Detail:
    """Check that each contributor ran on the dataset asked for, with its site's approval."""
    found = {}
    for station, accepted in case.acceptances().items():
        for position, act in accepted:
            asked = case.request.datasets.get(station)
            if act.dataset != asked:
                raise Corrupt(f"Station {station!r} bound {act.dataset!r}; requested was {asked!r}")
            if station not in case.standing_at(position).sites:
                raise NotAllowed(f"Station {station!r} accepted without its site's approval")
            permitted(case, position, act.at, (station,), reproducible=act.reproducible)
            found[station] = {"dataset": act.dataset, "version": act.dataset_version}
    for release in case.releases:
        if release[1].station in found:
            _check_still_permitted(case, release)
    return found


def _check_still_permitted(case: Case, release: Release) -> None:
    position, station = release[0], release[1].station
    standing = case.standing_at(position)
    if standing.state is not State.ACTIVE or station not in standing.sites:
        held = "held" if station in standing.sites else "withdrawn"
        raise NotAllowed(
            f"Station {station!r} released (entry {position}) when the study was "
            f"{standing.state.value} and its site's approval {held}"
        )


def decisions(case: Case) -> Detail:
    """Replay the journey: each act by whom it is for, each fitting what came before."""
    first, *rest = case.about_journey
    if not isinstance(first.act, acts.JourneyRequested):
        raise Corrupt(f"The journey begins with {said(first.act)}, not with its request")
    journey = machine.begin(first.act, first.kid)
    for placed in rest:
        act = placed.act
        assert isinstance(act, acts.JourneyAct)
        if placed.kid != _rightful(case, act):
            raise NotAllowed(f"Entry {placed.position}, {said(act)}, is not by whom it is for")
        if isinstance(act, acts.StopAccepted) and act.request != case.requested.entry.id:
            raise Corrupt(
                f"Station {act.station!r} accepted the request {act.request}; "
                f"the journey's is {case.requested.entry.id}"
            )
        try:
            journey = machine.step(journey, act)
        except Conflict as error:
            raise Conflict(f"Entry {placed.position} is out of place: {error.refused}") from error
    if journey.phase not in (Phase.ARRIVED, Phase.DELIVERED):
        raise Conflict(f"The journey is {journey.phase}; expected that it arrived")
    return {name: stop.phase.value for name, stop in journey.stops.items()}


_BY_REQUESTER = (
    acts.JourneyCancelled,
    acts.JourneyDelivered,
    acts.StopSkipped,
    acts.StopRetried,
)


def _rightful(case: Case, act: acts.JourneyAct) -> str | None:
    """Return the key id of the only party that may do an act; None if nobody may."""
    if isinstance(act, _BY_REQUESTER):
        return case.requested.kid
    if isinstance(act, acts.StopExpired):
        return case.study.central.keys.id
    if isinstance(act, acts.StopAct | acts.CustodyReturned):
        station = case.study.station(act.station)
        return None if station is None else station.keys.id
    return case.host.id


def inputs(case: Case) -> Detail:
    """Check each combined input against the station's own release of that round."""
    released = {(act.round, act.station, act.parcel): position for position, act in case.releases}
    for position, act in case.combinations:
        for station, parcel in act.inputs.items():
            at = released.get((act.round, station, parcel))
            if at is None or at > position:
                raise Corrupt(
                    f"Round {act.round} combines {parcel} of {station!r}, "
                    "which that station did not release in that round"
                )
    withheld = {s: _check_nothing_after(case, s) for s in case.request.route.stations}
    return {
        "contributors": list(case.contributors),
        "out": {station: why for station, why in withheld.items() if why},
    }


def _check_nothing_after(case: Case, station: str) -> str:
    """Return what put a station out, if anything did; nothing of it may be used after that."""
    out, at = "", -1
    for position, act in case.of_station(station):
        if isinstance(act, acts.StopRetried):
            out = ""
        elif type(act) in _PUTS_OUT:
            out, at = said(act), position
        elif out and isinstance(act, acts.StopReleased):
            raise Corrupt(f"Station {station!r} released (entry {position}) after its {out}")
    for position, combined in case.combinations:
        if out and position > at and station in combined.inputs:
            raise Corrupt(
                f"Round {combined.round} combines a parcel of {station!r} after its {out}"
            )
    return out.strip("'")


_PUTS_OUT = frozenset(kind for (_, kind), phase in STOPS.items() if phase in OUT)
"""The acts after which a station contributes nothing more."""


def chain(case: Case) -> Detail:
    """Check that the rounds, or the stations of a sequence, follow each other without a gap."""
    if case.request.route.kind == "parallel":
        return _chain_rounds(case)
    return _chain_stations(case)


def _chain_rounds(case: Case) -> Detail:
    rounds = [act for _, act in case.combinations]
    numbers = [act.round for act in rounds]
    if numbers != list(range(1, len(rounds) + 1)) or not rounds:
        raise Corrupt(f"The combined rounds are {numbers}; expected 1, 2 and so on")
    if len(rounds) > case.request.route.rounds:
        raise Corrupt(
            f"{len(rounds)} rounds were combined; requested were {case.request.route.rounds}"
        )
    for act in rounds[:-1]:
        if act.state is None or act.result is not None:
            raise Corrupt(f"Round {act.round} hands on no state, though a round follows it")
    if rounds[-1].result is None or rounds[-1].state is not None:
        raise Corrupt(f"Round {len(rounds)}, the last one combined, has no result")
    return {"rounds": len(rounds)}


def _chain_stations(case: Case) -> Detail:
    route, released = case.request.route, [act.station for _, act in case.releases]
    if released != [s for s in route.stations if s in released] or len(released) < route.quorum:
        raise Corrupt(
            f"Released by {', '.join(released) or 'nobody'}; expected at least {route.quorum} "
            f"of {', '.join(route.stations)}, in that order"
        )
    contents = {act.station: act.content for _, act in case.releases}
    for placed in case.about_journey:
        act = placed.act
        if isinstance(act, acts.StopForwarded) and act.content != contents.get(act.station):
            raise Corrupt(f"Station {act.station!r} forwarded something else than it released")
    return {"stations": released}


def result(case: Case) -> Detail:
    """Check that the payload at hand is the one that the last act of combining names."""
    if case.request.route.kind == "parallel":
        contents = [act.content for _, act in case.combinations]
    else:
        contents = [act.content for _, act in case.releases]
    if case.payload_digest not in contents[-1:]:
        named = contents[-1] if contents else "nothing"
        raise Corrupt(f"The result is {case.payload_digest}; the journey's acts name {named}")
    return {"content": case.payload_digest}


def completeness(case: Case) -> Detail:
    """Check that the entries of each stop bear all numbers of its topic, from the first on.

    The station told the topic's secret when it let the train in. Whoever left an entry out, be it
    one from which nothing else follows, left a gap; only the last ones of all leave none.
    """
    found: Detail = {}
    for station in case.request.route.stations:
        pinned = case.study.station(station)
        own = [p for p in case.placed if pinned is not None and p.kid == pinned.keys.id]
        borne = {tag for placed in own for tag in placed.entry.tags}
        secrets = [p.act.topic for p in own if isinstance(p.act, acts.StopAccepted)]
        if secrets:
            found[station] = [_count_numbers(station, secret, borne) for secret in secrets]
    return {"entries": found}


def _count_numbers(station: str, secret: bytes, borne: set[str]) -> int:
    """Return how many entries a stop has, which must be numbered without a gap."""
    among = range(len(borne) + LOOK_AHEAD)
    present = [number for number in among if tag_of(secret, number) in borne]
    missing = sorted(set(range(max(present, default=0) + 1)) - set(present))
    if missing:
        raise Corrupt(
            f"An entry of station {station!r} is missing: number {missing[0]} of its stop, "
            f"counted from 0"
        )
    return len(present)


def order(case: Case) -> Detail:
    """Check that causes stand before their effects in the ledger."""
    ranked = [(_rank(case, p.act), p) for p in case.placed]
    known = [(rank, p) for rank, p in ranked if rank is not None]
    for (rank, earlier), (next_rank, later) in pairwise(known):
        if next_rank < rank:
            raise Corrupt(
                f"Entry {later.position}, {said(later.act)}, stands after entry "
                f"{earlier.position}, {said(earlier.act)}; expected before it"
            )
    return {"first": case.placed[0].position, "last": case.placed[-1].position}


def _rank(case: Case, act: acts.Act) -> tuple[int, int] | None:
    """Return where in a journey's course an act belongs: (round or leg, part of it)."""
    for number, kind in enumerate(_BEFOREHAND):
        if isinstance(act, kind):
            return (0, number)
    if isinstance(act, acts.JourneyDelivered):
        return (MAX_ROUNDS + 1, 0)
    if isinstance(act, acts.JourneyCombined):
        return (act.round, 2)
    if isinstance(act, acts.StopReleased | acts.StopForwarded):
        part = 1 if isinstance(act, acts.StopReleased) else 2
        stations = case.request.route.stations
        if case.request.route.kind == "parallel" or act.station not in stations:
            return (act.round, part)
        return (stations.index(act.station) + 1, part)
    return None


_BEFOREHAND = (
    acts.StudyProposed,
    acts.StudyApproved,
    acts.JourneyRequested,
    acts.JourneyPrepared,
)
"""What happens once, in this order, before anything runs."""
