"""Light readers over real HTTP: what concerns one, proven by some kilobytes; a central that lies."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from click.testing import CliRunner
from tests.system import world as w

from branchline.central import founding, stating
from branchline.central.store import Store
from branchline.cli.ledger import asking
from branchline.cli.root import root
from branchline.foundation.database import writing
from branchline.foundation.encoding import to_base64url
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity
from branchline.journey import acts
from branchline.journey.holdings import Copy
from branchline.ledger.entry import Entry, make_entry
from branchline.ledger.files import FolderFiles
from branchline.ledger.keeper import TagKeeper
from branchline.ledger.light import LightProof, LightWanted
from branchline.ledger.log import Log
from branchline.ledger.proof.note import parse_key
from branchline.ledger.statements import make_statement, stated_in
from branchline.study.witnesses import policy_of

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SOMEBODY = Identity.create()


def filled(home: Path, first: int, end: int) -> None:
    """Give a central service a history, of entries that concern nobody here."""
    founding.initialise(home, w.ORIGIN)
    store = Store(home)
    files = FolderFiles(home / "ledger")
    log = Log(store.engine, files, w.ORIGIN, Identity.load_or_create(home / "keys"))
    tags = (to_base64url(number.to_bytes(16)) for number in range(first + 1, end + 1))
    with writing(store.engine) as connection:
        log.append_many(connection, [make_entry({}, SOMEBODY, tags=[tag]).leaf for tag in tags])
    log.integrate()
    store.engine.dispose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[w.World]:
    """Three stations, at a central service with a history of 750 entries."""
    laid_out = w.here(tmp_path_factory.mktemp("world"))
    filled(laid_out.home, 0, 750)
    async with w.inhabited(laid_out, "north", "south", "west") as made:
        await stated(made, 768)
        yield made


def size_of(world: w.World, name: str) -> int:
    """Return the size of a checkpoint that central publishes."""
    file = world.home / "ledger" / name
    return int(file.read_text().split("\n")[1]) if file.exists() else 0


async def ask(world: w.World, *tags: str) -> Any:
    """Ask as anybody can: without a key, and without being enrolled."""
    body = msgspec.json.encode(LightWanted(tags))
    headers = {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{world.url}/v1/ledger/tags", data=body) as answer,
    ):
        data = await answer.read()
        assert answer.status != 200 or answer.headers["Content-Encoding"] in ("gzip", "deflate")
        return msgspec.json.decode(data, type=LightProof) if answer.status == 200 else data


async def stated(world: w.World, covered: int) -> None:
    """Let people come and go until so much is covered by a statement that a quorum cosigned."""
    policy = None if world.study is None else policy_of(world.approved)

    async with asyncio.timeout(w.PATIENCE):
        while True:
            found = await ask(world, "A" * 22)
            if isinstance(found, LightProof) and found.head.covered >= covered:
                if policy is None or found.accepted(policy):
                    return
            elif size_of(world, "checkpoint") < covered:
                await voided(world)
            await asyncio.sleep(0.02)


async def voided(world: w.World) -> None:
    """Let somebody do something."""
    act = acts.ActVoided(
        id=new_id("act"), at=world.pi.at(), journey=None, kind="train.packed", reason="It was lost"
    )
    await world.pi.act(act)


async def run(*words: str, code: int = 0) -> dict[str, Any]:
    """Run a command with --json, in a thread: it has a loop of its own."""

    def call() -> Any:
        return CliRunner().invoke(root, [*words, "--json"], catch_exceptions=False)

    done = await asyncio.to_thread(call)
    assert done.exit_code == code, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def test_a_station_is_shown_what_concerns_its_dataset(world: w.World, tmp_path: Path) -> None:
    """A few kilobytes; the same entries as by its whole mirror; saved, Python alone checks it."""
    home = str(world.homes["north"].folder)
    file = tmp_path / "mine.zip"
    words = ("ledger", "prove", "--dataset", "trial", "--home", home)
    light = await run(*words, "--light", "--save", str(file))
    assert (light["complete"], light["covered"], light["later"]) == (True, 768, 0)
    assert light["bytes"] < 20_000
    whole = await run(*words)
    assert light["entries"] == whole["entries"] != []
    policy = policy_of(world.approved).digest
    command = [sys.executable, "-I", "-S", str(file), "--policy", policy, "--json"]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (await run("ledger", "verify", str(file), "--digest", policy))["holds"]


async def test_a_copy_of_the_ledger_makes_a_light_package(world: w.World, tmp_path: Path) -> None:
    """A station shows its dataset whole without central, and without the ledger in the file."""
    home = str(world.homes["south"].folder)
    await w.eventually(lambda: size_of(world, "cosigned") > 768)
    sizes: list[int] = []
    for how in ((), ("--light",)):
        file = tmp_path / f"case{len(how)}.zip"
        words: tuple[str, ...] = (
            *how,
            "--for",
            "auditor",
            "--topic",
            "dataset/trial",
            "--home",
            home,
        )
        await run("ledger", "package", str(file), *words)
        found = (await run("ledger", "verify", str(file)))["files"][0]
        steps = {step["name"]: step["outcome"] for step in found["steps"]}
        assert (steps["topics"], steps["ledger"] == "passed") == ("passed", len(sizes) == 0)
        sizes.append(file.stat().st_size)
    assert sizes[1] * 3 < sizes[0]


async def test_central_is_not_asked_by_itself_nor_offline(world: w.World) -> None:
    """One clear sentence each."""
    found = await run("ledger", "prove", "--light", "--home", str(world.home), code=2)
    assert "here is all of it" in found["refused"]
    home = str(world.homes["north"].folder)
    found = await run("ledger", "prove", "--light", "--offline", "--home", home, code=2)
    assert "asks central" in found["refused"]


async def test_everybody_sees_what_a_statement_is(world: w.World) -> None:
    """And central's audit, which knows what stands for no act, finds nothing wrong with it."""
    home = str(world.homes["north"].folder)
    found = (await run("ledger", "tail", "-n", "1000", "--home", home))["entries"]
    assert ("ledger.tags-stated", "the first 768 entries") in {
        (e["act"], e["about"]) for e in found
    }
    audited = await run("ledger", "audit", "--home", str(world.home), code=6)
    # The history that was made up for this test is of no acts; nothing else is wrong.
    assert len(audited["contradictions"]) == 750
    assert all("is no act that is kept" in each for each in audited["contradictions"])


