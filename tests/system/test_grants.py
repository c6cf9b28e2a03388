"""Grants between the parties of a world: by class, by entry, by field; and what ends them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.docs.forked import forked_program
from tests.docs.pages import DOCS, blocks_of
from tests.system import world as w
from tests.system.test_ledger_commands import run
from tests.system.trains import MEAN

from branchline.cli.ledger import saying
from branchline.foundation.database import open_database
from branchline.foundation.digest import digest_of
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity
from branchline.foundation.sealing import seal, unseal
from branchline.journey import acts
from branchline.ledger.grants import granted_by
from branchline.station.saying import say
from branchline.station.store import StationStore
from branchline.workbench.client import Client

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

PAGE = DOCS / "how-to" / "show-or-erase-a-field.md"


@dataclass
class Granting:
    """A world with an auditor, and entries that north signed."""

    world: w.World
    auditor: Path
    accepted: int
    finished: int

    @property
    def north(self) -> str:
        """The station's folder."""
        return str(self.world.homes["north"].folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def granting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Granting]:
    """Two stations after a journey, and an auditor who takes no part in the study."""
    laid_out = w.here(tmp_path_factory.mktemp("world"))
    async with w.inhabited(laid_out) as world:
        await travel(world)
        home = world.folder / "audrey"
        invitation = world.invite("audrey", "person").text

        def enrol() -> None:
            with Client(home) as client:
                client.enroll(invitation)

        await asyncio.to_thread(enrol)
        await cosigned(world)
        found = await run("ledger", "tail", "-n", "500", "--home", str(world.home))
        mine = {e["act"]: e["position"] for e in found["entries"] if e["by"] == "north"}
        yield Granting(world, home, mine["stop.accepted"], mine["stop.finished"])


async def travel(world: w.World) -> str:
    """Let a journey take place from beginning to end; returns it."""
    journey = await world.depart(MEAN)
    await world.arrived(journey)
    status = await world.status(journey)
    await world.tell(acts.JourneyDelivered, journey, content=status.content)
    await cosigned(world)
    return journey


async def cosigned(world: w.World) -> None:
    """Wait until nothing is under way, and the witnesses vouch for all of it."""
    await w.settled(world)
    file = world.home / "ledger" / "cosigned"

    def vouched() -> bool:
        note = file.read_text()
        return f"\n{len(world.history())}\n" in note and note.count("\n— ") > len(world.homes)

    await w.eventually(vouched)


async def disclose(granting: Granting, out: Path, *words: str, code: int = 0) -> dict[str, Any]:
    """Let north disclose something to the auditor."""
    call = ("ledger", "disclose", "--to", "audrey", "--out", str(out), "--home", granting.north)
    return await run(*call, *words, code=code)


async def look(granting: Granting, file: Path, home: Path | None = None, code: int = 0) -> Any:
    """Let the auditor look at a grant."""
    call = ("ledger", "grants", str(file), "--from", "north", "--home")
    return await run(*call, str(home or granting.auditor), code=code)


async def test_one_field_and_nothing_else_is_opened(granting: Granting, tmp_path: Path) -> None:
    """The auditor reads one field of one entry, signed by north, with its receipt."""
    file, at = tmp_path / "one.grant", str(granting.accepted)
    made = await disclose(granting, file, "--entry", at, "--field", "dataset")
    assert [each["field"] for each in made["opens"]] == ["dataset"]
    (found,) = (await look(granting, file))["grants"]
    assert found["by"] == "north"
    (entry,) = found["entries"]
    assert (entry["position"], entry["fields"]) == (granting.accepted, {"dataset": "trial"})
    words = ("ledger", "show", at, "--grant", str(file), "--from", "north")
    closed = await run("ledger", "show", at, "--home", str(granting.auditor))
    assert closed["fields"] == {}
    shown = await run(*words, "--home", str(granting.auditor))
    assert shown["fields"] == {"dataset": "trial"}


async def test_one_class_of_one_entry(granting: Granting, tmp_path: Path) -> None:
    """People and what happened of one entry; of another, and of other classes, nothing."""
    file, at = tmp_path / "entry.grant", str(granting.accepted)
    await disclose(granting, file, "--entry", at, "--class", "people", "--class", "core")
    (found,) = (await look(granting, file))["grants"]
    (entry,) = found["entries"]
    assert entry["fields"]["by"] == "policy"
    assert entry["fields"]["act"] == "stop.accepted"
    assert not {"environment", "dataset_version", "topic"} & set(entry["fields"])
    words = ("--grant", str(file), "--from", "north", "--home", str(granting.auditor))
    refused = (await run("ledger", "show", str(granting.finished), *words, code=2))["refused"]
    assert "opens nothing of this entry" in refused


