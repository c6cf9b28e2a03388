"""Which parcels an act brings, and which of a journey's parcels somebody still has to fetch; pure."""

from __future__ import annotations

from branchline.foundation.digest import Digest
from branchline.journey import acts
from branchline.journey.machine import ENDED, Journey, StopPhase


def parcels_of(act: acts.JourneyAct) -> list[Digest]:
    """Return the parcels an act speaks of, which its actor must have brought."""
    if isinstance(act, acts.StopReleased | acts.StopForwarded):
        return [act.parcel]
    if isinstance(act, acts.JourneyCombined):
        return [d for d in (act.state, act.result) if d is not None]
    return []


def needed(journey: Journey) -> set[Digest]:
    """Return the parcels that somebody has to fetch: the result; before it, state and updates.

    The updates of a round are needed until it is combined. Their names stay in the ledger; the
    bytes can be opened by nobody once the journey's key is gone.
    """
    if journey.phase in ENDED:
        found = {journey.result}
    else:
        released = (journey.stops[name] for name in journey.stations(StopPhase.RELEASED))
        updates = {stop.parcel for stop in released} if journey.parallel else set()
        found = {journey.state, *updates}
    return {digest for digest in found if digest is not None}
