"""Erasing what an entry says about people, in a world in which a journey took place."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner
from tests.system import world as w
from tests.system.trains import MEAN

from branchline.central.store import Store
from branchline.cli.root import root
from branchline.foundation.canonical import canonical_json, parse_json
from branchline.foundation.clock import SystemClock
from branchline.foundation.digest import Digest
from branchline.foundation.durable import make_folder
from branchline.foundation.ids import new_id
from branchline.journey import acts, messages
from branchline.journey.erasing import stripped_evidence
from branchline.journey.verify import verify_evidence
from branchline.ledger.package_check import verify_package
from branchline.station.holdings import fetch_cosigned
from branchline.workbench.client import Client
from branchline.workbench.erasing import take_in, words
from branchline.workbench.home import CentralRef, WorkbenchHome

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SECRET = "Doctor Quack was on holiday"
"""What a person at a station wrote, and nobody ought to be able to read any more."""


@dataclasses.dataclass
class Told:
    """A world, and the journey of which a person at a station said something about a person."""

    world: w.World
    journey: str
    evidence: messages.Evidence
    position: int
    entry: Digest


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    """Three stations, at each of which a person decides; south declined with a reason."""
    laid_out = w.here(tmp_path_factory.mktemp("world"))
    async with w.inhabited(
        laid_out, "north", "south", "west", settings={"accept": "person"}
    ) as world:
        journey = await world.depart(MEAN, quorum=2)
        await w.eventually(lambda: all(_asked(world, name, journey) for name in world.homes))
        world.decide_at("south", journey, "decline", SECRET)
        for name in ("north", "west"):
            world.decide_at(name, journey, "accept")
        await world.arrived(journey)
        stops = (await world.status(journey)).stops
        assert [s.reason for s in stops if s.station == "south"] == [SECRET]
        status = await world.status(journey)
        await world.tell(acts.JourneyDelivered, journey, content=status.content)
        await w.eventually(lambda: {"north", "west"} <= _finished(world, journey))
        await w.settled(world)
        await w.eventually(lambda: f"\n{len(world.history())}\n" in _cosigned(world))
        for home in world.homes.values():
            assert await fetch_cosigned(home, SystemClock())  # what its commands prove by
        store = Store(world.home)
        (declined,) = [
            each
            for each in store.acts(journey=journey)
            if isinstance(_read(world, each), acts.StopDeclined)
        ]
        store.engine.dispose()
        evidence = await world.evidence(journey)
        yield Told(world, journey, evidence, declined.position, declined.entry.id)


def _asked(world: w.World, station: str, journey: str) -> bool:
    store = world.station_store(station)
    found = [each.event.value for each in store.events(journey, 1)]
    store.engine.dispose()
    return "needs-person" in found


def _finished(world: w.World, journey: str) -> set[str]:
    said = world.history(journey=journey)
    return {party for party, act in said if isinstance(act, acts.StopFinished)}


def _read(world: w.World, stored: Any) -> acts.Act | None:
    keys = None if stored.party == "central" else world.members[stored.party].identity.public
    return None if keys is None else acts.read_act(stored.entry, keys)


async def run(*words: str, code: int = 0) -> dict[str, Any]:
    """Run a command with --json, in a thread: it has a loop of its own."""

    def call() -> Any:
        return CliRunner().invoke(root, [*words, "--json"], catch_exceptions=False)

    done = await asyncio.to_thread(call)
    assert done.exit_code == code, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def every_byte(folder: Path) -> bytes:
    """Return all bytes of all files in a folder."""
    return b"".join(f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file())


def kept_of(home: Path, position: int) -> list[bytes]:
    """Return everything central stores of what an act says about people, as it lies in the rows."""
    with sqlite3.connect(home / "central.sqlite") as database:
        (people,) = database.execute("SELECT data FROM people WHERE position = ?", (position,))
        (beside,) = database.execute("SELECT data FROM beside WHERE position = ?", (position,))
    database.close()
    sealed = json.loads(beside[0])["classes"]["people"]
    return [people[0], sealed["data"].encode(), sealed["key"].encode()]


def texts(told: Told) -> list[bytes]:
    """Return what was said, as it was written and as the entry's disclosures spell it."""
    (item,) = [i for i in told.evidence.items if i.entry.id == told.entry]
    _, personal = acts.CLASSES.parted(item.entry)
    assert len(personal) == 2
    return [SECRET.encode(), *(text.encode() for text in personal)]