async def test_a_class_opens_all_entries_until_the_next_epoch(
    granting: Granting, tmp_path: Path
) -> None:
    """North's whole epoch, receipts verified offline with it; what is signed later stays closed."""
    file = tmp_path / "class.grant"
    await disclose(granting, file, "--class", "core")
    (found,) = (await look(granting, file))["grants"]
    kinds = {each["fields"]["act"] for each in found["entries"]}
    assert {"party.enrolled", "study.site-approved", "stop.accepted", "stop.finished"} <= kinds
    assert not any("by" in each["fields"] for each in found["entries"])

    home = ("--home", str(granting.auditor))
    await run("ledger", "show", str(granting.finished), "--save", str(tmp_path), *home)
    policy = tmp_path / "policy"
    text = await run("ledger", "policy", "--home", granting.north)
    policy.write_text(text["policy"])
    receipt = str(tmp_path / f"{granting.finished}.tlog-proof")
    words = ("--policy", str(policy), "--grant", str(file), "--from", "north", *home)
    (checked,) = (await run("ledger", "verify", receipt, *words))["files"]
    assert (checked["holds"], checked["fields"]["act"]) == (True, "stop.finished")
    own = ("--policy", str(policy), "--grant", str(file), "--home", granting.north)
    assert "no grant for north" in (await run("ledger", "verify", receipt, *own, code=6))["refused"]

    begun = await run("ledger", "epoch", "--next", "--home", granting.north)
    assert (begun["epoch"], begun["epochs"]) == (2, [1, 2])
    world = granting.world
    later = await travel(world)
    after = (await look(granting, file))["grants"][0]["entries"]
    assert other_than_grants(after) == other_than_grants(found["entries"])
    listed = await run("ledger", "tail", "-n", "500", "--home", str(world.home))
    last = next(e for e in listed["entries"] if (e["by"], e["about"]) == ("north", later))
    call = ("ledger", "show", str(last["position"]), "--grant", str(file), "--from", "north")
    refused = (await run(*call, *home, code=2))["refused"]
    assert "sealed in epoch 2; the grant is of epoch 1" in refused
    both = tmp_path / "both.grant"
    await disclose(granting, both, "--class", "core", "--epoch", "1")
    again = (await look(granting, both))["grants"][0]["entries"]
    assert other_than_grants(again) == other_than_grants(found["entries"])


def other_than_grants(entries: list[Any]) -> list[Any]:
    """Return the entries by which nothing was granted: looking at one takes giving it first."""
    return [each for each in entries if each["fields"]["act"] != "grant.given"]


async def test_a_receipt_is_verified_with_a_grant(granting: Granting, tmp_path: Path) -> None:
    """A party of the study verifies offline: receipt, north's signature, and the open fields."""
    file, world = tmp_path / "south.grant", granting.world
    south = str(world.homes["south"].folder)
    words = ("--to", "south", "--out", str(file), "--home", granting.north)
    await run("ledger", "disclose", "--entry", str(granting.accepted), *words)
    await run("ledger", "show", str(granting.accepted), "--save", str(tmp_path), "--home", south)
    policy = tmp_path / "policy"
    policy.write_text((await run("ledger", "policy", "--home", south))["policy"])
    receipt = tmp_path / f"{granting.accepted}.tlog-proof"
    call = ("ledger", "verify", str(receipt), "--policy", str(policy), "--home", south)
    (found,) = (await run(*call, "--grant", str(file)))["files"]
    assert (found["holds"], found["by"]) == (True, "north")
    assert (found["fields"]["by"], found["fields"]["dataset"]) == ("policy", "trial")
    assert "fields" not in (await run(*call))["files"][0]
    receipt.with_suffix(".beside").unlink()
    refused = (await run(*call, "--grant", str(file), code=2))["refused"]
    assert "not at hand" in refused


async def test_central_grants_what_it_signed(granting: Granting, tmp_path: Path) -> None:
    """Each kind of home can grant; and a person's grant opens at central."""
    found = await run("ledger", "tail", "-n", "500", "--home", str(granting.world.home))
    combined = next(e["position"] for e in found["entries"] if e["act"] == "journey.combined")
    file = tmp_path / "central.grant"
    words = ("--to", "audrey", "--out", str(file), "--home", str(granting.world.home))
    await run("ledger", "disclose", "--entry", str(combined), "--class", "core", *words)
    home = str(granting.auditor)
    (opened,) = (await run("ledger", "grants", str(file), "--home", home))["grants"]
    assert opened["by"] == "central"
    assert opened["entries"][0]["fields"]["round"] == 1
    back = tmp_path / "audrey.grant"
    await run(
        "ledger",
        "disclose",
        "--to",
        "central",
        "--class",
        "core",
        "--out",
        str(back),
        "--home",
        home,
    )
    call = ("ledger", "grants", str(back), "--home", str(granting.world.home))
    (opened,) = (await run(*call))["grants"]
    assert opened["entries"][0]["fields"]["act"] == "party.enrolled"
    assert {e["fields"]["act"] for e in opened["entries"]} <= {"party.enrolled", "grant.given"}


