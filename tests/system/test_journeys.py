"""Whole journeys over real HTTP, from the request to the result."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
import pytest_asyncio
from tests.system import world as w
from tests.system.trains import CHAIN, MEAN

from branchline.disclosure.findings import SafeReason
from branchline.disclosure.policy import ReleasePolicy
from branchline.disclosure.rules import Thresholds
from branchline.foundation.keys import Identity
from branchline.journey import acts, messages
from branchline.journey.machine import ENDED, Phase, StopPhase

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SLOW = {"parameters": {"seconds": 30}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[w.World]:
    """Three stations with sixty patients each."""
    laid_out = w.here(tmp_path_factory.mktemp("world"))
    async with w.inhabited(laid_out, "north", "south", "west") as inhabited:
        yield inhabited


def phases(status: messages.JourneyStatus) -> dict[str, StopPhase]:
    """Return where each stop stands."""
    return {stop.station: stop.phase for stop in status.stops}


def reasons(status: messages.JourneyStatus) -> dict[str, str]:
    """Return what the requester is told of each stop."""
    return {stop.station: stop.reason for stop in status.stops}


async def test_a_parallel_journey_gives_the_pooled_result(world: w.World) -> None:
    """Two rounds over three stations end in the mean of the pooled table."""
    journey = await world.depart(MEAN)
    result = await world.arrived(journey)
    assert result == {"mean": pytest.approx(w.mean_age(1, 2, 3), rel=1e-12), "rounds": 2}
    status = await world.status(journey)
    await world.tell(acts.JourneyDelivered, journey, content=status.content)
    assert (await world.status(journey)).phase == Phase.DELIVERED


async def test_a_sequential_journey_hands_each_state_to_the_next(world: w.World) -> None:
    """Each station adds to what the one before released; the last one's goes to the requester."""
    result = await world.arrived(await world.depart(CHAIN))
    assert list(result["sums"]) == pytest.approx([180, w.sum_age(1, 2, 3)])


async def test_several_journeys_at_once_do_not_mix(world: w.World) -> None:
    """Three journeys under way together each give their own result."""
    rounds = (1, 2, 3)
    journeys = [await world.depart(MEAN, parameters={"rounds": n}) for n in rounds]
    results = await asyncio.gather(*(world.arrived(journey) for journey in journeys))
    assert [result["rounds"] for result in results] == [1, 2, 3]


async def test_a_decline_reaches_the_requester_with_its_reason(world: w.World) -> None:
    """A station that withdrew says so, and a journey short of its quorum fails."""
    world.withdraw("south")
    try:
        status = await world.ended(await world.depart(MEAN))
    finally:
        world.withdraw("south", withdrawn=False)
    assert status.phase == Phase.FAILED
    assert phases(status)["south"] == StopPhase.DECLINED
    assert reasons(status)["south"] == "The station has withdrawn from this study"


async def test_a_trains_own_checks_are_held_against_the_schema(world: w.World) -> None:
    """A dataset that falls short declines before any data are bound, and says in what."""
    checks = """
[data.patients]
table = "patients"
columns.age = { type = "integer", minimum = 0, maximum = 19 }
"""
    train = dataclasses.replace(MEAN, files={"checks.toml": checks.encode()})
    status = await world.ended(await world.depart(train))
    assert set(phases(status).values()) == {StopPhase.DECLINED}
    for reason in reasons(status).values():
        assert reason.startswith("The dataset does not meet the train's checks: Table 'patients'")
        assert "out of range: expected 0..19, got " in reason


async def test_a_declined_stop_is_retried(world: w.World) -> None:
    """The requester sends the train again, and the sequence goes on where it waited."""
    world.withdraw("south")
    try:
        journey = await world.depart(CHAIN)
        status = await world.until(journey, lambda s: s.phase == Phase.WAITING)
    finally:
        world.withdraw("south", withdrawn=False)
    assert phases(status) == {"north": "released", "south": "declined", "west": "pending"}
    await world.tell(acts.StopRetried, journey, station="south")
    result = await world.arrived(journey)
    assert list(result["sums"]) == pytest.approx([180, w.sum_age(1, 2, 3)])
    assert next(s for s in (await world.status(journey)).stops if s.station == "south").attempt == 2


