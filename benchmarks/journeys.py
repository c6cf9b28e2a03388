"""Send trains on journeys and take the time, as their requester sees it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.parties import STUDY
from branchline.journey.machine import Phase
from branchline.workbench.client import Client


class JourneyFailed(Exception):
    """A journey that should have arrived did not; says where it stands."""


@dataclass(frozen=True)
class Leg:
    """Seconds of one journey from its departure.

    Args:
        arrived: Until the requester knew that the result is there.
        in_hand: Until it was opened, checked and written, with the evidence beside it.
    """

    arrived: float
    in_hand: float


def time_rounds(client: Client, train: Path, rounds: int, size: int) -> list[float]:
    """Return the seconds of every round but the first, by the requester's stream of events.

    Args:
        client: Who sends it.
        train: The folder of the model train.
        rounds: How many.
        size: Parameters of the model (float32).

    Raises:
        JourneyFailed: It did not arrive.
    """
    journey = client.depart(STUDY, train, {"rounds": rounds, "size": size}, rounds=rounds)
    ended: dict[int, float] = {}
    phase, last = "", 0
    for status in journey.watch():
        now = time.perf_counter()
        phase, last = status.phase, status.round
        # The first word of round n+1 is that round n is combined, durable and sent on.
        ended.setdefault(status.round - 1, now)
        if status.phase == Phase.ARRIVED:
            ended[rounds] = now
    if phase != Phase.ARRIVED or last != rounds:
        stops = "; ".join(f"{s.station} {s.phase} {s.reason}" for s in journey.status().stops)
        raise JourneyFailed(f"A journey of {rounds} rounds is {phase} in round {last}: {stops}")
    return [ended[n] - ended[n - 1] for n in range(2, rounds + 1)]


def time_nothing(client: Client, train: Path) -> Leg:
    """Return the seconds a no-op train needs from departure; every sandbox starts cold.

    Raises:
        JourneyFailed: It did not arrive.
    """
    begun = time.perf_counter()
    journey = client.depart(STUDY, train)
    status = journey.wait()
    arrived = time.perf_counter() - begun
    if status.phase != Phase.ARRIVED:
        raise JourneyFailed(f"A journey is {status.phase}: {status.reason}")
    journey.result()
    return Leg(arrived, time.perf_counter() - begun)
