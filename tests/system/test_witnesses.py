"""Witnesses over real HTTP: one that lags, lies or disappears; a central that is not what it was."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.system import world as w
from tests.system.trains import MEAN

from branchline.central.service import CentralSettings, running
from branchline.central.store import Store
from branchline.foundation.errors import BranchlineError, Conflict, Corrupt, NotAllowed, Unavailable
from branchline.foundation.http.client import ApiClient
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity
from branchline.journey import acts, messages
from branchline.journey.enrolment import witness_vkey
from branchline.journey.machine import Phase, StopPhase
from branchline.ledger.proof.checkpoint import parse_checkpoint
from branchline.ledger.proof.cosignature import cosign
from branchline.ledger.proof.note import Signature, parse_note
from branchline.ledger.proof.receipt import parse_receipt, verify_receipt
from branchline.ledger.topics import tag_of
from branchline.station import topics
from branchline.study.witnesses import policy_of

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[w.World]:
    """Three stations; two entities of the three have to cosign."""
    async with w.inhabited(
        w.here(tmp_path_factory.mktemp("world")), "north", "south", "west"
    ) as made:
        yield made


def checkpoint(world: w.World, name: str = "checkpoint") -> str:
    """Return a checkpoint that central publishes."""
    return (world.home / "ledger" / name).read_text()


def text_of(note: str) -> str:
    """Return what a checkpoint says, whoever cosigned it, and however often."""
    return note.partition("\n\n")[0]


def size_of(note: str) -> int:
    """Return the size in a checkpoint."""
    return int(note.split("\n")[1])


def signatures(world: w.World) -> int:
    """Return how many signatures the published cosigned checkpoint carries."""
    return len(parse_note(checkpoint(world, "cosigned").encode()).signatures)


def mirrored(world: w.World, station: str) -> int:
    """Return how much a station holds."""
    file = world.homes[station].folder / "ledger" / "checkpoint"
    return size_of(file.read_text()) if file.exists() else 0


async def receipt(world: w.World, act: str, by: str = "alice") -> str:
    """Ask for a cosigned receipt of an act."""
    answer = await world.members[by].client.call(
        "POST",
        "/v1/ledger/receipts",
        body=messages.ReceiptsWanted(study=world.approved.digest, acts=(act,)),
        answer=messages.Receipts,
    )
    return answer.receipts[0]


async def brief(world: w.World, member: w.Member) -> ApiClient:
    """Return a client that does not wait long for a central that cannot answer."""
    made = world.member(f"brief-{new_id('x')}", member.identity)
    await made.client.close()
    made.client = ApiClient(world.url, member.identity, retry_seconds=0.1)
    return made.client


async def test_receipts_carry_the_quorum_and_ones_own(world: w.World) -> None:
    """Anybody enrolled gets a receipt that the study's policy accepts; a station its own line."""
    journey = await world.depart(MEAN)
    await world.arrived(journey)
    history = world.history(journey=journey)
    requested = next(a for _, a in history if isinstance(a, acts.JourneyRequested))
    policy = policy_of(world.approved)
    store = Store(world.home)
    leaf = store.acts(id=requested.id)[0].entry.leaf
    store.engine.dispose()
    verify_receipt(parse_receipt(await receipt(world, requested.id)), leaf, policy)
    own = witness_vkey(w.ORIGIN, "west", world.homes["west"].witness).partition("+")[0]
    text = await receipt(world, requested.id, by="west")
    verify_receipt(parse_receipt(text), leaf, policy, cosigned_by=[own])


async def test_every_station_mirrors_everything(world: w.World) -> None:
    """Once nothing grows, each holds what central has, and the cosigned checkpoint is published."""
    await w.eventually(
        lambda: all(mirrored(world, name) == len(world.history()) for name in world.homes)
    )
    await w.eventually(lambda: size_of(checkpoint(world, "cosigned")) == len(world.history()))
    # A quorum is enough to publish it; the last cosignature may come a moment later.
    await w.eventually(lambda: signatures(world) == 1 + len(world.homes))
    for name in world.homes:
        mirror = world.homes[name].folder / "ledger"
        bundles = [f.relative_to(mirror) for f in mirror.glob("tile/**/*") if f.is_file()]
        assert bundles
        for file in bundles:
            assert (mirror / file).read_bytes() == (world.home / "ledger" / file).read_bytes()


