"""The life cycle of a journey: a pure table of (state, act) → state, and what each state asks for.

``step`` takes a journey and one act and gives the next journey; ``asks`` tells what a state wants
done now. Both are pure. A restarted program replays the acts, looks at what the state asks for,
and does that: recovery is the normal path. An act that the table does not have is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from branchline.foundation.clock import parse_time
from branchline.foundation.digest import Digest
from branchline.foundation.errors import Conflict
from branchline.journey import acts
from branchline.journey.request import JourneyRequest


class Phase(StrEnum):
    """Where a journey stands."""

    REQUESTED = "requested"
    TRAVELLING = "travelling"
    COMBINING = "combining"
    WAITING = "waiting"
    ARRIVED = "arrived"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({Phase.ARRIVED, Phase.DELIVERED, Phase.FAILED, Phase.CANCELLED})
"""Phases in which the stations have nothing more to do but to clear away."""


class StopPhase(StrEnum):
    """Where one station's part stands, as central sees it."""

    PENDING = "pending"
    TOLD = "told"
    RUNNING = "running"
    HELD = "held"
    RELEASED = "released"
    DECLINED = "declined"
    WITHHELD = "withheld"
    FAILED = "failed"
    EXPIRED = "expired"
    SKIPPED = "skipped"


OUT = frozenset(
    {
        StopPhase.DECLINED,
        StopPhase.WITHHELD,
        StopPhase.FAILED,
        StopPhase.EXPIRED,
        StopPhase.SKIPPED,
    }
)
"""Phases in which a station contributes nothing more."""

BUSY = frozenset({StopPhase.TOLD, StopPhase.RUNNING, StopPhase.HELD})
"""Phases in which an answer of the station is awaited."""

S = StopPhase
STOPS: Mapping[tuple[StopPhase, type[acts.StopAct]], StopPhase] = {
    (S.TOLD, acts.StopAccepted): S.RUNNING,
    (S.TOLD, acts.StopDeclined): S.DECLINED,
    (S.TOLD, acts.StopExpired): S.EXPIRED,
    (S.RUNNING, acts.StopStarted): S.RUNNING,
    (S.RUNNING, acts.StopHeld): S.HELD,
    (S.RUNNING, acts.StopReleased): S.RELEASED,
    (S.RUNNING, acts.StopWithheld): S.WITHHELD,
    (S.RUNNING, acts.StopFailed): S.FAILED,
    (S.RUNNING, acts.StopExpired): S.EXPIRED,
    (S.HELD, acts.StopReleased): S.RELEASED,
    (S.HELD, acts.StopWithheld): S.WITHHELD,
    (S.HELD, acts.StopFailed): S.FAILED,
    (S.HELD, acts.StopExpired): S.EXPIRED,
    (S.RELEASED, acts.StopForwarded): S.RELEASED,
    (S.DECLINED, acts.StopSkipped): S.SKIPPED,
    (S.WITHHELD, acts.StopSkipped): S.SKIPPED,
    (S.FAILED, acts.StopSkipped): S.SKIPPED,
    (S.EXPIRED, acts.StopSkipped): S.SKIPPED,
    (S.DECLINED, acts.StopRetried): S.TOLD,
    (S.FAILED, acts.StopRetried): S.TOLD,
    (S.EXPIRED, acts.StopRetried): S.TOLD,
}
"""What an act makes of a stop. Not in the table: refused."""


class Stop(msgspec.Struct, frozen=True):
    """One station's part of a journey.

    Args:
        phase: Where it stands.
        attempt: 1, and one more with every retry.
        round: The last round it released; 0 before.
        parcel: The parcel it released in that round.
        content: Digest of the payload inside that parcel.
        reason: Why it is out, as told to the requester.
        since: When its present phase began.
        told: When it was told of its present round and attempt.
        cleared: Whether the station has cleared everything of this attempt away.
    """

    phase: StopPhase = StopPhase.PENDING
    attempt: int = 1
    round: int = 0
    parcel: Digest | None = None
    content: Digest | None = None
    reason: str = ""
    since: str = ""
    told: str = ""
    cleared: bool = False


