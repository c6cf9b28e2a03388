"""Whose act is whose: a pure check of every act of a journey against the one who sends it."""

from __future__ import annotations

from branchline.central.course import Course
from branchline.foundation.digest import Digest, is_named
from branchline.foundation.errors import Conflict, Corrupt, NotAllowed, NotFound
from branchline.foundation.http.api import Caller
from branchline.journey import acts
from branchline.journey.messages import INLINE
from branchline.journey.parcels import parcels_of

CENTRAL = "central"
"""The name central has as a party, and as a place for the aggregator."""

_REQUESTER_ACTS = (
    acts.JourneyCancelled,
    acts.JourneyDelivered,
    acts.StopSkipped,
    acts.StopRetried,
)
_HOST_ACTS = (acts.JourneyPrepared, acts.JourneyCombined, acts.JourneyFailed)


def check_right(act: acts.JourneyAct, caller: Caller, course: Course) -> None:
    """Refuse an act by somebody whose act it is not.

    Raises:
        NotFound: The caller has no part in the journey: the same answer as if there were none.
        NotAllowed: The caller may not do this on this journey.
        Conflict: A station accepts another request than the journey's.
    """
    check_part(caller, course)
    if isinstance(act, _REQUESTER_ACTS):
        if caller.keys.id != course.journey.requester:
            raise NotAllowed("Only the requester of a journey may do this")
    elif isinstance(act, _HOST_ACTS):
        # Central may end a journey wherever its aggregator runs: its study was suspended, say.
        ends = isinstance(act, acts.JourneyFailed) and caller.name == CENTRAL
        if caller.name != course.host and not ends:
            raise NotAllowed("Only the aggregator's host may do this")
    elif isinstance(act, acts.StopExpired):
        if caller.name != CENTRAL:
            raise NotAllowed("Only central keeps the deadlines")
    elif isinstance(act, acts.StopAct | acts.CustodyReturned):
        if caller.name != act.station:
            raise NotAllowed(
                f"{caller.name} spoke for {act.station}", advice="A station speaks for itself only"
            )
        if act.station not in course.journey.stops:
            raise NotAllowed(f"{act.station} is not on this journey's route")
        if isinstance(act, acts.StopAccepted) and act.request != course.request.id:
            raise Conflict(f"{act.station} accepted another request than this journey's")
    else:
        raise NotAllowed("This act does not belong here")


def check_part(caller: Caller, course: Course) -> None:
    """Refuse a caller who takes no part in a journey.

    Raises:
        NotFound: The same answer as if there were no such journey.
    """
    requester = caller.keys.id == course.journey.requester
    if not requester and caller.name not in (CENTRAL, course.host, *course.journey.stops):
        raise NotFound(f"No journey {course.journey.id} is known here")


def check_parcels(act: acts.JourneyAct, parcels: dict[Digest, bytes]) -> None:
    """Refuse parcels that came with an act and are not the ones it speaks of.

    Raises:
        Conflict: A parcel the act does not name, or too large to ride along.
        Corrupt: A parcel whose bytes have another digest.
    """
    named = parcels_of(act)
    for digest, data in parcels.items():
        if digest not in named:
            raise Conflict("A parcel came with an act that does not name it")
        if len(data) > INLINE:
            raise Conflict(f"A parcel inside a message has at most {INLINE} bytes")
        if not is_named(data, digest):
            raise Corrupt(f"A parcel's bytes do not have the digest {digest}")
