"""The life of a journey: the whole table, and random journeys against what must always hold."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.journey import world
from tests.journey.simulator import Simulation
from tests.journey.world import Teller, accepted, combined, parcel, released, withheld

from branchline.foundation.clock import parse_time
from branchline.foundation.errors import Conflict
from branchline.journey import acts, machine
from branchline.journey.machine import BUSY, ENDED, OUT, Journey, Phase, Stop, StopPhase
from branchline.journey.request import Route

JOURNEY_ACTS: tuple[type[acts.JourneyAct], ...] = (
    acts.JourneyRequested,
    acts.JourneyPrepared,
    acts.CustodyReturned,
    acts.JourneyCombined,
    acts.JourneyFailed,
    acts.JourneyCancelled,
    acts.JourneyDelivered,
)
STOP_ACTS: tuple[type[acts.StopAct], ...] = (
    acts.StopAccepted,
    acts.StopDeclined,
    acts.StopStarted,
    acts.StopHeld,
    acts.StopReleased,
    acts.StopForwarded,
    acts.StopWithheld,
    acts.StopFailed,
    acts.StopExpired,
    acts.StopSkipped,
    acts.StopRetried,
    acts.StopFinished,
)
LIVE = {Phase.REQUESTED, Phase.TRAVELLING, Phase.COMBINING, Phase.WAITING}


def start(kind: Any = "parallel", tell: Teller | None = None, **route: Any) -> Journey:
    """Return a journey that was just asked for."""
    tell = tell or Teller()
    made = Route(kind, world.STATIONS, **({"rounds": 2, "quorum": 2} | route))
    if kind == "sequential":
        made = msgspec.structs.replace(made, rounds=1)
    request = world.request_of(tell, world.document(), made)
    act = tell("ada", acts.JourneyRequested, request=request).act
    assert isinstance(act, acts.JourneyRequested)
    return machine.begin(act, world.IDS["ada"].id)


def run(journey: Journey, *done: world.Done) -> Journey:
    """Take acts in, one after the other."""
    for each in done:
        assert isinstance(each.act, acts.JourneyAct)
        journey = machine.step(journey, each.act)
    return journey


def refused(journey: Journey, done: world.Done) -> str:
    """Check that an act is refused, and return why."""
    with pytest.raises(Conflict) as caught:
        run(journey, done)
    return caught.value.refused


def prepared(tell: Teller) -> world.Done:
    """Return the act that names the aggregator's key."""
    return tell("central", acts.JourneyPrepared, recipient="age1x", custody=b"c")


def travelling(tell: Teller, **route: Any) -> Journey:
    """Return a parallel journey whose stations all run its first round."""
    begun = start("parallel", tell, **route)
    return run(begun, prepared(tell), *(accepted(tell, name) for name in world.STATIONS))


def example(tell: Teller, kind: type[acts.JourneyAct], round_: int = 1) -> world.Done:
    """Return a well formed act of a kind, about north and a round."""
    made: dict[type[acts.JourneyAct], Any] = {
        acts.JourneyRequested: lambda: tell(
            "ada", kind, request=world.request_of(tell, world.document(), Route("parallel", ("a",)))
        ),
        acts.JourneyPrepared: lambda: prepared(tell),
        acts.CustodyReturned: lambda: tell("north", kind, station="north", sealed=b""),
        acts.JourneyCombined: lambda: combined(tell, round_, (), final=True),
        acts.JourneyFailed: lambda: tell("central", kind, reason="broken"),
        acts.JourneyDelivered: lambda: tell("ada", kind, content=world.CONTENT),
        acts.StopAccepted: lambda: accepted(tell, "north"),
        acts.StopDeclined: lambda: tell("north", kind, by="steward", reason="no"),
        acts.StopStarted: lambda: tell("north", kind, record=parcel("record")),
        acts.StopReleased: lambda: released(tell, "north", round_),
        acts.StopForwarded: lambda: tell(
            "north", kind, round=round_, parcel=parcel("anew"), content=parcel("north", "content")
        ),
        acts.StopWithheld: lambda: withheld(tell, "north", round_),
        acts.StopFailed: lambda: tell("north", kind, round=round_, reason="train-error"),
    }
    if kind in made:
        return made[kind]()  # type: ignore[no-any-return]  # a table of calls
    fields = {"round": round_} if "round" in kind.__struct_fields__ else {}
    more = {"station": "north"} if issubclass(kind, acts.StopAct) else {}
    return tell("north", kind, **fields, **more)


# The table