async def test_a_restart_goes_on_where_it_was(world: w.World) -> None:
    """The tree is made anew from what is published; nothing is stated twice."""
    before, size = await ask(world, "A" * 22), size_of(world, "checkpoint")
    await world.central.stop()
    await world.central.start()
    await stated(world, 768)
    after = await ask(world, "A" * 22)
    assert (after.head, after.statement.position) == (before.head, before.statement.position)
    assert size_of(world, "checkpoint") == size


async def test_what_is_no_tag_is_refused(world: w.World) -> None:
    """In a sentence."""
    assert b"something that is no tag" in await ask(world, "B" * 22 + "!")


# A central that lies


async def test_an_entry_left_out_of_an_answer_is_noticed(
    world: w.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof names an entry that is not shown."""
    honest = stating.Stating._proof

    def without_one(self: stating.Stating, *about: Any) -> LightProof:
        proof = honest(self, *about)
        return msgspec.structs.replace(proof, entries=proof.entries[:-1])

    monkeypatch.setattr(stating.Stating, "_proof", without_one)
    home = str(world.homes["north"].folder)
    found = await run("ledger", "prove", "--light", "--dataset", "trial", "--home", home, code=6)
    assert "is not shown" in found["refused"]


async def test_no_witness_vouches_for_a_false_statement(
    world: w.World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An older tree stated as that of all: every station makes it anew, and refuses from then on."""
    honest = TagKeeper.due

    def due(self: TagKeeper) -> Entry | None:
        if honest(self) is None:
            return None
        older, covered = self.stated, self.covered
        assert older is not None
        assert covered == 1024
        head = msgspec.structs.replace(older.head, covered=covered)
        return make_statement(head, w.ORIGIN, self._identity)

    monkeypatch.setattr(TagKeeper, "due", due)
    monkeypatch.setattr(asking, "_PAUSE", 0.01)
    await world.central.stop()
    filled(world.home, size_of(world, "checkpoint"), 1020)
    await world.central.start()
    while size_of(world, "checkpoint") < 1024:
        await voided(world)
    refused = "states another tag tree than that of the 1024 entries"

    def refusals() -> int:
        return sum(refused in record.getMessage() for record in caplog.records)

    await w.eventually(lambda: refusals() >= len(world.homes))
    (false,) = [
        position
        for position, leaf in enumerate(published(world))
        if stated_in(leaf, position, parse_key(world.approved.central.log_vkey)) == 1024
    ]
    await voided(world)
    await w.eventually(lambda: size_of(world, "checkpoint") > false + 1)
    assert size_of(world, "cosigned") <= false
    home = str(world.homes["north"].folder)
    found = await run("ledger", "prove", "--light", "--dataset", "trial", "--home", home, code=6)
    assert "cosigned by nobody" in found["refused"]


def published(world: w.World) -> list[bytes]:
    """Return all entries that central published."""
    copy = Copy(FolderFiles(world.home / "ledger").read)
    return [leaf for _, leaf in copy.leaves()]
