"""A journey with everybody who takes part in it simulated: what each could say at any moment."""

from __future__ import annotations

from typing import Any

from tests.journey import world
from tests.journey.world import Done, Teller, parcel

from branchline.foundation.errors import Conflict
from branchline.journey import acts, machine
from branchline.journey.machine import BUSY, ENDED, OUT, Phase, StopPhase
from branchline.journey.parcels import needed, parcels_of
from branchline.journey.request import Route

Choice = tuple[str, str]
"""What is done, and about which station."""

WORDS = ("accept", "decline", "hold", "release", "withhold", "fail", "expire")
LATER = ("skip", "retry", "finish", "forward")


class Simulation:
    """Attempt acts on a journey, keep those that fit, and check what must hold of them.

    Args:
        route: Where it goes.
    """

    def __init__(self, route: Route) -> None:
        self.tell = Teller()
        request = world.request_of(self.tell, world.document(), route)
        act = self.tell("ada", acts.JourneyRequested, request=request).act
        assert isinstance(act, acts.JourneyRequested)
        self.journey = machine.begin(act, world.IDS["ada"].id)
        self.recorded: list[acts.JourneyAct] = [act]
        self._made = 0

    def choices(self) -> list[Choice]:
        """Return everything that anybody could try, sensible or not."""
        stations = self.journey.request.route.stations
        each = [(word, name) for word in (*WORDS, *LATER) for name in stations]
        common = [("prepare", ""), ("combine", ""), ("conclude", ""), ("deliver", "")]
        wrong = [("combine-more", ""), ("cancel", ""), ("old-release", stations[0])]
        # Half of the time somebody does what he is asked to, so that journeys get far.
        sensible = [self.willing()] * len(each)
        if self.journey.phase == Phase.COMBINING:
            wrong += [("combine-more", ""), ("combine-both", "")] * 10
        if self.journey.forward_to:
            each = [("forward", name) for name in stations] * len(each)
        return [*sensible, *each, *common, *wrong]

    def willing(self) -> Choice:
        """Return what a party that is awaited would do next."""
        journey = self.journey
        if journey.phase == Phase.REQUESTED:
            return ("prepare", "")
        if journey.phase == Phase.COMBINING:
            return ("conclude", "")
        if journey.phase == Phase.WAITING:
            return ("skip", journey.stations(*(OUT - {StopPhase.SKIPPED}))[0])
        if journey.forward_to:
            return ("forward", journey.stations(StopPhase.RELEASED)[-1])
        told = journey.stations(StopPhase.TOLD)
        running = journey.stations(StopPhase.RUNNING)
        if told:
            return ("accept", told[0])
        return ("release", running[0]) if running else ("deliver-wrong", "")

    def attempt(self, choice: Choice) -> None:
        """Try an act; one that does not fit must change nothing."""
        act = self._act(*choice)
        if act is None:
            return
        before = self.journey
        try:
            self.journey = machine.step(before, act)
        except Conflict:
            assert self.journey is before
        else:
            self.recorded.append(act)

    def check(self) -> None:
        """Check what holds of every journey at every moment."""
        journey, route = self.journey, self.journey.request.route
        released = journey.stations(StopPhase.RELEASED)
        assert tuple(journey.stops) == route.stations
        assert 1 <= journey.round <= route.rounds
        if journey.phase in (Phase.COMBINING, Phase.ARRIVED, Phase.DELIVERED):
            assert len(released) >= route.quorum
            assert not journey.stations(*BUSY)
        assert (journey.result is not None) == (journey.phase in (Phase.ARRIVED, Phase.DELIVERED))
        if journey.phase == Phase.WAITING:
            assert not journey.parallel
            assert journey.stations(*(OUT - {StopPhase.SKIPPED}))
        if not journey.parallel and journey.phase not in ENDED:
            assert len(journey.stations(*BUSY)) <= 1
            assert not (journey.stations(*BUSY) and journey.forward_to)
        for stop in journey.stops.values():
            assert (stop.phase == StopPhase.RELEASED) <= (stop.parcel is not None)
            assert not stop.cleared or machine.over(journey, stop)
        self._check_inputs()
        self._check_alive()
        self._check_parcels()

    def _check_parcels(self) -> None:
        """Check that what somebody is to fetch is needed, and of what is over only the result."""
        journey = self.journey
        if journey.phase in ENDED:
            assert needed(journey) == ({journey.result} - {None})
            return
        fetched = {journey.state}
        if journey.phase == Phase.COMBINING:
            fetched |= {journey.stops[s].parcel for s in journey.stations(StopPhase.RELEASED)}
        assert fetched - {None} <= needed(journey)
        brought = [digest for act in self.recorded for digest in parcels_of(act)]
        assert needed(journey) <= set(brought[-len(journey.stops) - 1 :])

    def _check_inputs(self) -> None:
        """Check that nothing was combined but what was released in that round by who is not out."""
        current: dict[str, Any] = {}
        for act in self.recorded:
            if isinstance(act, acts.StopReleased):
                current[act.station] = act.parcel
            elif isinstance(act, acts.StopForwarded):
                assert act.station == list(current)[-1]
            elif isinstance(act, acts.JourneyCombined):
                assert act.inputs == current
                assert (act.state is None) != (act.result is None)
                current = {}
            elif isinstance(act, acts.StopAct) and self.journey.parallel:
                assert act.station not in current or isinstance(act, acts.StopFinished)

    def _check_alive(self) -> None:
        """Check that a journey that has not ended waits for somebody who can move it."""
        journey = self.journey
        awaited = (
            journey.phase in (Phase.REQUESTED, Phase.COMBINING, Phase.WAITING)
            or bool(journey.stations(*BUSY))
            or bool(journey.forward_to)
        )
        assert awaited or journey.phase in ENDED
        assert (machine.deadline(journey) is not None) == (
            journey.phase == Phase.TRAVELLING
            and (bool(journey.stations(*BUSY)) or bool(journey.forward_to))
        )

    def check_replay(self) -> None:
        """Check that the acts recorded, and they alone, give the same state."""
        first, *rest = self.recorded
        assert isinstance(first, acts.JourneyRequested)
        journey = machine.begin(first, world.IDS["ada"].id)
        for act in rest:
            journey = machine.step(journey, act)
        assert journey == self.journey

    def _act(self, word: str, name: str) -> acts.JourneyAct | None:
        done = self._done(word, name)
        assert done is None or isinstance(done.act, acts.JourneyAct)
        return None if done is None else done.act  # type: ignore[return-value]  # just checked

    def _done(self, word: str, name: str) -> Done | None:
        journey, tell = self.journey, self.tell
        self._made += 1
        round_, fresh = journey.round, parcel("fresh", self._made)
        kinds: dict[str, tuple[type[acts.StopAct], dict[str, Any]]] = {
            "decline": (acts.StopDeclined, {"by": "steward", "reason": "no"}),
            "hold": (acts.StopHeld, {"round": round_}),
            "fail": (acts.StopFailed, {"round": round_, "reason": "memory"}),
            "expire": (acts.StopExpired, {"round": round_}),
            "skip": (acts.StopSkipped, {}),
            "retry": (acts.StopRetried, {}),
            "finish": (acts.StopFinished, {}),
        }
        if word in kinds:
            kind, fields = kinds[word]
            return tell(name, kind, station=name, **fields)
        if word == "accept":
            return world.accepted(tell, name)
        if word in ("release", "old-release"):
            return world.released(tell, name, round_ - (word != "release"), parcel=fresh)
        if word == "withhold":
            return world.withheld(tell, name, round_)
        if word == "forward":
            content = journey.stops[name].content or fresh
            return tell(name, acts.StopForwarded, round=round_, parcel=fresh, content=content)
        return self._of_the_journey(word)

    def _of_the_journey(self, word: str) -> Done | None:
        journey, tell = self.journey, self.tell
        if word == "prepare":
            return tell("central", acts.JourneyPrepared, recipient="age1", custody=b"")
        if word == "cancel":
            # Rarely tried, or no journey would get far.
            return tell("ada", acts.JourneyCancelled) if self._made % 5 == 0 else None
        if word in ("deliver", "deliver-wrong"):
            right = word == "deliver" and journey.content is not None
            return tell(
                "ada", acts.JourneyDelivered, content=journey.content if right else parcel()
            )
        inputs = {s: journey.stops[s].parcel for s in journey.stations(StopPhase.RELEASED)}
        if word == "combine-more":
            everybody = journey.request.route.stations
            inputs = {s: journey.stops[s].parcel or parcel("none") for s in everybody}
        both = {"state": parcel(), "result": parcel()} if word == "combine-both" else {}
        return world.combined(
            tell, journey.round, (), final=word == "conclude", inputs=inputs, **both
        )