ALLOWED_JOURNEY: dict[tuple[Phase, type[acts.Act]], Phase] = {
    (Phase.REQUESTED, acts.JourneyPrepared): Phase.TRAVELLING,
    (Phase.COMBINING, acts.JourneyCombined): Phase.ARRIVED,
    (Phase.ARRIVED, acts.JourneyDelivered): Phase.DELIVERED,
    **{(phase, acts.JourneyFailed): Phase.FAILED for phase in LIVE},
    **{(phase, acts.JourneyCancelled): Phase.CANCELLED for phase in LIVE},
    **{(phase, acts.CustodyReturned): phase for phase in LIVE},
}


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("kind", JOURNEY_ACTS)
def test_every_pair_of_phase_and_act(phase: Phase, kind: type[acts.JourneyAct]) -> None:
    """An act moves a journey as the table says, and anything else is refused."""
    tell = Teller()
    journey = msgspec.structs.replace(start(tell=tell), phase=phase, content=world.CONTENT)
    if (phase, kind) in ALLOWED_JOURNEY:
        assert run(journey, example(tell, kind)).phase == ALLOWED_JOURNEY[phase, kind]
    else:
        assert f"does not fit a journey that is {phase}" in refused(journey, example(tell, kind))


S = StopPhase
ALLOWED_STOP: dict[StopPhase, dict[type[acts.StopAct], StopPhase]] = {
    S.PENDING: {},
    S.TOLD: {
        acts.StopAccepted: S.RUNNING,
        acts.StopDeclined: S.DECLINED,
        acts.StopExpired: S.EXPIRED,
    },
    S.RUNNING: {
        acts.StopStarted: S.RUNNING,
        acts.StopHeld: S.HELD,
        acts.StopReleased: S.RELEASED,
        acts.StopWithheld: S.WITHHELD,
        acts.StopFailed: S.FAILED,
        acts.StopExpired: S.EXPIRED,
    },
    S.HELD: {
        acts.StopReleased: S.RELEASED,
        acts.StopWithheld: S.WITHHELD,
        acts.StopFailed: S.FAILED,
        acts.StopExpired: S.EXPIRED,
    },
    S.RELEASED: {},
    S.DECLINED: {acts.StopSkipped: S.SKIPPED, acts.StopRetried: S.TOLD},
    S.WITHHELD: {acts.StopSkipped: S.SKIPPED},
    S.FAILED: {acts.StopSkipped: S.SKIPPED, acts.StopRetried: S.TOLD},
    S.EXPIRED: {acts.StopSkipped: S.SKIPPED, acts.StopRetried: S.TOLD},
    S.SKIPPED: {},
}
"""Of a parallel journey under way, whose other stations still run; forwarding belongs to sequences."""


@pytest.mark.parametrize("phase", list(StopPhase))
@pytest.mark.parametrize("kind", STOP_ACTS)
@pytest.mark.parametrize("during", list(Phase))
def test_every_pair_of_stop_and_act(
    phase: StopPhase, kind: type[acts.StopAct], during: Phase
) -> None:
    """A stop's act fits while the journey travels, in the phases of the table; else it is refused."""
    tell = Teller()
    base = travelling(tell)
    stops = base.stops | {"north": Stop(phase=phase, parcel=parcel("p"))}
    journey = msgspec.structs.replace(base, stops=stops, phase=during)
    done = example(tell, kind)
    if kind is acts.StopFinished:
        if phase != S.PENDING and (during in ENDED or phase in OUT):
            assert run(journey, done).stops["north"].cleared
            assert "cannot finish" in refused(run(journey, done), done)
        else:
            assert "cannot finish" in refused(journey, done)
    elif during in (Phase.TRAVELLING, Phase.WAITING) and kind in ALLOWED_STOP[phase]:
        after = run(journey, done)
        assert after.stops["north"].phase == ALLOWED_STOP[phase][kind]
        assert {k: v for k, v in after.stops.items() if k != "north"} == {
            k: v for k, v in stops.items() if k != "north"
        }
    else:
        refused(journey, done)


def test_the_table_names_every_act() -> None:
    """No act of a journey was forgotten above."""
    assert _leaves(acts.JourneyAct) == {*JOURNEY_ACTS, *STOP_ACTS}


def _leaves(kind: type[acts.Act]) -> set[type[acts.Act]]:
    below = kind.__subclasses__()
    return {leaf for sub in below for leaf in _leaves(sub)} if below else {kind}


@pytest.mark.parametrize("round_", [0, 2])
def test_an_act_about_another_round_is_refused(round_: int) -> None:
    """Late and early answers change nothing."""
    tell = Teller()
    for kind in (acts.StopReleased, acts.StopWithheld, acts.StopFailed, acts.StopHeld):
        assert "under way is 1" in refused(travelling(tell), example(tell, kind, round_))


