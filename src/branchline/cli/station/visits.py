"""The stops at a station, as its database tells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from branchline.station.store import StationStore


@dataclass(frozen=True)
class StopSeen:
    """One visit of one train.

    Args:
        journey: Which.
        attempt: Of the visit.
        state: Where it stands.
        since: When its last event was stored.
        round: The last round of which something is stored.
        study: The study the request names.
        train: The train's digest.
        dataset: The dataset asked for here.
    """

    journey: str
    attempt: int
    state: str
    since: str
    round: int
    study: str
    train: str
    dataset: str


def visits(store: StationStore, station: str = "") -> list[StopSeen]:
    """Return all visits, oldest first."""
    from branchline.journey.stop import replay
    from branchline.station.house import peek_request

    found = []
    for notice, _ in store.visits():
        events = store.events(notice.journey, notice.attempt)
        act = peek_request(notice)
        request = None if act is None else act.request
        found.append(
            StopSeen(
                journey=notice.journey,
                attempt=notice.attempt,
                state=replay(each.event for each in events).value,
                since=events[-1].at if events else "",
                round=max((each.round for each in events), default=0),
                study="" if request is None else request.study,
                train="" if request is None else request.train,
                dataset="" if request is None else request.datasets.get(station, ""),
            )
        )
    return found
