"""The route a train asks for: how it travels, and what it can do without."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=30 * 86_400)]


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """State a train's route; a journey names the stations.

    kind: parallel (every station, then the aggregator, for up to ``rounds`` rounds) or
        sequential (station after station).
    quorum: how many stations must contribute, to each round or in all.
    deadline_seconds: how long a round (parallel) or a stop (sequential) may take.
    on_decline: whether a sequential train waits at a station that declines, or skips it.
    """

    kind: Literal["parallel", "sequential"]
    rounds: Count = 1
    quorum: Count = 1
    deadline_seconds: Seconds = 600.0
    on_decline: Literal["wait", "skip"] = "wait"

    def __post_init__(self) -> None:
        """Refuse settings of the other kind, which would silently do nothing."""
        if self.kind == "sequential" and self.rounds != 1:
            raise ValueError("rounds belong to a parallel route")
        if self.kind == "parallel" and self.on_decline != "wait":
            raise ValueError("on_decline belongs to a sequential route")