async def test_one_witness_may_be_away(world: w.World) -> None:
    """Two of three are enough; the third, back again, catches up with what it missed."""
    await world.stations["west"].stop()
    try:
        journey = await world.depart(MEAN, quorum=2, stations=("north", "south"))
        await world.arrived(journey)
        assert mirrored(world, "west") < len(world.history())
    finally:
        await world.stations["west"].start()
    await w.eventually(lambda: mirrored(world, "west") == len(world.history()))


async def test_without_a_quorum_no_data_are_bound_until_it_is_back(world: w.World) -> None:
    """North alone is let in, but not bound: it goes on by itself as soon as somebody cosigns."""
    for name in ("south", "west"):
        await world.stations[name].stop()
    try:
        journey = await world.depart(MEAN, quorum=1, stations=("north",))
        await world.until(journey, lambda s: s.stops[0].phase == StopPhase.RUNNING)
        runs = world.homes["north"].folder / "runs"
        await asyncio.sleep(1.0)  # long enough for it to extract what it must not
        assert not list(runs.iterdir())
        kinds = {type(a) for _, a in world.history(journey=journey)}
        assert acts.StopAccepted in kinds
        assert acts.StopStarted not in kinds
        await world.stations["south"].start()
        await world.arrived(journey)
    finally:
        await world.restart("south")
        await world.stations["west"].start()