class Journey(msgspec.Struct, frozen=True):
    """A journey as its acts made it.

    Args:
        request: What was asked for.
        requester: Key id of who asked.
        phase: Where it stands.
        round: The round under way, counted from 1.
        stops: Each station's part.
        recipient: The aggregator's recipient; empty before it is prepared.
        custody: The aggregator's key, sealed to the stations.
        state: The parcel with the present state; None before the first.
        result: The parcel sealed to the requester.
        content: Digest of the last combined payload.
        forward_to: Sequential: to whom the last released state must be sealed anew.
        since: When the present round began.
        reason: Why it failed or was cancelled.
    """

    request: JourneyRequest
    requester: str
    phase: Phase
    round: int
    stops: dict[str, Stop]
    recipient: str = ""
    custody: bytes = b""
    state: Digest | None = None
    result: Digest | None = None
    content: Digest | None = None
    forward_to: str = ""
    since: str = ""
    reason: str = ""

    @property
    def id(self) -> str:
        """The journey's identifier."""
        return self.request.journey

    @property
    def parallel(self) -> bool:
        """Whether every station is visited at the same time."""
        return self.request.route.kind == "parallel"

    def stations(self, *phases: StopPhase) -> list[str]:
        """Return the stations in any of these phases, in the route's order."""
        return [s for s in self.request.route.stations if self.stops[s].phase in phases]


REQUESTER = "requester"
"""Stands where an output goes to the requester; no party can have it as its name."""


def begin(act: acts.JourneyRequested, requester: str) -> Journey:
    """Start a journey from its request."""
    route = act.request.route
    journey = Journey(
        request=act.request,
        requester=requester,
        phase=Phase.REQUESTED if route.kind == "parallel" else Phase.TRAVELLING,
        round=1,
        stops={station: Stop() for station in route.stations},
        since=act.at,
    )
    return journey if journey.parallel else _next_stop(journey, act.at)


def step(journey: Journey, act: acts.JourneyAct) -> Journey:
    """Return what an act makes of a journey.

    Raises:
        Conflict: The act does not fit the state; nothing is changed.
    """
    if isinstance(act, acts.StopAct):
        return _step_stop(journey, act)
    handler = JOURNEYS.get((journey.phase, type(act)))
    if handler is None:
        raise Conflict(
            f"{_said(act)} does not fit a journey that is {journey.phase}",
            advice="Look at the journey's status",
        )
    return handler(journey, act)


def _step_stop(journey: Journey, act: acts.StopAct) -> Journey:
    stop = journey.stops.get(act.station)
    if stop is None:
        raise Conflict(f"{act.station} is not on this journey's route")
    if isinstance(act, acts.StopFinished):
        return _finish(journey, act, stop)
    phase = STOPS.get((stop.phase, type(act)))
    if phase is None or journey.phase not in (Phase.TRAVELLING, Phase.WAITING):
        raise Conflict(
            f"{_said(act)} does not fit a stop that is {stop.phase} on a journey that is "
            f"{journey.phase}"
        )
    round_ = getattr(act, "round", journey.round)
    if round_ != journey.round:
        raise Conflict(f"{_said(act)} is about round {round_}; under way is {journey.round}")
    if isinstance(act, acts.StopForwarded):
        _check_forward(journey, act, stop)
    if isinstance(act, acts.StopSkipped | acts.StopRetried):
        _check_word(journey, act)
    return _settle(_put(journey, act.station, _moved(stop, act, phase)), act)


def _moved(stop: Stop, act: acts.StopAct, phase: StopPhase) -> Stop:
    replaced = msgspec.structs.replace(
        stop, phase=phase, since=act.at, reason=getattr(act, "reason", "")
    )
    if isinstance(act, acts.StopReleased | acts.StopForwarded):
        return msgspec.structs.replace(
            replaced, round=act.round, parcel=act.parcel, content=act.content
        )
    if isinstance(act, acts.StopExpired):
        return msgspec.structs.replace(replaced, reason="No answer before the deadline")
    if isinstance(act, acts.StopRetried):
        return msgspec.structs.replace(
            replaced, attempt=stop.attempt + 1, cleared=False, told=act.at
        )
    return replaced


