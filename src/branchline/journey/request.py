"""A journey's request: which train, over which route, under which study, for whom."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from branchline.foundation.canonical import digest_of_json
from branchline.foundation.digest import Digest, WireDigest
from branchline.foundation.errors import Refused
from branchline.foundation.ids import Id, Name

MAX_STATIONS = 50
MAX_ROUNDS = 10_000

OnDecline = Literal["wait", "skip"]


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a train goes.

    Args:
        kind: ``parallel`` (every station, then an aggregator, for rounds) or ``sequential``.
        stations: Names of the stations; in order for a sequential route.
        rounds: The most rounds of a parallel route.
        quorum: How many stations must contribute (in every round, or by the end of a sequence).
        deadline_seconds: How long one round, or one stop of a sequence, may take.
        on_decline: Sequential: wait for the requester's word, or skip the station at once.
    """

    kind: Literal["parallel", "sequential"]
    stations: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=MAX_STATIONS)]
    rounds: Annotated[int, msgspec.Meta(ge=1, le=MAX_ROUNDS)] = 1
    quorum: Annotated[int, msgspec.Meta(ge=1, le=MAX_STATIONS)] = 1
    deadline_seconds: Annotated[int, msgspec.Meta(ge=1, le=31_536_000)] = 600
    on_decline: OnDecline = "wait"


class JourneyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a requester signs when a train departs.

    Args:
        journey: The journey's new identifier.
        study: Name of the study.
        study_digest: The revision of the study meant.
        train: The bundle's digest.
        author: The JWS with which the train's author signed the bundle.
        route: Where it goes.
        parameters: Checked against the train's JSON Schema at every station.
        datasets: For each station the dataset that plays each part of the contract.
    """

    journey: Id
    study: Name
    study_digest: WireDigest
    train: WireDigest
    author: str
    route: Route
    parameters: dict[str, Any]
    datasets: dict[Name, Name]

    @property
    def digest(self) -> Digest:
        """The digest of the request's canonical JSON."""
        return digest_of_json(self)


def check_request(request: JourneyRequest) -> None:
    """Refuse a request that contradicts itself.

    Raises:
        Refused: A station twice, a quorum beyond the stations, a dataset missing for a station.
    """
    route = request.route
    if len(set(route.stations)) != len(route.stations):
        raise Refused("A station stands twice on the route", advice="Name every station once")
    if route.quorum > len(route.stations):
        raise Refused(
            f"The quorum is {route.quorum}, but the route has {len(route.stations)} stations"
        )
    if missing := [s for s in route.stations if s not in request.datasets]:
        raise Refused(f"No dataset is named for {', '.join(missing)}")