async def test_a_grant_is_an_act_that_names_nobody(
    granting: Granting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest of its file stands in the ledger, as the giver's act; nothing of whom it is for."""
    file, world = tmp_path / "known.grant", granting.world
    made = await disclose(granting, file, "--class", "core")
    given = [a for _, a in world.history() if isinstance(a, acts.GrantGiven)][-1]
    assert (given.id, given.grant) == (made["act"], digest_of(file.read_bytes()))
    assert set(acts.GrantGiven.__struct_fields__) == {"id", "at", "grant"}
    await cosigned(world)
    proven = await run("ledger", "prove", "--home", granting.north)
    assert proven["complete"]
    assert "grant.given" in {each["act"] for each in proven["entries"]}
    monkeypatch.setattr(saying, "PATIENCE", 0.1)
    await world.central.stop()
    try:
        refused = await disclose(granting, tmp_path / "other.grant", "--class", "core", code=7)
        assert "cannot be reached" in refused["refused"]
    finally:
        await world.central.start()
        for station in world.stations.values():  # each would wait a moment by itself
            await station.stop()
            await station.start()
    assert not (tmp_path / "other.grant").exists()


async def test_a_package_is_opened_further_with_a_grant(granting: Granting, tmp_path: Path) -> None:
    """The auditor's package is closed; what a grant opens of it comes from central, or lies beside."""
    package, grant = tmp_path / "case.zip", tmp_path / "part.grant"
    words = ("--for", "audrey", "--class", "technical", "--home", granting.north)
    journey = await journey_of(granting)
    await cosigned(granting.world)
    await run("ledger", "package", str(package), "--journey", journey, *words)
    at = str(granting.accepted)
    await disclose(granting, grant, "--entry", at, "--class", "people", "--class", "core")
    home = ("--from", "north", "--home", str(granting.auditor))
    call = ("ledger", "verify", str(package), "--grant", str(grant), *home)
    (found,) = (await run(*call))["files"]
    assert (found["holds"], found["by"], list(found["opened"])) == (True, "north", [at])
    fields = found["opened"][at]
    assert (fields["act"], fields["by"]) == ("stop.accepted", "policy")
    assert "environment" not in fields
    assert "'north' is known here" in (await run(*call, "--offline", code=4))["refused"]
    names = ("--home", str(granting.world.homes["south"].folder))
    assert (
        "no grant for south"
        in (await run("ledger", "verify", str(package), "--grant", str(grant), *names, code=6))[
            "refused"
        ]
    )
    one = tmp_path / "field.grant"
    await disclose(granting, one, "--entry", str(granting.finished), "--field", "at")
    (found,) = (await run(*call[:4], str(one), *home))["files"]
    assert list(found["opened"]) == [str(granting.finished)]
    other = tmp_path / "other.grant"
    own = (await run("ledger", "prove", "--home", granting.north))["entries"]
    given = next(each["id"] for each in own if each["act"] == "grant.given")
    await disclose(granting, other, "--entry", given)
    refused = (await run(*call[:4], str(other), *home, code=2))["refused"]
    assert "opens none" in refused


async def journey_of(granting: Granting) -> str:
    """Return the journey of the entries that the tests look at."""
    found = await run("ledger", "show", str(granting.accepted), "--home", granting.north)
    return str(found["fields"]["journey"])


async def test_what_cannot_be_granted_is_refused_in_a_sentence(
    granting: Granting, tmp_path: Path
) -> None:
    """Others' entries, unknown names, nothing, a file that is there; nothing is written."""
    file, at = tmp_path / "no.grant", str(granting.accepted)
    wrong: list[tuple[tuple[str, ...], int, str]] = [
        ((), 2, "Nothing is to be disclosed"),
        (("--class", "clinical"), 2, "no class of fields"),
        (("--entry", "0"), 3, "signed by"),
        (("--entry", at, "--field", "name"), 2, "has no field 'name'"),
        (("--entry", str(granting.finished), "--class", "people"), 4, "no fields of the class"),
        (("--entry", "999999"), 4, "There is no entry"),
        (("--field", "by"), 2, "--field goes with --entry"),
        (("--class", "core", "--epoch", "77"), 4, "no secret of an epoch 77"),
    ]
    for words, code, says in wrong:
        refused = await disclose(granting, file, *words, code=code)
        assert says in refused["refused"], words
        assert not file.exists()
    unknown = ("ledger", "disclose", "--to", "nobody", "--class", "core", "--out", str(file))
    assert "nobody" in (await run(*unknown, "--home", granting.north, code=4))["refused"]
    await disclose(granting, file, "--class", "core")
    assert (
        "is there already" in (await disclose(granting, file, "--class", "core", code=5))["refused"]
    )


async def test_a_grant_is_of_no_use_to_anybody_else(granting: Granting, tmp_path: Path) -> None:
    """Another party, one to whom it was sealed anew, a wrong giver, and a changed file."""
    file = tmp_path / "audrey.grant"
    await disclose(granting, file, "--class", "core")
    south = granting.world.homes["south"]
    assert "is no grant for south" in (await look(granting, file, south.folder, 6))["refused"]
    own = Identity.load_or_create(granting.auditor / "keys")
    token = bytes(unseal(file.read_bytes(), own.seal_private))
    passed = tmp_path / "passed.grant"
    passed.write_bytes(seal(token, [south.identity.public.seal]))
    assert granted_by(passed.read_bytes(), south.identity)
    refused = (await look(granting, passed, south.folder, 6))["refused"]
    assert "made for somebody else and passed on" in refused
    words = ("ledger", "grants", str(file), "--home", str(granting.auditor))
    assert "--from" in (await run(*words, code=4))["advice"]
    assert "not made by south" in (await run(*words, "--from", "south", code=6))["refused"]
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1
    file.write_bytes(changed)
    assert "is no grant for audrey" in (await look(granting, file, code=6))["refused"]


async def test_an_erased_field_is_opened_by_no_grant(granting: Granting, tmp_path: Path) -> None:
    """Grants of the class and of the entry made before; and none can be made any more."""
    world = granting.world
    before = tmp_path / "before.grant"
    act = acts.SiteWithdrawn(
        id=new_id("act"),
        at=world.pi.at(),
        study=w.STUDY,
        study_digest=world.approved.digest,
        station="north",
        by="Doctor Quack",
        reason="No more",
    )
    home = world.homes["north"]
    store = StationStore(open_database(home.database), world.clock)

    def sign(made: acts.Act, tags: tuple[str, ...]) -> Any:
        return acts.seal_act(made, home.identity, home.epochs.current(), tags)

    entry = await say(store, world.members["north"].client, sign, act)
    await cosigned(world)
    at = ("--entry", entry.id)
    await disclose(granting, before, *at, "--class", "people")
    (found,) = (await look(granting, before))["grants"]
    assert found["entries"][0]["fields"]["by"] == "Doctor Quack"
    await run("ledger", "erase", entry.id, "--home", granting.north)
    (found,) = (await look(granting, before))["grants"]
    assert found["entries"] == []
    words = ("ledger", "show", entry.id, "--grant", str(before), "--from", "north")
    refused = (await run(*words, "--home", str(granting.auditor), code=2))["refused"]
    assert "were erased" in refused
    after = tmp_path / "after.grant"
    for more in (("--class", "people"), ("--field", "by")):
        assert "erased" in (await disclose(granting, after, *at, *more, code=4))["refused"]
    await disclose(granting, after, *at)
    (found,) = (await look(granting, after))["grants"]
    assert "by" not in found["entries"][0]["fields"]
    assert found["entries"][0]["fields"]["act"] == "study.site-withdrawn"


async def test_the_how_to_page_works_from_its_first_block_to_its_last(
    granting: Granting, tmp_path: Path
) -> None:
    """Run as at a station, in one shell; the number of the entry is given from outside."""
    steps = [b for b in blocks_of(PAGE) if b.kind == "bash" and not b.note.startswith("not run")]
    script = "set -euo pipefail\n" + "".join(f"echo '--- {s}'\n{s.text}" for s in steps)
    (tmp_path / ".branchline-station").symlink_to(granting.north)
    (tmp_path / "audrey").symlink_to(granting.auditor)
    environment = {name: value for name, value in os.environ.items() if "BRANCHLINE" not in name}
    environment |= {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
        "entry": str(granting.accepted),
    }
    with forked_program() as folder:
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environment | {"PATH": f"{folder}:{environment['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    before, after = done.stdout.split("Erased: by of entry")
    assert "policy" in before
    assert "erased by whoever signed the entry" in after
    assert not any(line.split()[:1] == ["by"] for line in after.splitlines())