def test_a_station_off_the_route_is_refused() -> None:
    """Only the route's stations have stops."""
    tell = Teller()
    stray = tell("north", acts.StopExpired, station="east", round=1)
    assert "east is not on" in refused(travelling(tell), stray)


# Parallel


def test_the_round_is_combined_when_nobody_is_awaited_and_the_quorum_is_there() -> None:
    """Every station has its say first; then the quorum decides."""
    tell = Teller()
    journey = run(travelling(tell), released(tell, "north", 1), released(tell, "south", 1))
    assert journey.phase == Phase.TRAVELLING
    assert run(journey, withheld(tell, "west", 1)).phase == Phase.COMBINING
    assert run(journey, released(tell, "west", 1)).phase == Phase.COMBINING


def test_a_lost_quorum_ends_the_journey_and_says_so() -> None:
    """Fewer contributions than asked for give no result."""
    tell = Teller()
    journey = run(travelling(tell), withheld(tell, "south", 1), withheld(tell, "west", 1))
    journey = run(journey, released(tell, "north", 1))
    assert (journey.phase, journey.reason) == (
        Phase.FAILED,
        "1 stations contributed; the quorum is 2",
    )


@pytest.mark.parametrize("final", [True, False])
def test_only_exactly_what_was_released_is_combined(final: bool) -> None:
    """A parcel more, less or other is refused; so is another round."""
    tell = Teller()
    journey = travelling(tell)
    journey = run(journey, *(released(tell, s, 1) for s in ("north", "south")))
    journey = run(journey, withheld(tell, "west", 1))
    for names in (("north",), world.STATIONS, ()):
        refused(journey, combined(tell, 1, names, final=final))
    right = ("north", "south")
    refused(journey, combined(tell, 2, right, final=final))
    other = {"north": parcel("north", 1), "south": parcel("x")}
    refused(journey, combined(tell, 1, right, final=final, inputs=other))
    after = run(journey, combined(tell, 1, right, final=final))
    assert after.phase == (Phase.ARRIVED if final else Phase.TRAVELLING)


@pytest.mark.parametrize("both", [True, False])
def test_a_round_has_a_state_or_the_result(both: bool) -> None:
    """Never both, never neither."""
    tell = Teller()
    journey = run(travelling(tell, quorum=3), *(released(tell, s, 1) for s in world.STATIONS))
    done = combined(
        tell,
        1,
        world.STATIONS,
        final=True,
        state=parcel("s") if both else None,
        result=parcel("r") if both else None,
    )
    assert "either a next state or the result" in refused(journey, done)


def test_the_next_round_runs_where_the_last_was_released() -> None:
    """Who is out stays out; the others go on from the state."""
    tell = Teller()
    journey = run(travelling(tell), *(released(tell, s, 1) for s in ("north", "south")))
    journey = run(journey, withheld(tell, "west", 1))
    journey = run(journey, combined(tell, 1, ("north", "south"), final=False))
    assert (journey.round, journey.state) == (2, parcel("state", 1))
    assert [stop.phase for stop in journey.stops.values()] == [S.RUNNING, S.RUNNING, S.WITHHELD]


def test_no_result_after_the_last_round_is_a_failure() -> None:
    """The rounds asked for are the most there are."""
    tell = Teller()
    journey = run(travelling(tell, rounds=1), *(released(tell, s, 1) for s in world.STATIONS))
    ended = run(journey, combined(tell, 1, world.STATIONS, final=False))
    assert ended.phase == Phase.FAILED
    assert "no result after 1 rounds" in ended.reason


def test_a_retried_station_joins_the_round_under_way() -> None:
    """The requester may send the train again to a station that declined."""
    tell = Teller()
    begun = run(start(tell=tell), prepared(tell), accepted(tell, "north"))
    journey = run(begun, tell("south", acts.StopDeclined, by="steward", reason="later"))
    assert journey.stops["south"].reason == "later"
    journey = run(journey, tell("ada", acts.StopRetried, station="south"))
    assert (journey.stops["south"].phase, journey.stops["south"].attempt) == (S.TOLD, 2)


def test_no_station_is_sent_to_again_while_a_round_is_combined() -> None:
    """What is being combined no longer changes."""
    tell = Teller()
    begun = run(start(tell=tell), prepared(tell), accepted(tell, "north"), accepted(tell, "west"))
    journey = run(begun, tell("south", acts.StopDeclined, by="steward", reason="later"))
    journey = run(journey, released(tell, "north", 1), released(tell, "west", 1))
    assert journey.phase == Phase.COMBINING
    refused(journey, tell("ada", acts.StopRetried, station="south"))