async def test_nobody_but_the_signer_erases(told: Told) -> None:
    """Each wrong wish is refused with a sentence, and nothing is erased."""
    homes = {name: str(home.folder) for name, home in told.world.homes.items()}
    at = str(told.position)
    call = ("ledger", "erase", at, "--home")
    assert "signed by" in (await run(*call, homes["north"], code=3))["refused"]
    found = await run("ledger", "erase", "0", "--home", homes["south"], code=3)
    assert "not by south" in found["refused"]
    found = await run(*call, homes["south"], "--class", "core", code=2)
    assert "what happened stays on record" in found["refused"]
    found = await run("ledger", "erase", "999999", "--home", homes["south"], code=4)
    assert "There is no entry" in found["refused"]
    started = _position(told, acts.StopFinished, "north")
    found = await run("ledger", "erase", str(started), "--home", homes["north"], code=2)
    assert "has no fields about people" in found["refused"]
    assert kept_of(told.world.home, told.position)


def _position(told: Told, kind: type[acts.StopAct], station: str) -> int:
    store = Store(told.world.home)
    try:
        return next(
            each.position
            for each in store.acts(journey=told.journey)
            if each.party == station and isinstance(_read(told.world, each), kind)
        )
    finally:
        store.engine.dispose()


async def test_central_refuses_an_erasure_by_anybody_else(told: Told) -> None:
    """What a command would refuse, central refuses too."""
    member = told.world.members["north"]
    plain: dict[str, Any]
    changes: dict[str, Any]
    for changes, refused in (
        ({}, "erased by whoever signed it"),
        ({"entry": "sha256:" + "0" * 64}, "No entry"),
    ):
        plain = {
            "id": new_id("act"),
            "at": member.at(),
            "entry": told.entry,
            "part": "people",
            "journey": told.journey,
            "study": None,
        }
        act = acts.EntryErased(**(plain | changes))
        with pytest.raises(Exception, match=refused):
            await member.act(act)
    south = told.world.members["south"]
    for changes, refused in (
        ({"part": "core"}, "cannot be erased"),
        ({"journey": None}, "another journey"),
    ):
        act = acts.EntryErased(**(plain | {"id": new_id("act"), "entry": told.entry} | changes))
        with pytest.raises(Exception, match=refused):
            await south.act(act)
    assert kept_of(told.world.home, told.position)


async def test_what_was_erased_is_gone_and_everything_still_holds(
    told: Told, tmp_path: Path
) -> None:
    """No byte of it at central or at the station; receipts, evidence, audits, packages hold."""
    world, home = told.world, told.world.home
    stored = kept_of(home, told.position)
    readable = texts(told)
    assert not any(text in every_byte(home) for text in readable)  # it never lay there like that
    assert all(data in every_byte(home) for data in stored)
    south = world.homes["south"].folder
    assert all(text in every_byte(south) for text in readable)

    found = await run("ledger", "erase", str(told.position), "--home", str(south))
    assert (found["entry"], found["fields"]) == (told.entry, ["by", "reason"])

    assert not any(data in every_byte(home) for data in stored)
    await w.eventually(lambda: not any(text in every_byte(south) for text in readable))
    status = await world.status(told.journey)
    assert [s.reason for s in status.stops if s.station == "south"] == [acts.CLOSED]
    again = await run("ledger", "erase", str(told.position), "--home", str(south), code=5)
    assert "erased before" in again["refused"]

    await w.settled(world)
    for folder in (home, *(each.folder for each in world.homes.values())):
        audited = await run("ledger", "audit", "--home", str(folder))
        assert audited["contradictions"] == []
    shown = await run("ledger", "show", str(told.position), "--home", str(south))
    assert shown["erased"] == ["people"]
    assert "reason" not in shown["fields"]
    assert shown["fields"]["act"] == "stop.declined"

    file = tmp_path / "case.zip"
    options = ("--for", "auditor", "--journey", told.journey, "--home", str(south))
    await run("ledger", "package", str(file), *options)
    fields = verify_package(file).entries
    assert not any(text in file.read_bytes() for text in readable)
    assert {each.get("act") for each in fields.values()} >= {"stop.declined", "entry.erased"}


