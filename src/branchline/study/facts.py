"""The facts a journey is judged by; what is not known is None, and None never passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from branchline.foundation.digest import Digest
from branchline.study.decisions import Decision
from branchline.study.document import StudyDocument
from branchline.study.duo import IsKindOf


@dataclass(frozen=True, slots=True)
class TrainFacts:
    """Say which train is asked for.

    Args:
        digest: The bundle's digest, recomputed by whoever evaluates.
        signer: Key id whose signature over it was checked.
        reproducible: Whether its environment is an image that can be built again.
    """

    digest: Digest
    signer: str
    reproducible: bool = False


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """Say where the journey goes.

    Args:
        kind: parallel or sequential.
        stations: Names, in order, each once.
        quorum: Stations needed for a result (parallel).
        aggregator: "central" or a station; None on a sequential route.
    """

    kind: Literal["parallel", "sequential"]
    stations: tuple[str, ...]
    quorum: int
    aggregator: str | None = "central"


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """Say which dataset is to be used, under which terms."""

    name: str
    use_terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Hold what one evaluator knows of a journey: central or a station, each from its own copy.

    Args:
        study_digest: The study the request names.
        study: The document known under that digest.
        decisions: All decisions known about the study, in the ledger's order.
        requester: Key id whose signature over the request was checked.
        train: The train.
        route: The route.
        datasets: Per station this evaluation is for, the datasets to be used: at a station its
            own, at central those of every station on the route.
        is_kind_of: The evaluator's disease tree, if it has one.
    """

    study_digest: Digest | None = None
    study: StudyDocument | None = None
    decisions: tuple[Decision, ...] | None = None
    requester: str | None = None
    train: TrainFacts | None = None
    route: RouteFacts | None = None
    datasets: Mapping[str, tuple[DatasetFacts, ...]] | None = None
    is_kind_of: IsKindOf | None = None