def _check_forward(journey: Journey, act: acts.StopForwarded, stop: Stop) -> None:
    """Refuse a resealed output that nobody asked for, or that is not what was released."""
    if not journey.forward_to or stop.parcel != journey.state:
        raise Conflict(f"{act.station} was not asked to forward what it released")
    if act.content != stop.content:
        raise Conflict(f"{act.station} forwards something else than it released")


def _check_word(journey: Journey, act: acts.StopAct) -> None:
    """Refuse the requester's word about a station that a sequence has already gone past."""
    if not journey.parallel and journey.phase != Phase.WAITING:
        raise Conflict(f"{_said(act)} comes too late: the train has left {act.station} behind")


def _finish(journey: Journey, act: acts.StopFinished, stop: Stop) -> Journey:
    if not over(journey, stop) or stop.cleared:
        raise Conflict(f"A stop that is {stop.phase} on a {journey.phase} journey cannot finish")
    return _put(journey, act.station, msgspec.structs.replace(stop, cleared=True))


def over(journey: Journey, stop: Stop) -> bool:
    """Tell whether a station has nothing left to do on a journey but to clear away."""
    return stop.phase != StopPhase.PENDING and (journey.phase in ENDED or stop.phase in OUT)


def _settle(journey: Journey, act: acts.StopAct) -> Journey:
    """Move the journey on when a stop's act was the last that it waited for."""
    if journey.parallel:
        return _settle_parallel(journey)
    return _settle_sequential(journey, act)


def _settle_parallel(journey: Journey) -> Journey:
    if journey.phase != Phase.TRAVELLING or journey.stations(*BUSY):
        return journey
    if len(journey.stations(StopPhase.RELEASED)) >= journey.request.route.quorum:
        return msgspec.structs.replace(journey, phase=Phase.COMBINING)
    return _quorum_lost(journey)


def _settle_sequential(journey: Journey, act: acts.StopAct) -> Journey:
    stop = journey.stops[act.station]
    if isinstance(act, acts.StopForwarded):
        journey = msgspec.structs.replace(journey, state=act.parcel, forward_to="")
        return _next_stop(journey, act.at)
    if stop.phase == StopPhase.RELEASED:
        journey = msgspec.structs.replace(journey, state=stop.parcel, content=stop.content)
        return _next_stop(journey, act.at)
    if stop.phase == StopPhase.SKIPPED:
        return _after_gap(journey, act.at)
    if stop.phase in OUT:
        if journey.request.route.on_decline == "skip":
            return _after_gap(journey, act.at)
        return msgspec.structs.replace(journey, phase=Phase.WAITING)
    if stop.phase == StopPhase.TOLD:
        return msgspec.structs.replace(journey, phase=Phase.TRAVELLING, since=act.at)
    return journey


def _after_gap(journey: Journey, at: str) -> Journey:
    """Go on past a station that is out: the last state must be sealed to somebody else."""
    if _possible(journey) < journey.request.route.quorum:
        return _quorum_lost(journey)
    if journey.state is None:
        return _next_stop(journey, at)
    to = next(iter(journey.stations(StopPhase.PENDING)), REQUESTER)
    return msgspec.structs.replace(journey, phase=Phase.TRAVELLING, forward_to=to, since=at)


def _next_stop(journey: Journey, at: str) -> Journey:
    pending = journey.stations(StopPhase.PENDING)
    if pending:
        told = Stop(phase=StopPhase.TOLD, since=at, told=at)
        moved = msgspec.structs.replace(journey, phase=Phase.TRAVELLING, since=at)
        return _put(moved, pending[0], told)
    released = journey.stations(StopPhase.RELEASED)
    if len(released) < journey.request.route.quorum:
        return _quorum_lost(journey)
    return msgspec.structs.replace(journey, phase=Phase.ARRIVED, result=journey.state)


def _possible(journey: Journey) -> int:
    return len(journey.stations(StopPhase.RELEASED, StopPhase.PENDING, *BUSY))


def _quorum_lost(journey: Journey) -> Journey:
    count = len(journey.stations(StopPhase.RELEASED))
    return msgspec.structs.replace(
        journey,
        phase=Phase.FAILED,
        reason=f"{count} stations contributed; the quorum is {journey.request.route.quorum}",
    )


def _put(journey: Journey, station: str, stop: Stop) -> Journey:
    return msgspec.structs.replace(journey, stops=journey.stops | {station: stop})