async def test_evidence_without_a_quorum_is_given_and_says_so(
    world: w.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result is its requester's also while hospitals sleep; verification waits for them."""
    from branchline.central import registry

    journey = await world.depart(MEAN)
    await world.arrived(journey)
    monkeypatch.setattr(registry, "_PATIENCE", 0.5)
    for name in ("south", "west"):
        await world.stations[name].stop()
    try:
        status = await world.status(journey)
        await world.tell(acts.JourneyDelivered, journey, content=status.content)
        text = (await world.evidence(journey)).items[0].receipt
        with pytest.raises(Corrupt, match="the policy asks for majority"):
            policy_of(world.approved).open(parse_receipt(text).checkpoint.encode())
    finally:
        await world.stations["south"].start()
        await world.stations["west"].start()
    monkeypatch.setattr(registry, "_PATIENCE", 10.0)
    text = (await world.evidence(journey)).items[0].receipt
    policy_of(world.approved).open(parse_receipt(text).checkpoint.encode())


# A witness that lies


async def answer(world: w.World, station: str, status: int, body: str) -> None:
    """Post an answer as a station, about the latest checkpoint."""
    sent = messages.WitnessAnswer(size=size_of(checkpoint(world)), status=status, body=body)
    client = world.members[station].client
    await client.call("POST", "/v1/ledger/cosignatures", body=sent)


async def test_a_lying_witness_harms_nobody(world: w.World) -> None:
    """Forged lines, lines in another's name, garbage, false sizes: refused, and the rest goes on."""
    await w.eventually(lambda: size_of(checkpoint(world, "cosigned")) == len(world.history()))
    text = parse_note(checkpoint(world).encode()).text
    names = {n: f"{w.ORIGIN}/witness/{n}" for n in world.homes}
    forged = cosign(text, names["west"], Identity.create(), 1_800_000_000).line
    true = cosign(text, names["west"], world.homes["west"].witness, 1_800_000_000)
    flipped = Signature(
        true.name, true.key_id, true.signature[:-1] + bytes([true.signature[-1] ^ 1])
    ).line
    for body in (forged, flipped):
        with pytest.raises(Corrupt):
            await answer(world, "west", 200, body)
    with pytest.raises(Corrupt):
        await answer(world, "west", 200, "garbage")
    with pytest.raises(Corrupt):
        await answer(world, "west", 409, "many\n")
    stranger = cosign(text, names["south"], world.homes["west"].witness, 1_800_000_000).line
    with pytest.raises(Corrupt):
        await answer(world, "west", 200, stranger)
    await answer(world, "west", 422, "I do not like it\n")
    with pytest.raises(Conflict, match="claims 1000000 entries"):
        await answer(world, "west", 409, "1000000\n")
    with pytest.raises(Conflict):
        sent = messages.WitnessAnswer(size=10**9, status=200, body=forged)
        await world.members["west"].client.call("POST", "/v1/ledger/cosignatures", body=sent)
    assert (await world.arrived(await world.depart(MEAN)))["rounds"] == 2


async def test_only_witnesses_cosign(world: w.World) -> None:
    """A person has no witness key; its word about the ledger is not asked for."""
    with pytest.raises(NotAllowed):
        await answer(world, "alice", 200, "x")
    with pytest.raises(NotAllowed):
        body = messages.SeenCheckpoint(checkpoint=checkpoint(world))
        await world.pi.client.call("POST", "/v1/ledger/seen", body=body)


async def test_a_witness_cannot_stop_central_by_its_word(world: w.World) -> None:
    """A checkpoint that central did not sign shows nothing about central."""
    note = parse_note(checkpoint(world).encode())
    inflated = note.text.replace(f"\n{size_of(note.text)}\n", "\n1000000\n")
    signed = cosign(inflated, w.ORIGIN, world.homes["west"].witness, 1_800_000_000)
    for forged in (inflated + "\n" + signed.line, "nonsense"):
        with pytest.raises(BranchlineError):
            await world.members["west"].client.call(
                "POST", "/v1/ledger/seen", body=messages.SeenCheckpoint(checkpoint=forged)
            )
    assert (await world.arrived(await world.depart(MEAN)))["rounds"] == 2


# Tags


async def test_a_tag_is_taken_once(world: w.World) -> None:
    """Another party that puts a known tag on its act is refused, recorded, and named."""
    store = world.station_store("north")
    secret = store.topic(topics.dataset_topic("trial")).secret
    store.engine.dispose()
    act = acts.ActVoided(
        id=new_id("act"), at=world.pi.at(), journey=None, kind="stop.held", reason="Mine"
    )
    entry = acts.sign_act(act, world.pi.identity, [tag_of(secret, 0)])
    with pytest.raises(Conflict, match="stands in the ledger already, put there by north"):
        await world.pi.send(entry, act.id)
    assert "stands in the ledger already" in world.incidents()[-1]


async def test_an_occupied_tag_is_passed_over(world: w.World) -> None:
    """Somebody who learnt the secret takes the next number: the station shows it and goes on."""
    store = world.station_store("north")
    topic = store.topic(topics.dataset_topic("trial"))
    store.engine.dispose()
    squat = acts.ActVoided(
        id=new_id("act"), at=world.pi.at(), journey=None, kind="stop.held", reason="Mine"
    )
    tag = tag_of(topic.secret, topic.next)
    await world.pi.send(acts.sign_act(squat, world.pi.identity, [tag]), squat.id)
    assert (await world.arrived(await world.depart(MEAN)))["rounds"] == 2
    store = world.station_store("north")
    assert topics.acts_of(store.engine, topic.name)[topic.next] == topics.ELSEWHERE
    store.engine.dispose()


async def test_a_station_restored_from_a_backup_counts_on(world: w.World, tmp_path: Path) -> None:
    """Its counters are behind what it said already; after one journey no number is doubled or left out."""
    home = world.homes["south"]
    await world.stations["south"].stop()
    shutil.copytree(home.folder, tmp_path / "backup")
    await world.stations["south"].start()
    await world.arrived(await world.depart(MEAN))
    await world.stations["south"].stop()
    shutil.rmtree(home.folder)
    shutil.copytree(tmp_path / "backup", home.folder)
    await world.stations["south"].start()
    journey = await world.depart(MEAN)
    assert (await world.arrived(journey))["rounds"] == 2
    store = world.station_store("south")
    taken = topics.acts_of(store.engine, topics.dataset_topic("trial"))
    store.engine.dispose()
    assert topics.ELSEWHERE in taken
    kinds = [type(a).__name__ for p, a in world.history(journey=journey) if p == "south"]
    assert kinds.count("StopAccepted") == 1


# A central that is not what it was


@pytest.fixture
async def ruined(tmp_path: Path) -> AsyncIterator[tuple[w.World, Path]]:
    """A world of its own with a backup of central from before its last journey."""
    async with w.inhabited(w.here(tmp_path / "world")) as made:
        await made.arrived(await made.depart(MEAN))
        await made.central.stop()
        backup = tmp_path / "backup"
        shutil.copytree(made.home, backup)
        await made.central.start()
        await made.arrived(await made.depart(MEAN))
        await w.eventually(
            lambda: all(mirrored(made, name) == len(made.history()) for name in made.homes)
        )
        yield made, backup


async def put_back(world: w.World, backup: Path) -> None:
    """Run central from its backup."""
    await world.central.stop()
    shutil.rmtree(world.home)
    shutil.copytree(backup, world.home)
    await world.central.start()


async def refused(world: w.World) -> str:
    """Send an act and return the sentence with which central does not take it in."""
    client = await brief(world, world.pi)
    act = acts.ActVoided(id=new_id("act"), at=world.pi.at(), journey=None, kind="x", reason="y")
    message = messages.ActMessage(entry=acts.sign_act(act, world.pi.identity))
    try:
        await client.call("POST", "/v1/acts", body=message, answer=messages.Recorded, key=act.id)
    except Unavailable as error:
        return error.refused
    return ""


@pytest.mark.asyncio(loop_scope="function")
async def test_a_central_put_back_to_a_backup_takes_nothing_in(
    ruined: tuple[w.World, Path],
) -> None:
    """The first witness shows what central had signed; no act is taken in, none is lost."""
    world, backup = ruined
    await put_back(world, backup)
    async with asyncio.timeout(w.PATIENCE):
        while not (sentence := await refused(world)):
            await asyncio.sleep(0.05)
    assert "entries before, and now has fewer" in sentence
    size = size_of(checkpoint(world))
    await asyncio.sleep(1.5)  # longer than a round
    assert size_of(checkpoint(world)) == size


@pytest.mark.asyncio(loop_scope="function")
async def test_a_central_that_went_on_from_a_backup_stops_and_convicts_itself(
    ruined: tuple[w.World, Path],
) -> None:
    """Its operator did not wait for witnesses, and other acts came before one did: central stops,
    and no station vouches for the fork."""
    world, backup = ruined
    for program in world.stations.values():
        await program.stop()
    await world.central.stop()
    settings = CentralSettings(world.home, port=world.port, await_witnesses=False)
    world.central = w.Here(lambda: running(settings))
    await put_back(world, backup)
    held = mirrored(world, "north")
    while size_of(checkpoint(world)) <= held:
        act = acts.ActVoided(id=new_id("act"), at=world.pi.at(), journey=None, kind="x", reason="y")
        await world.pi.act(act)
    await world.stations["north"].start()
    async with asyncio.timeout(w.PATIENCE):
        while not (sentence := await refused(world)):
            await asyncio.sleep(0.05)
    assert "entries than it has" in sentence
    latest = parse_checkpoint(parse_note(checkpoint(world).encode()).text)
    assert mirrored(world, "north") == held < latest.size


@pytest.mark.asyncio(loop_scope="function")
async def test_a_central_put_back_signs_nothing_before_a_witness_comes(
    ruined: tuple[w.World, Path],
) -> None:
    """As many other acts come as were lost, and wait unsigned: no second history ever begins."""
    world, backup = ruined
    for program in world.stations.values():
        await program.stop()
    await put_back(world, backup)
    signed, held = checkpoint(world), mirrored(world, "north")
    while len(world.history()) <= held:
        act = acts.ActVoided(id=new_id("act"), at=world.pi.at(), journey=None, kind="x", reason="y")
        await world.pi.act(act)
    await asyncio.sleep(1.5)  # longer than it takes to integrate and to hold a round
    assert checkpoint(world) == signed
    await world.stations["north"].start()
    async with asyncio.timeout(w.PATIENCE):
        while not (sentence := await refused(world)):
            await asyncio.sleep(0.05)
    assert "entries than it has" in sentence
    assert checkpoint(world) == signed
    assert not list(world.homes["north"].folder.glob("evidence/*"))


@pytest.mark.asyncio(loop_scope="function")
async def test_after_a_restart_two_of_three_witnesses_are_waited_for(tmp_path: Path) -> None:
    """One alone may not know what the other two cosigned; with the second central goes on."""
    async with w.inhabited(w.here(tmp_path), "north", "south", "west") as world:
        await world.arrived(await world.depart(MEAN))
        await w.eventually(lambda: cosigned_by(world) == 3)
        for program in world.stations.values():
            await program.stop()
        await world.central.stop()
        await world.central.start()
        signed = text_of(checkpoint(world))
        act = acts.ActVoided(id=new_id("act"), at=world.pi.at(), journey=None, kind="x", reason="y")
        await world.stations["north"].start()
        await world.pi.act(act)
        await asyncio.sleep(1.5)  # longer than it takes to integrate
        assert text_of(checkpoint(world)) == signed
        await world.stations["south"].start()
        await w.eventually(lambda: size_of(checkpoint(world)) == len(world.history()))


def cosigned_by(world: w.World) -> int:
    """Count the witnesses on the latest cosigned checkpoint, if it covers everything."""
    note = (world.home / "ledger" / "cosigned").read_text()
    return note.count("/witness/") if size_of(note) == len(world.history()) else 0


@pytest.mark.asyncio(loop_scope="function")
async def test_the_latest_state_put_back_goes_on(ruined: tuple[w.World, Path]) -> None:
    """An operator who finds the right backup after all is where he was."""
    world, backup = ruined
    latest = world.folder / "latest"
    await world.central.stop()
    shutil.copytree(world.home, latest)
    await put_back(world, backup)
    async with asyncio.timeout(w.PATIENCE):
        while not await refused(world):
            await asyncio.sleep(0.05)
    await put_back(world, latest)
    status = await world.ended(await world.depart(MEAN))
    assert status.phase == Phase.ARRIVED


# Evidence at a station


@pytest.mark.asyncio(loop_scope="function")
async def test_a_station_with_evidence_binds_no_data_until_somebody_looked(tmp_path: Path) -> None:
    """A fork that central signed lies there: trains wait, with nothing extracted, for a person."""
    from click.testing import CliRunner

    from branchline.cli.root import root

    async with w.inhabited(w.here(tmp_path), witness_quorum=1) as world:
        await world.arrived(await world.depart(MEAN))
        await w.eventually(lambda: mirrored(world, "north") == len(world.history()))
        await world.stations["north"].stop()
        convict(world, "north")
        await world.stations["north"].start()
        journey = await world.depart(MEAN)
        await world.until(journey, lambda s: s.stops[1].phase == StopPhase.RELEASED)
        assert not list((world.homes["north"].folder / "runs").iterdir())

        def look() -> Any:
            words = ["ledger", "evidence", "--seen", "--home", str(world.homes["north"].folder)]
            return CliRunner().invoke(root, words, catch_exceptions=False)

        done = await asyncio.to_thread(look)
        assert "signed two different histories" in done.output
        assert (await world.arrived(journey))["rounds"] == 2


def convict(world: w.World, station: str) -> None:
    """Give a station a second checkpoint of the size it holds, signed by central."""
    from branchline.foundation.database import open_database
    from branchline.ledger.proof.checkpoint import Checkpoint, sign_checkpoint
    from branchline.ledger.proof.evidence import find_evidence
    from branchline.ledger.witness.store import WitnessStore

    home = world.homes[station]
    own = (home.folder / "ledger" / "checkpoint").read_text()
    seen = parse_checkpoint(parse_note(own.encode()).text)
    other = Checkpoint(seen.origin, seen.size, bytes(32))
    signed = sign_checkpoint(other, Identity.load_or_create(world.home / "keys")).full_text
    found = find_evidence(own, signed)
    assert found is not None
    engine = open_database(home.database)
    WitnessStore(engine).keep(found)
    engine.dispose()