@pytest.mark.parametrize("out", ["south", "west"])
async def test_a_skipped_station_is_left_out(world: w.World, out: str) -> None:
    """Past a gap the last state is sealed anew: to the next station, or to the requester."""
    world.withdraw(out)
    try:
        journey = await world.depart(CHAIN, quorum=2)
        await world.until(journey, lambda s: s.phase == Phase.WAITING)
        await world.tell(acts.StopSkipped, journey, station=out)
        result = await world.arrived(journey)
    finally:
        world.withdraw(out, withdrawn=False)
    rest = [n for n, name in enumerate(world.homes, 1) if name != out]
    assert list(result["sums"]) == pytest.approx([120, w.sum_age(*rest)])


async def test_a_route_may_skip_by_itself(world: w.World) -> None:
    """With on_decline = skip nobody is asked."""
    world.withdraw("south")
    try:
        result = await world.arrived(await world.depart(CHAIN, quorum=2, on_decline="skip"))
    finally:
        world.withdraw("south", withdrawn=False)
    assert list(result["sums"]) == pytest.approx([120, w.sum_age(1, 3)])


async def test_withheld_is_not_declined(world: w.World) -> None:
    """An output the checks keep back is told as withheld, with a fixed sentence; the quorum goes on."""
    world.settle("west", thresholds=Thresholds(min_group=1000))
    await world.restart("west")
    try:
        journey = await world.depart(MEAN, quorum=2)
        result = await world.arrived(journey)
    finally:
        world.settle("west", thresholds=Thresholds())
        await world.restart("west")
    status = await world.status(journey)
    assert phases(status)["west"] == StopPhase.WITHHELD
    assert reasons(status)["west"] == SafeReason.GROUP
    assert result["mean"] == pytest.approx(w.mean_age(1, 2), rel=1e-12)


async def test_a_cancelled_journey_is_cleared_away_everywhere(world: w.World) -> None:
    """Every station ends its sandbox and says that it has cleared away."""
    journey = await world.depart(MEAN, **SLOW)
    await world.until(journey, lambda s: set(phases(s).values()) == {StopPhase.RUNNING})
    await world.tell(acts.JourneyCancelled, journey, reason="A mistake")
    status = await world.ended(journey)
    assert (status.phase, status.reason) == (Phase.CANCELLED, "A mistake")
    await finished(world, journey, 3)
    # Also where the station was still extracting its data and starting its sandbox.
    for home in world.homes.values():
        assert not list((home.folder / "runs").iterdir())


async def finished(world: w.World, journey: str, count: int) -> None:
    """Wait until so many stations have cleared a journey away."""
    await w.eventually(
        lambda: (
            count
            == len(
                [a for _, a in world.history(journey=journey) if isinstance(a, acts.StopFinished)]
            )
        )
    )


async def test_a_person_releases_or_withholds_what_is_held(world: w.World) -> None:
    """Where nothing leaves by itself, a person's word is awaited in every round."""
    world.settle("north", release=ReleasePolicy(auto_release=frozenset()))
    await world.restart("north")
    try:
        released = await world.depart(MEAN, parameters={"rounds": 1})
        withheld = await world.depart(MEAN, quorum=2)
        for journey in (released, withheld):
            await world.until(journey, lambda s: phases(s)["north"] == StopPhase.HELD)
        world.decide_at("north", released, "release")
        world.decide_at("north", withheld, "withhold", "Too detailed")
        result = await world.arrived(released)
        without = await world.arrived(withheld)
    finally:
        world.settle("north", release=ReleasePolicy())
        await world.restart("north")
    assert result["mean"] == pytest.approx(w.mean_age(1, 2, 3), rel=1e-12)
    assert without["mean"] == pytest.approx(w.mean_age(2, 3), rel=1e-12)
    assert reasons(await world.status(withheld))["north"] == "Too detailed"
    by = {a.by for _, a in world.history(journey=released) if isinstance(a, acts.StopReleased)}
    assert by == {"olga", "policy"}


