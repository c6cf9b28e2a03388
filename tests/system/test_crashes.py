"""kill -9 at any point of a journey: nothing acknowledged is lost or doubled, and it ends well."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from tests.system import world as w
from tests.system.trains import CHAIN, MEAN, Train, parameters_train

from branchline.foundation.ids import new_id
from branchline.foundation.sealing import unseal
from branchline.journey import acts, machine, messages
from branchline.journey.machine import Phase, StopPhase
from branchline.journey.request import JourneyRequest
from branchline.journey.verify import verify_evidence
from branchline.station import store as station_tables
from branchline.station.visit import NOT_RUN, SAFE_FAILURES

pytestmark = pytest.mark.slow

LARGE = parameters_train(20_000)
REQUESTER = str(Path(__file__).with_name("requester.py"))
TRAINS: dict[str, Train] = {"mean": MEAN, "chain": CHAIN, "large": LARGE}
KILLED = "The train ended before it was done"


@dataclass
class Story:
    """What one seed does, told when it fails."""

    seed: int
    world: w.World
    request: JourneyRequest
    acknowledged: dict[str, messages.Recorded] = field(default_factory=dict)
    struck: list[str] = field(default_factory=list)
    sandboxes: set[str] = field(default_factory=set)


def processes_below(pid: int) -> Iterator[int]:
    """Yield the processes that a process has started, and theirs."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            yield int(child)
            yield from processes_below(int(child))


def sandbox_of(program: w.There) -> list[int]:
    """Return the processes of the sandboxes a program has running."""
    assert program.process is not None
    return [
        pid for pid in processes_below(program.process.pid) if b"branchline_inside" in command(pid)
    ]


def sleeps(pid: int) -> bool:
    """Tell whether a process is in a sleep of its own making, as the train here is."""
    try:
        return "nanosleep" in Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return False