def test_a_parallel_route_has_nothing_to_forward() -> None:
    """A released parcel cannot be replaced by another."""
    tell = Teller()
    journey = run(travelling(tell), released(tell, "north", 1))
    changed = tell("north", acts.StopForwarded, round=1, parcel=parcel("x"), content=parcel("y"))
    same = tell(
        "north",
        acts.StopForwarded,
        round=1,
        parcel=parcel("x"),
        content=parcel("north", 1, "content"),
    )
    for done in (changed, same):
        assert "not asked to forward" in refused(journey, done)


# Sequential


def test_a_sequence_goes_from_station_to_station() -> None:
    """One station at a time, each from the state of the one before, the last one's is the result."""
    tell = Teller()
    journey = start("sequential", tell)
    for number, name in enumerate(world.STATIONS):
        assert journey.stations(*BUSY) == [name]
        later = world.STATIONS[number + 1 :]
        assert journey.stations(S.PENDING) == list(later)
        journey = run(journey, accepted(tell, name), released(tell, name, 1))
        assert journey.state == parcel(name, 1)
    assert (journey.phase, journey.result) == (Phase.ARRIVED, parcel("west", 1))
    assert journey.content == parcel("west", 1, "content")


@pytest.mark.parametrize("on_decline", ["wait", "skip"])
def test_a_sequence_waits_or_skips_as_its_route_says(on_decline: str) -> None:
    """At a station that is out the train waits for the requester's word, or goes on."""
    tell = Teller()
    journey = start("sequential", tell, on_decline=on_decline)
    journey = run(journey, tell("north", acts.StopDeclined, by="steward", reason="no"))
    if on_decline == "wait":
        assert (journey.phase, journey.stations(*BUSY)) == (Phase.WAITING, [])
        journey = run(journey, tell("ada", acts.StopSkipped, station="north"))
    assert (journey.phase, journey.stations(*BUSY)) == (Phase.TRAVELLING, ["south"])


def test_a_waiting_sequence_can_be_sent_again() -> None:
    """A retry asks the same station anew."""
    tell = Teller()
    journey = run(start("sequential", tell), accepted(tell, "north"))
    journey = run(journey, tell("north", acts.StopFailed, round=1, reason="memory"))
    journey = run(journey, tell("ada", acts.StopRetried, station="north"))
    assert (journey.phase, journey.stations(*BUSY)) == (Phase.TRAVELLING, ["north"])
    assert journey.stops["north"].attempt == 2


def past_a_gap(tell: Teller) -> Journey:
    """Return a sequence that north released and south was skipped in."""
    journey = start("sequential", tell, on_decline="skip")
    journey = run(journey, accepted(tell, "north"), released(tell, "north", 1))
    return run(journey, tell("south", acts.StopDeclined, by="steward", reason="no"))


def forward(tell: Teller, name: str = "north", **changes: Any) -> world.Done:
    """Return a station's act of sealing its output anew."""
    fields = {"round": 1, "parcel": parcel("anew"), "content": parcel("north", 1, "content")}
    return tell(name, acts.StopForwarded, **(fields | changes))


def test_past_a_gap_the_last_state_is_sealed_anew() -> None:
    """The state was sealed for the skipped station; its holder seals it for the next."""
    tell = Teller()
    journey = past_a_gap(tell)
    assert (journey.forward_to, journey.stations(*BUSY)) == ("west", [])
    journey = run(journey, forward(tell))
    assert (journey.state, journey.forward_to) == (parcel("anew"), "")
    assert journey.stations(*BUSY) == ["west"]


def test_after_the_last_station_the_state_is_sealed_for_the_requester() -> None:
    """A sequence whose last station is out ends with the holder's state."""
    tell = Teller()
    journey = run(start("sequential", tell, on_decline="skip"), accepted(tell, "north"))
    journey = run(journey, released(tell, "north", 1), accepted(tell, "south"))
    journey = run(journey, released(tell, "south", 1))
    journey = run(journey, tell("west", acts.StopDeclined, by="steward", reason="no"))
    assert journey.forward_to == machine.REQUESTER
    content = parcel("south", 1, "content")
    refused(journey, forward(tell))  # north is not who holds it
    journey = run(journey, forward(tell, "south", content=content))
    assert (journey.phase, journey.result) == (Phase.ARRIVED, parcel("anew"))