def _prepared(journey: Journey, act: acts.JourneyAct) -> Journey:
    assert isinstance(act, acts.JourneyPrepared)
    told = Stop(phase=StopPhase.TOLD, since=act.at, told=act.at)
    return msgspec.structs.replace(
        journey,
        phase=Phase.TRAVELLING,
        recipient=act.recipient,
        custody=act.custody,
        stops=dict.fromkeys(journey.stops, told),
        since=act.at,
    )


def _combined(journey: Journey, act: acts.JourneyAct) -> Journey:
    assert isinstance(act, acts.JourneyCombined)
    expected = {s: journey.stops[s].parcel for s in journey.stations(StopPhase.RELEASED)}
    if act.round != journey.round or act.inputs != expected:
        raise Conflict(f"What was combined is not what round {journey.round} released")
    if (act.state is None) == (act.result is None):
        raise Conflict("A combined round has either a next state or the result")
    if act.result is not None:
        return msgspec.structs.replace(
            journey, phase=Phase.ARRIVED, result=act.result, content=act.content
        )
    if journey.round >= journey.request.route.rounds:
        reason = f"The aggregator has no result after {journey.round} rounds"
        return msgspec.structs.replace(journey, phase=Phase.FAILED, reason=reason)
    stops = {
        name: msgspec.structs.replace(stop, phase=StopPhase.RUNNING, since=act.at, told=act.at)
        if stop.phase == StopPhase.RELEASED
        else stop
        for name, stop in journey.stops.items()
    }
    return msgspec.structs.replace(
        journey,
        phase=Phase.TRAVELLING,
        round=journey.round + 1,
        state=act.state,
        content=act.content,
        stops=stops,
        since=act.at,
    )


def _failed(journey: Journey, act: acts.JourneyAct) -> Journey:
    assert isinstance(act, acts.JourneyFailed)
    return msgspec.structs.replace(journey, phase=Phase.FAILED, reason=act.reason)


def _cancelled(journey: Journey, act: acts.JourneyAct) -> Journey:
    assert isinstance(act, acts.JourneyCancelled)
    reason = act.reason or "Cancelled by the requester"
    return msgspec.structs.replace(journey, phase=Phase.CANCELLED, reason=reason)


def _delivered(journey: Journey, act: acts.JourneyAct) -> Journey:
    assert isinstance(act, acts.JourneyDelivered)
    if act.content != journey.content:
        raise Conflict("What was delivered is not this journey's result")
    return msgspec.structs.replace(journey, phase=Phase.DELIVERED)


def _unchanged(journey: Journey, act: acts.JourneyAct) -> Journey:
    return journey


_Handler = Callable[[Journey, acts.JourneyAct], Journey]
_LIVE = (Phase.REQUESTED, Phase.TRAVELLING, Phase.COMBINING, Phase.WAITING)

JOURNEYS: Mapping[tuple[Phase, type[acts.JourneyAct]], _Handler] = {
    (Phase.REQUESTED, acts.JourneyPrepared): _prepared,
    (Phase.COMBINING, acts.JourneyCombined): _combined,
    (Phase.ARRIVED, acts.JourneyDelivered): _delivered,
    **{(phase, acts.JourneyFailed): _failed for phase in _LIVE},
    **{(phase, acts.JourneyCancelled): _cancelled for phase in _LIVE},
    **{(phase, acts.CustodyReturned): _unchanged for phase in _LIVE},
}
"""What an act of the requester or the aggregator makes of a journey. Not in the table: refused."""


def deadline(journey: Journey) -> datetime | None:
    """Return when the stations that are awaited will have had their time; None if none is."""
    if journey.phase != Phase.TRAVELLING:
        return None
    seconds = journey.request.route.deadline_seconds
    if journey.forward_to:
        return parse_time(journey.since) + timedelta(seconds=seconds)
    if not journey.stations(*BUSY):
        return None
    # Accepting and holding take from the time given; a retried station has it whole from then on.
    began = max(parse_time(journey.stops[s].told) for s in journey.stations(*BUSY))
    return max(began, parse_time(journey.since)) + timedelta(seconds=seconds)


def _said(act: acts.Act) -> str:
    return f"The act {type(act).__struct_config__.tag!r}"