def command(pid: int) -> bytes:
    """Return what a process was started as; nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def there(program: w.Program) -> w.There:
    """Return a program as a process."""
    assert isinstance(program, w.There)
    return program


def kill_sandbox(story: Story, name: str, rng: random.Random) -> None:
    """Kill one process of a sandbox that a program has running, if it has one."""
    program = there(story.world.central if name == "central" else story.world.stations[name])
    found = sandbox_of(program)
    if found:
        victim = rng.choice(found)
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return
        story.sandboxes.add(name)
        story.struck.append(f"sandbox of {name}")


async def strike(story: Story, rng: random.Random) -> None:
    """Kill something, and start it again."""
    names = ["central", *story.world.stations]
    name = rng.choice(names)
    if rng.random() < 0.2:
        kill_sandbox(story, name, rng)
        return
    story.struck.append(name)
    program = there(story.world.central if name == "central" else story.world.stations[name])
    await program.kill()
    await asyncio.sleep(rng.choice([0.0, 0.2]))
    await program.start()


async def ask(story: Story, rng: random.Random) -> None:
    """Ask for the journey from a process that may be killed meanwhile; then ask again."""
    world, request = story.world, story.request
    act = acts.JourneyRequested(
        id=new_id("act"), at=world.pi.at(), journey=request.journey, request=request
    )
    message = messages.ActMessage(entry=acts.sign_act(act, world.pi.identity))
    folder = world.folder / "alice"
    (folder / "act.json").write_bytes(msgspec.json.encode(message))
    if rng.random() < 0.5:
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, REQUESTER),
            *(world.url, str(folder), str(folder / "act.json"), act.id),
            stdout=asyncio.subprocess.PIPE,
        )
        await asyncio.sleep(rng.uniform(0.2, 0.6))
        if client.returncode is None:
            client.kill()
            story.struck.append("requester")
        await client.communicate()
        assert client.returncode in (0, -signal.SIGKILL), "the requester's client did not work"
    recorded = await world.pi.send(message.entry, act.id)
    story.acknowledged[act.id] = recorded


async def live_through(world: w.World, seed: int) -> Story:
    """Run one journey while programs are killed; check everything that must hold."""
    rng = random.Random(seed)
    kind = ("mean", "chain", "large")[seed % 3]
    train = TRAINS[kind]
    rounds = rng.choice([2, 4]) if train.route == "parallel" else 1
    parameters = {"rounds": rounds, "seconds": 0.1}
    # Who is killed answers late, not never: a deadline would decide by the machine's speed.
    request = await world.request(
        train, quorum=1, parameters=parameters, on_decline="skip", deadline_seconds=600
    )
    story = Story(seed, world, request)
    await ask(story, rng)
    watching = asyncio.create_task(world.ended(request.journey))
    for _ in range(rng.randint(1, 3)):
        await asyncio.sleep(rng.uniform(0.0, 1.0))
        await strike(story, rng)
    try:
        status = await watching
        await check_end(story, status)
        check_history(story, status)
    except AssertionError as error:
        logs = [world.folder / f"{name}.log" for name in ("central", *world.stations)]
        tails = "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in logs)
        raise AssertionError(f"seed {seed}, struck {story.struck}: {error}\n{tails}") from error
    return story


async def check_end(story: Story, status: messages.JourneyStatus) -> None:
    """The journey arrives with the right result, unless a sandbox was killed too often."""
    released = [stop.station for stop in status.stops if stop.phase == StopPhase.RELEASED]
    for stop in status.stops:
        if stop.phase != StopPhase.RELEASED:
            assert stop.station in story.sandboxes, (stop, status)
            assert stop.phase == StopPhase.FAILED, status
            assert stop.reason in (*SAFE_FAILURES.values(), NOT_RUN), status
    if status.phase != Phase.ARRIVED:
        assert status.phase == Phase.FAILED, status
        assert story.sandboxes, status
        assert story.world.approved.aggregator in story.sandboxes or not released, status
        return
    result = await story.world.open(status)
    numbers = [n for n, name in enumerate(story.world.homes, 1) if name in released]
    if "mean" in result:
        assert result["mean"] == pytest.approx(w.mean_age(*numbers), rel=1e-12)
    elif "sums" in result:
        assert list(result["sums"]) == pytest.approx([60 * len(numbers), w.sum_age(*numbers)])
    else:
        assert result["first"] == pytest.approx(w.sum_age(*numbers))
    await check_proof(story, status)


async def check_proof(story: Story, status: messages.JourneyStatus) -> None:
    """What came through the crashes can be verified offline."""
    world = story.world
    bundle = bytes(await world.pi.client.get_bytes(f"/v1/trains/{story.request.train}"))
    sealed = await world.pi.client.get_bytes(f"/v1/parcels/{status.result}")
    payload = bytes(unseal(sealed, world.pi.identity.seal_private))
    evidence = await world.evidence(story.request.journey)
    verify_evidence(evidence, story.request, bytes(bundle), payload).require()


def check_history(story: Story, status: messages.JourneyStatus) -> None:
    """Nothing acknowledged is lost or doubled, and the history leads where the journey stands."""
    world, journey = story.world, story.request.journey
    # Stations are still clearing away: what they were told is read before the ledger, and what
    # they have sent after it.
    told = {station: outbox_of(world, station, "recorded") for station in world.homes}
    everything = world.history()
    ids = [act.id for _, act in everything]
    assert len(ids) == len(set(ids)), "an act stands twice in the ledger"
    for act_id, recorded in story.acknowledged.items():
        assert ids[recorded.position] == act_id, "an acknowledged act is not where it was"
    for station in world.homes:
        assert told[station] <= set(ids), f"{station} was told of acts that are gone"
        own = {act.id for party, act in everything if party == station and in_journey(act)}
        assert own <= outbox_of(world, station)
    course = [(party, act) for party, act in everything if getattr(act, "journey", "") == journey]
    _check_replay(world, course, status)
    _check_once(course)


def outbox_of(world: w.World, station: str, *outcomes: str) -> set[str]:
    """Return the acts a station has sent, or those with one of these outcomes."""
    store = world.station_store(station)
    with store.engine.connect() as connection:
        rows = connection.execute(select(station_tables.outbox)).all()
    store.engine.dispose()
    return {row.act for row in rows if not outcomes or row.outcome in outcomes}


def in_journey(act: acts.Act) -> bool:
    """Tell whether an act belongs to a journey."""
    return isinstance(act, acts.JourneyAct)


def _check_replay(
    world: w.World, course: list[tuple[str, acts.Act]], status: messages.JourneyStatus
) -> None:
    (_, first), *rest = course
    assert isinstance(first, acts.JourneyRequested)
    replayed = machine.begin(first, world.pi.identity.id)
    for _, act in rest:
        assert isinstance(act, acts.JourneyAct)
        replayed = machine.step(replayed, act)
    assert replayed.phase == status.phase
    assert {name: stop.phase for name, stop in replayed.stops.items()} == {
        stop.station: stop.phase for stop in status.stops
    }


def _check_once(course: list[tuple[str, acts.Act]]) -> None:
    done: Counter[tuple[object, ...]] = Counter()
    for party, act in course:
        if isinstance(act, acts.StopReleased | acts.JourneyCombined):
            done[(type(act).__name__, party, act.round)] += 1
        elif isinstance(act, acts.StopAccepted | acts.StopFinished | acts.JourneyPrepared):
            done[(type(act).__name__, party)] += 1
    assert set(done.values()) == {1}, done


async def lives(tmp_path: Path, seeds: range, **study: Any) -> None:
    """Live through many seeds in one world; at its end the ledger is audited from its first byte."""
    laid_out = w.there(tmp_path)
    async with w.inhabited(laid_out, settings=w.LENIENT, **study) as world:
        for seed in seeds:
            await live_through(world, seed)
        await there(world.central).kill()
        await world.central.start()
        assert len(world.history()) > 20


@pytest.mark.parametrize("block", range(2))
async def test_kill_at_random_points(tmp_path: Path, block: int) -> None:
    """A few seeds of kill -9 of central, stations, sandboxes and the requester's client."""
    await lives(tmp_path, range(2 * block, 2 * block + 2))