async def test_a_result_verifies_with_what_was_erased(told: Told) -> None:
    """Evidence fetched anew, and evidence kept and stripped here, hold as before."""
    world = told.world
    fetched = await world.evidence(told.journey)
    assert len(fetched.erasures) == 1
    assert not any(text in canonical_json(fetched) for text in texts(told))
    kept = stripped_evidence(told.evidence, fetched.erasures)
    request = await _request(told)
    bundle = bytes(await world.pi.client.get_bytes(f"/v1/trains/{request.train}"))
    for evidence in (told.evidence, fetched, kept):
        report = verify_evidence(evidence, request, bundle, b"")
        failed = {step.name for step in report.failed}
        assert failed == {"result"}, report  # whose bytes are not at hand here
        erased = report.step("signatures").found.get("erased", {})
        expected = {} if evidence is told.evidence else {str(told.position): ["by", "reason"]}
        assert erased == expected


async def _request(told: Told) -> Any:
    (asked,) = [a for _, a in told.world.history(journey=told.journey)
                if isinstance(a, acts.JourneyRequested)]  # fmt: skip
    return asked.request


async def test_what_a_person_keeps_is_erased_when_he_hears_of_it(
    told: Told, tmp_path: Path
) -> None:
    """Evidence beside the ledger and in results; a second time there is nothing to do."""
    home, mirror = WorkbenchHome(tmp_path / "home"), tmp_path / "mirror"
    data = canonical_json(told.evidence)
    home.keep_evidence(told.journey, data)
    result = make_folder(home.results / "mean") / "evidence.json"
    result.write_bytes(data)
    assert all(text in data for text in texts(told)[1:])
    client = told.world.pi.client
    assert await take_in(client, home, w.ORIGIN, mirror) == 1
    left = every_byte(tmp_path)
    assert not any(text in left for text in texts(told))
    assert [word.id for word in words(mirror)] == [
        word.id for word in parse_json(result.read_bytes(), messages.Evidence, what="").erasures
    ]
    assert await take_in(client, home, w.ORIGIN, mirror) == 0


async def test_a_person_erases_what_he_wrote(told: Told) -> None:
    """A reason given for suspending a study: gone at central, and in the person's own folder."""
    world = told.world
    folder = world.folder / "alices-home"
    shutil.copytree(world.folder / "alice", folder / "keys")
    home = WorkbenchHome(folder)
    assert world.hello is not None
    keys, vkey = world.hello.keys, world.hello.log_vkey
    home.remember(CentralRef(w.ORIGIN, world.url, "alice", keys, vkey))

    def suspend() -> None:
        with Client(folder) as client:
            client.suspend_study(w.STUDY, "Mister Snoop complained")

    await asyncio.to_thread(suspend)
    await w.settled(world)
    ((position, entry),) = home.placed_acts(w.ORIGIN)
    _, personal = acts.CLASSES.parted(entry)
    stored = kept_of(world.home, position)
    assert personal[0].encode() in every_byte(folder)
    await w.eventually(lambda: f"\n{len(world.history())}\n" in _cosigned(world))
    found = await run("ledger", "erase", str(position), "--home", str(folder))
    assert found["fields"] == ["reason"]
    assert personal[0].encode() not in every_byte(folder)
    assert not any(data in every_byte(world.home) for data in stored)
    assert (await run("ledger", "audit", "--home", str(world.home)))["contradictions"] == []


def _cosigned(world: w.World) -> str:
    return (world.home / "ledger" / "cosigned").read_text()


async def test_an_audit_names_what_was_not_erased_or_lost(told: Told, tmp_path: Path) -> None:
    """Central forgot that it erased, or lost a field that nobody erased: each is named."""
    for sql in (
        "DELETE FROM erasures",
        "DELETE FROM people WHERE position = (SELECT min(position) FROM people)",
    ):
        copy = tmp_path / str(len(sql))
        w.copy_disk(told.world.home, copy)
        with sqlite3.connect(copy / "central.sqlite") as database:
            assert database.execute(sql).rowcount
        database.close()
        found = await run("ledger", "audit", "--home", str(copy), code=6)
        assert found["contradictions"]
