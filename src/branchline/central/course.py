"""A journey in progress at central: its state, and the acts that others need to see."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec

from branchline.foundation.digest import Digest
from branchline.foundation.errors import Conflict
from branchline.foundation.http.api import Caller
from branchline.journey import acts, machine
from branchline.journey.machine import REQUESTER, Journey, Phase, StopPhase
from branchline.journey.messages import JourneyStatus, Notice, ParcelRef, Recorded, StopStatus
from branchline.journey.parcels import needed, parcels_of
from branchline.ledger.entry import Entry


@dataclass
class Course:
    """What central holds of one journey; rebuilt from its acts at any time.

    Args:
        journey: Its state.
        request: The requester's act.
        position: Where that act stands in the ledger.
        receipt: Its receipt, once there is one.
        host: Where the study lets the aggregator run: central or a station.
        prepared: The act with the aggregator's recipient.
        releases: The act behind each station's present parcel.
        state: The act behind the present state.
        retries: The requester's act behind each station's present attempt, after the first.
        recorded: For every act its answer; a repeated act gets the same one.
        pending: How many acts the state has taken in that are not durable yet.
        parcels: Those that its acts brought, without those that nobody needs any more.
        spoiled: An act that the state has taken in could not be made durable: the state is to be
            made anew from the store, and nothing more is taken in or written until then.
    """

    journey: Journey
    request: Entry
    position: int
    receipt: str = ""
    host: str = "central"
    prepared: Entry | None = None
    releases: dict[str, Entry] = field(default_factory=dict)
    state: tuple[str, Entry] | None = None
    retries: dict[str, Entry] = field(default_factory=dict)
    recorded: dict[str, asyncio.Future[Recorded]] = field(default_factory=dict)
    pending: int = 0
    parcels: set[Digest] = field(default_factory=set)
    spoiled: bool = False

    def spoil(self) -> None:
        """Note that the state has run ahead of the disk for nothing."""
        self.spoiled = True

    @property
    def finished(self) -> bool:
        """Whether nobody has anything left to do."""
        stops = self.journey.stops.values()
        cleared = all(stop.cleared or stop.phase == StopPhase.PENDING for stop in stops)
        return cleared and self.journey.phase in machine.ENDED - {Phase.ARRIVED}

    def apply(self, act: acts.JourneyAct, entry: Entry) -> None:
        """Take one act in.

        Raises:
            Conflict: It does not fit; nothing is changed.
        """
        before = self.journey
        self.journey = machine.step(before, act)
        self.parcels.update(parcels_of(act))
        if isinstance(act, acts.JourneyPrepared):
            self.prepared = entry
        elif isinstance(act, acts.StopReleased | acts.StopForwarded):
            # Whoever gets the parcel need not know who let it go.
            self.releases[act.station], _ = acts.CLASSES.parted(entry)
            if not self.journey.parallel:
                self.state = (act.station, self.releases[act.station])
        elif isinstance(act, acts.StopRetried):
            self.retries[act.station] = entry
        elif isinstance(act, acts.JourneyCombined):
            self.state = ("", entry.disclosing(_SHOWN_TO_STATIONS))

    def notice(self, station: str) -> Notice | None:
        """Return what a station is to do now; None for nothing."""
        journey, stop = self.journey, self.journey.stops.get(station)
        if stop is None or stop.phase == StopPhase.PENDING:
            return None
        base = Notice(kind="visit", journey=journey.id, attempt=stop.attempt, round=journey.round)
        if machine.over(journey, stop):
            return None if stop.cleared else _with(base, kind="end", phase=journey.phase.value)
        if journey.phase == Phase.TRAVELLING and journey.forward_to and self._holder() == station:
            return _with(base, kind="forward", to=journey.forward_to)
        if journey.phase != Phase.TRAVELLING or stop.phase not in (
            StopPhase.TOLD,
            StopPhase.RUNNING,
        ):
            return None
        state = self._state_ref()
        if stop.phase == StopPhase.RUNNING and stop.round and stop.round < journey.round:
            return _with(base, kind="round", state=state)
        return _with(
            base,
            request=self.request,
            position=self.position,
            receipt=self.receipt,
            prepared=self.prepared,
            retried=self.retries.get(station),
            state=state,
            to="" if journey.parallel else self._next_after(station),
        )

    def host_notice(self) -> Notice | None:
        """Return what the station that hosts the aggregator is to do now; None for nothing."""
        journey = self.journey
        if not journey.parallel or self.host == "central":
            return None
        if journey.phase == Phase.REQUESTED:
            return Notice(
                kind="prepare",
                journey=journey.id,
                request=self.request,
                position=self.position,
                receipt=self.receipt,
            )
        return self._combine_notice() if journey.phase == Phase.COMBINING else None

    def _combine_notice(self) -> Notice:
        journey = self.journey
        inputs = tuple(
            ParcelRef(digest=_present(journey.stops[s].parcel), entry=self.releases[s], station=s)
            for s in journey.stations(StopPhase.RELEASED)
        )
        return Notice(
            kind="combine",
            journey=journey.id,
            round=journey.round,
            request=self.request,
            prepared=self.prepared,
            state=self._state_ref(),
            inputs=inputs,
        )

    def needs_no_more(self) -> set[Digest]:
        """Return the parcels that nobody has to fetch any more; each is named once."""
        done = self.parcels - needed(self.journey)
        self.parcels -= done
        return done

    def is_for(self, digest: Digest, caller: Caller) -> bool:
        """Tell whether a parcel of this journey is for a party: result, state, or an input."""
        journey = self.journey
        if digest not in needed(journey):
            return False
        if digest == journey.result:
            return caller.keys.id == journey.requester
        if digest == journey.state:
            return caller.name in journey.stops or caller.name == self.host
        return caller.name == self.host

    def status(self) -> JourneyStatus:
        """Return the journey as its requester sees it."""
        journey = self.journey
        route = journey.request.route
        return JourneyStatus(
            journey=journey.id,
            study=journey.request.study,
            train=journey.request.train,
            phase=journey.phase,
            round=journey.round,
            rounds=route.rounds if journey.parallel else 1,
            stops=tuple(
                StopStatus(
                    station=name,
                    phase=stop.phase,
                    attempt=stop.attempt,
                    round=stop.round,
                    reason=stop.reason,
                    since=stop.since,
                )
                for name, stop in ((s, journey.stops[s]) for s in route.stations)
            ),
            reason=journey.reason,
            result=journey.result,
            content=journey.content,
            since=journey.since,
        )

    def _state_ref(self) -> ParcelRef | None:
        if self.journey.state is None or self.state is None:
            return None
        station, entry = self.state
        return ParcelRef(digest=self.journey.state, entry=entry, station=station)

    def _holder(self) -> str:
        """The station that released the present state of a sequential journey."""
        return self.state[0] if self.state else ""

    def _next_after(self, station: str) -> str:
        stations = self.journey.request.route.stations
        later = stations[stations.index(station) + 1 :]
        pending = [s for s in later if self.journey.stops[s].phase == StopPhase.PENDING]
        return pending[0] if pending else REQUESTER


_SHOWN_TO_STATIONS = ("act", "id", "at", "journey", "round", "state", "result", "content")
"""What a station is shown of a combined round: not whose parcels went into it."""


def _with(notice: Notice, **changes: object) -> Notice:
    return msgspec.structs.replace(notice, **changes)


def _present(digest: Digest | None) -> Digest:
    if digest is None:
        raise Conflict("A released stop has no parcel")
    return digest