@pytest.mark.soak
@pytest.mark.parametrize("block", range(20))
async def test_kill_at_random_points_over_many_seeds(tmp_path: Path, block: int) -> None:
    """The same over many seeds, ten in one world."""
    await lives(tmp_path, range(1000 + 10 * block, 1010 + 10 * block))


@pytest.mark.soak
@pytest.mark.parametrize("block", range(5))
async def test_kill_at_random_points_with_the_aggregator_at_a_station(
    tmp_path: Path, block: int
) -> None:
    """The same where one of the stations that are killed combines."""
    await lives(tmp_path, range(3000 + 10 * block, 3010 + 10 * block), aggregator="south")


async def test_a_station_that_combines_is_killed_while_it_does(tmp_path: Path) -> None:
    """It has its key back from its own disk, sealed to itself, and the journey arrives."""
    async with w.inhabited(w.there(tmp_path), settings=w.LENIENT, aggregator="south") as world:
        journey = await world.depart(LARGE, parameters={"rounds": 3, "seconds": 0.5})
        await world.until(journey, lambda s: s.phase == Phase.COMBINING and s.round == 2)
        await there(world.stations["south"]).kill()
        await world.stations["south"].start()
        result = await world.arrived(journey)
        assert result == {"first": pytest.approx(w.sum_age(1, 2)), "rounds": 3}
        prepared = [
            a for _, a in world.history(journey=journey) if isinstance(a, acts.JourneyPrepared)
        ]
        assert len(prepared) == 1


async def test_the_aggregators_key_comes_back_from_the_stations(tmp_path: Path) -> None:
    """Central, killed while updates wait to be combined, opens them with the key stations kept."""
    async with w.inhabited(w.there(tmp_path), settings=w.LENIENT) as world:
        journey = await world.depart(LARGE, parameters={"rounds": 3, "seconds": 0.5})
        await world.until(journey, lambda s: s.phase == Phase.COMBINING and s.round == 2)
        await there(world.central).kill()
        await world.central.start()
        result = await world.arrived(journey)
        assert result == {"first": pytest.approx(w.sum_age(1, 2)), "rounds": 3}
        kinds = [type(act).__name__ for _, act in world.history(journey=journey)]
        assert "CustodyReturned" in kinds
        assert kinds.count("JourneyPrepared") == 1


async def test_a_killed_sandbox_is_told_as_a_failure(tmp_path: Path) -> None:
    """The requester sees a fixed sentence, and the station serves the next journey."""
    async with w.inhabited(w.there(tmp_path), "north", "south") as world:
        journey = await world.depart(MEAN, parameters={"rounds": 1, "seconds": 30})
        running = {StopPhase.RUNNING}
        await world.until(journey, lambda s: {stop.phase for stop in s.stops} == running)
        station = there(world.stations["north"])
        # Let in is not yet running: the train's own sleep shows it.
        found = await w.eventually(lambda: [pid for pid in sandbox_of(station) if sleeps(pid)])
        os.kill(found[-1], signal.SIGKILL)
        status = await world.until(
            journey, lambda s: any(stop.phase == StopPhase.FAILED for stop in s.stops)
        )
        reason = next(stop.reason for stop in status.stops if stop.station == "north")
        assert reason == KILLED
        await world.tell(acts.JourneyCancelled, journey)
        assert (await world.arrived(await world.depart(MEAN)))["rounds"] == 2