def test_forwarding_needs_to_be_asked_for_and_keeps_the_content() -> None:
    """Otherwise a station could replace what others did, or hand on what it never released."""
    tell = Teller()
    journey = past_a_gap(tell)
    assert "something else" in refused(journey, forward(tell, content=parcel("more")))
    after = run(journey, forward(tell))
    assert "not asked" in refused(after, forward(tell))


def test_the_requesters_word_about_a_station_left_behind_comes_too_late() -> None:
    """Two stations of a sequence never run at the same time."""
    tell = Teller()
    journey = run(past_a_gap(tell), forward(tell))
    for kind in (acts.StopRetried, acts.StopSkipped):
        assert "too late" in refused(journey, tell("ada", kind, station="south"))


def test_a_sequence_without_its_quorum_fails() -> None:
    """As soon as too few stations are left, there is no use in going on."""
    tell = Teller()
    journey = start("sequential", tell, on_decline="skip", quorum=3)
    journey = run(journey, tell("north", acts.StopDeclined, by="steward", reason="no"))
    assert journey.phase == Phase.FAILED


# Time


@pytest.mark.parametrize("kind", ["parallel", "sequential"])
def test_a_round_has_its_time_from_when_stations_were_told(kind: str) -> None:
    """Accepting and holding do not give a station more time."""
    tell = Teller()
    journey = start(kind, tell, deadline_seconds=60)
    if kind == "parallel":
        assert machine.deadline(journey) is None
        journey = run(journey, prepared(tell))
    at = machine.deadline(journey)
    assert at == parse_time(journey.since) + timedelta(seconds=60)
    journey = run(journey, accepted(tell, "north"), tell("north", acts.StopHeld, round=1))
    assert machine.deadline(journey) == at


def test_a_retried_station_has_its_whole_time() -> None:
    """The clock starts again for who is sent to again."""
    tell = Teller()
    journey = run(travelling(tell), released(tell, "north", 1))
    journey = run(journey, tell("west", acts.StopFailed, round=1, reason="memory"))
    before = machine.deadline(journey)
    retry = tell("ada", acts.StopRetried, station="west")
    journey = run(journey, retry)
    assert before is not None
    assert machine.deadline(journey) == parse_time(retry.act.at) + timedelta(seconds=600)


def test_nobody_awaited_has_no_deadline() -> None:
    """Combining is not the stations' time."""
    tell = Teller()
    journey = run(travelling(tell), *(released(tell, s, 1) for s in world.STATIONS))
    assert machine.deadline(journey) is None


def test_a_forward_that_is_awaited_has_a_deadline() -> None:
    """The station that holds the last state has as long to seal it anew as a stop may take."""
    journey = past_a_gap(Teller())
    assert journey.forward_to
    assert machine.deadline(journey) == parse_time(journey.since) + timedelta(seconds=600)


def test_expired_stations_are_out_and_the_journey_goes_on() -> None:
    """The deadline decides for who is silent."""
    tell = Teller()
    journey = run(travelling(tell), *(released(tell, s, 1) for s in ("north", "west")))
    journey = run(journey, tell("central", acts.StopExpired, station="south", round=1))
    assert (journey.phase, journey.stops["south"].phase) == (Phase.COMBINING, S.EXPIRED)
    assert journey.stops["south"].reason == "No answer before the deadline"


# Random journeys


@settings(max_examples=150)
@given(data=st.data(), kind=st.sampled_from(["parallel", "sequential"]))
def test_whatever_happens_what_must_hold_holds(data: st.DataObject, kind: str) -> None:
    """Any sequence of acts, the refused ones included, keeps every promise and can be replayed."""
    route = Route(
        kind,  # type: ignore[arg-type]  # one of the two
        world.STATIONS,
        rounds=data.draw(st.integers(1, 3)) if kind == "parallel" else 1,
        quorum=data.draw(st.integers(1, 3)),
        on_decline=data.draw(st.sampled_from(["wait", "skip"])),
    )
    simulation = Simulation(route)
    for number in range(data.draw(st.integers(5, 40))):
        simulation.attempt(data.draw(st.sampled_from(simulation.choices()), label=str(number)))
        simulation.check()
    simulation.check_replay()


@pytest.mark.parametrize(("kind", "quorum"), list(product(["parallel", "sequential"], [1, 2, 3])))
def test_a_willing_journey_always_arrives(kind: Any, quorum: int) -> None:
    """If everybody does what is asked for, the result comes."""
    simulation = Simulation(Route(kind, world.STATIONS, quorum=quorum, rounds=1))
    for _ in range(20):
        simulation.attempt(simulation.willing())
    simulation.check()
    assert simulation.journey.phase == Phase.ARRIVED