async def test_a_person_accepts_or_declines(world: w.World) -> None:
    """A station may ask a person before it lets a train in, also across a restart."""
    world.settle("south", accept="person")
    await world.restart("south")
    try:
        accepted = await world.depart(MEAN, parameters={"rounds": 1})
        declined = await world.depart(MEAN, quorum=2)
        for journey in (accepted, declined):
            await asked(world, "south", journey)
        await world.restart("south")
        world.decide_at("south", accepted, "accept")
        world.decide_at("south", declined, "decline", "Not in May")
        assert (await world.arrived(accepted))["rounds"] == 1
        await world.arrived(declined)
    finally:
        world.settle("south", accept="policy")
        await world.restart("south")
    assert reasons(await world.status(declined))["south"] == "Not in May"


async def asked(world: w.World, station: str, journey: str) -> None:
    """Wait until a station asks a person; only its own store knows."""
    store = world.station_store(station)
    await w.eventually(lambda: "needs-person" in [e.event for e in store.events(journey, 1)])
    store.engine.dispose()


async def test_a_station_that_is_down_expires(world: w.World) -> None:
    """The quorum goes on at the deadline; the station, back again, finds nothing to do."""
    await world.stations["west"].stop()
    try:
        journey = await world.depart(MEAN, quorum=2, deadline_seconds=8, parameters={"rounds": 1})
        status = await world.ended(journey)
    finally:
        await world.stations["west"].start()
    assert status.phase == Phase.ARRIVED, status
    assert phases(status)["west"] == StopPhase.EXPIRED
    assert reasons(status)["west"] == "No answer before the deadline"


async def test_a_station_is_told_without_asking(
    world: w.World, record_property: Callable[[str, object], None]
) -> None:
    """One connection, opened before, brings the notice: nothing is polled."""
    station = Identity.load_or_create(world.homes["north"].folder / "keys")
    listener = world.member("listener", station).client
    request = await world.request(MEAN, parameters={"rounds": 1})
    told: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def listen() -> None:
        async for event in listener.events("/v1/inbox"):
            if messages.is_witness_call(event):
                continue
            notice = msgspec.json.decode(event, type=messages.Notice)
            if notice.journey == request.journey and not told.done():
                told.set_result(time.perf_counter())

    # The very first event shows that the line is open: an older journey of this station.
    held = await world.depart(MEAN, **SLOW)
    line = asyncio.create_task(listen())
    await world.until(held, lambda s: phases(s)["north"] == StopPhase.RUNNING)
    asked_at = time.perf_counter()
    await world.ask(request)
    async with asyncio.timeout(w.PATIENCE):
        seconds = await told - asked_at
    record_property("seconds_until_told", seconds)
    line.cancel()
    await asyncio.gather(line, return_exceptions=True)
    await world.tell(acts.JourneyCancelled, held)
    assert (await world.ended(request.journey)).phase in ENDED


async def test_a_journey_that_names_no_parameters_has_the_defaults_everywhere(
    world: w.World,
) -> None:
    """A default of the train's schema holds for the aggregator as for the stations."""
    request = await world.request(MEAN)
    await world.ask(msgspec.structs.replace(request, parameters={}))
    assert (await world.arrived(request.journey))["rounds"] == 2


async def test_every_act_is_recorded_once(world: w.World) -> None:
    """After all of this, no act stands twice in the ledger."""
    ids = [act.id for _, act in world.history()]
    assert len(ids) == len(set(ids)) > 100
