"""Make a journey's request from a study, a train and what the requester says. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from branchline.foundation.digest import Digest
from branchline.foundation.errors import Refused
from branchline.foundation.ids import new_id
from branchline.journey.request import JourneyRequest, OnDecline, Route, check_request
from branchline.study.document import StudyDocument
from branchline.train.manifest import Manifest
from branchline.train.parameters import check_parameters


@dataclass(frozen=True)
class Wishes:
    """What the requester says of the route; what is None is as the train or study has it.

    Args:
        stations: Names, in order for a sequential route; all of the study's by default.
        datasets: For each station the dataset to use, where the study names several.
        rounds, quorum, deadline_seconds, on_decline: In place of the train's.
    """

    stations: Sequence[str] | None = None
    datasets: Mapping[str, str] | None = None
    rounds: int | None = None
    quorum: int | None = None
    deadline_seconds: int | None = None
    on_decline: OnDecline | None = None


def make_request(
    study: StudyDocument,
    train: Digest,
    author: str,
    manifest: Manifest,
    parameters: Mapping[str, Any],
    wishes: Wishes,
) -> JourneyRequest:
    """Return a request with a new journey's id, parameters complete and everything named.

    Raises:
        Refused: A station is not in the study, a dataset is unclear, or it contradicts itself.
        ParametersRefused: The parameters do not satisfy the train's schema.
    """
    stations = wishes.stations
    if stations is None:
        stations = tuple(station.name for station in study.stations)
    request = JourneyRequest(
        journey=new_id("journey"),
        study=study.id,
        study_digest=study.digest,
        train=train,
        author=author,
        route=_route(manifest, tuple(stations), wishes),
        parameters=check_parameters(manifest.parameters, parameters),
        datasets={name: _dataset(study, name, wishes.datasets or {}) for name in stations},
    )
    check_request(request)
    return request


def _route(manifest: Manifest, stations: tuple[str, ...], wishes: Wishes) -> Route:
    route = manifest.route
    if not stations:
        raise Refused("The route has no station", advice="Name at least one with --station")
    if wishes.rounds is not None and route.kind == "sequential":
        raise Refused("A sequential route has no rounds", advice="Leave --rounds out")
    return Route(
        kind=route.kind,
        stations=stations,
        rounds=_positive("rounds", wishes.rounds, route.rounds),
        quorum=_positive("quorum", wishes.quorum, route.quorum),
        deadline_seconds=_positive(
            "deadline", wishes.deadline_seconds, max(1, math.ceil(route.deadline_seconds))
        ),
        on_decline=wishes.on_decline or route.on_decline,
    )


def _positive(what: str, wished: int | None, otherwise: int) -> int:
    value = otherwise if wished is None else wished
    if value < 1:
        raise Refused(f"The {what} is {value}; at least 1 is expected")
    return value


def _dataset(study: StudyDocument, name: str, chosen: Mapping[str, str]) -> str:
    station = study.station(name)
    if station is None:
        known = ", ".join(each.name for each in study.stations)
        raise Refused(
            f"The station {name!r} is not in the study {study.id!r}", advice=f"It has {known}"
        )
    if name in chosen:
        if chosen[name] not in station.datasets:
            raise Refused(
                f"The study names no dataset {chosen[name]!r} at {name}",
                advice=f"It names {', '.join(station.datasets)}",
            )
        return chosen[name]
    if len(station.datasets) > 1:
        raise Refused(
            f"The study names several datasets at {name}: {', '.join(station.datasets)}",
            advice=f"Choose one with --dataset {name}=NAME",
        )
    return station.datasets[0]
