"""``branchline ledger …`` upon a world in which a journey took place, by each of its parties."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner
from tests.system import world as w
from tests.system.trains import MEAN

from branchline.cli.root import root
from branchline.foundation.digest import digest_of
from branchline.journey import acts
from branchline.ledger.package_check import verify_package
from branchline.study.witnesses import policy_of
from branchline.workbench.client import Client

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[w.World]:
    """Three stations, one journey that was delivered, one that was declined at south."""
    laid_out = w.here(tmp_path_factory.mktemp("world"))
    async with w.inhabited(laid_out, "north", "south", "west") as inhabited:
        journey = await inhabited.depart(MEAN)
        await inhabited.arrived(journey)
        status = await inhabited.status(journey)
        await inhabited.tell(acts.JourneyDelivered, journey, content=status.content)
        inhabited.withdraw("south")
        declined = await inhabited.depart(MEAN, quorum=2)
        await inhabited.arrived(declined)
        inhabited.withdraw("south", withdrawn=False)
        await inhabited.tell(acts.JourneyCancelled, await inhabited.depart(MEAN, quorum=2))
        await w.settled(inhabited)
        inhabited.journey = journey  # type: ignore[attr-defined]  # for the tests below
        yield inhabited


async def run(*words: str, code: int = 0) -> dict[str, Any]:
    """Run a command with --json, in a thread: it has a loop of its own."""

    def call() -> Any:
        return CliRunner().invoke(root, [*words, "--json"], catch_exceptions=False)

    done = await asyncio.to_thread(call)
    assert done.exit_code == code, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def homes(world: w.World) -> list[Path]:
    """Return the folders of central and of all stations."""
    return [world.home, *(home.folder for home in world.homes.values())]


async def test_everybody_finds_his_own_part_in_order(world: w.World) -> None:
    """Central and every station: the ledger and what they keep tell the same story."""
    for home in homes(world):
        found = await run("ledger", "audit", "--home", str(home))
        assert found["contradictions"] == []
        assert found["entries"] == len(world.history())


async def test_a_station_proves_what_was_done_upon_its_dataset(world: w.World) -> None:
    """All entries of the dataset's topic, in their order, with what they are."""
    home = str(world.homes["south"].folder)
    found = await run("ledger", "prove", "--dataset", "trial", "--home", home)
    assert (found["complete"], found["incidents"]) == (True, [])
    kinds = [each["act"] for each in found["entries"]]
    assert kinds[0] == "study.site-approved"
    assert {"stop.accepted", "stop.started", "stop.released", "stop.finished"} <= set(kinds)
    assert "stop.declined" in kinds
    own = await run("ledger", "prove", "--home", home)
    assert {e["position"] for e in found["entries"]} <= {e["position"] for e in own["entries"]}
    listed = await run("ledger", "prove", "--list", "--home", home)
    assert {"own", "dataset/trial"} < {each["topic"] for each in listed["topics"]}
    assert (await run("ledger", "prove", "--home", str(world.home)))["complete"]


async def test_a_topic_that_is_not_here_is_named(world: w.World) -> None:
    """Another party's secrets are not here."""
    found = await run("ledger", "prove", "--dataset", "trial", "--home", str(world.home), code=4)
    assert "no secret of a topic 'dataset/trial'" in found["refused"]


async def test_entries_are_shown_to_whom_they_are_open(world: w.World) -> None:
    """A station reads its own acts and the requests it was sent, and of others who signed them."""
    home = str(world.homes["north"].folder)
    found = (await run("ledger", "tail", "-n", "500", "--home", home))["entries"]
    by = {each["act"]: each["by"] for each in found}
    assert by["stop.released"] == "north"
    assert by["journey.requested"] == "alice"
    closed = [each for each in found if not each["act"] and each["by"] == "south"]
    assert closed
    everything = (await run("ledger", "tail", "-n", "500", "--home", str(world.home)))["entries"]
    assert all(each["act"] for each in everything)


async def test_a_saved_receipt_is_verified_offline(world: w.World, tmp_path: Path) -> None:
    """Entry and receipt as files, with nothing but the study's policy; a changed byte is noticed."""
    home = str(world.homes["north"].folder)
    found = (await run("ledger", "prove", "--dataset", "trial", "--home", home))["entries"]
    entry = found[-1]["id"]
    shown = await run("ledger", "show", entry, "--save", str(tmp_path), "--home", home)
    assert shown["fields"]["act"] == found[-1]["act"]
    assert any(topic.startswith("dataset/trial ") for topic in shown["topics"])
    text = (await run("ledger", "policy", "--home", home))["policy"]
    policy = tmp_path / "ages.policy"
    policy.write_text(text)
    receipt = tmp_path / f"{shown['position']}.tlog-proof"
    words = ("ledger", "verify", str(receipt), "--policy", str(policy))
    assert (await run(*words))["holds"]
    assert (await run(*words, "--digest", policy_of(world.approved).digest))["holds"]
    presented = receipt.with_suffix(".sd-jwt")
    true = presented.read_text()
    for at in (0, len(true.partition("~")[0]) - 2, len(true) // 2, len(true) - 3, len(true) - 1):
        presented.write_text(true[:at] + ("A" if true[at] != "A" else "B") + true[at + 1 :])
        assert not (await run(*words, code=6))["holds"], at
    presented.write_text(true.partition("~")[0])
    assert (await run(*words))["holds"]


async def test_an_export_is_checked_by_its_files_alone(world: w.World, tmp_path: Path) -> None:
    """The static layout with checkpoint, verifier key and policies, the same from central and stations."""
    folders = [tmp_path / str(number) for number in range(2)]
    for home, folder in zip(homes(world), folders, strict=False):
        found = await run("ledger", "export", str(folder), "--home", str(home))
        assert found["size"] == len(world.history())
        assert (folder / "vkey").read_text() == found["vkey"] + "\n"
        assert (folder / "policy").read_text() == policy_of(world.approved).text
    tiles = [
        {str(f.relative_to(folder)): digest_of(f.read_bytes()) for f in folder.glob("tile/**/*")
         if f.is_file()}
        for folder in folders
    ]  # fmt: skip
    assert tiles[0] == tiles[1] != {}


async def test_everybody_sees_how_the_witnesses_stand(world: w.World) -> None:
    """A station what it vouched for and what its studies ask; central every witness, and its lag."""
    size, cosigned = len(world.history()), world.home / "ledger" / "cosigned"
    await w.eventually(lambda: f"\n{size}\n" in cosigned.read_text())
    for name, home in world.homes.items():
        found = await run("ledger", "witness", "status", "--home", str(home.folder))
        assert (found["size"], found["mirrored"], found["alarms"]) == (size, size, [])
        (study,) = found["studies"]
        assert (study["study"], study["asked"], study["entities"]) == (w.STUDY, 2, 3)
        assert study["own"]
        assert found["vkey"].startswith(f"{w.ORIGIN}/witness/{name}+")
    seen = await run("ledger", "witness", "status", "--home", str(world.home))
    assert (seen["size"], seen["alarms"]) == (size, [])
    stands = {each["party"]: each for each in seen["witnesses"]}
    assert stands.keys() == world.homes.keys()
    assert all(each["seen"] for each in stands.values())
    # What a station cosigned in the last moment may come to central with the next round.
    assert all(each["lag"] == size - each["size"] < size for each in stands.values())


async def test_a_package_is_checked_by_python_alone(world: w.World, tmp_path: Path) -> None:
    """What an auditor gets: the journey at this station, its dataset complete, no names of people."""
    file, home = tmp_path / "case.zip", str(world.homes["north"].folder)
    words = ("--for", "auditor", "--journey", world.journey, "--topic", "dataset/trial")  # type: ignore[attr-defined]
    made = await run("ledger", "package", str(file), *words, "--hide", "by", "--home", home)
    assert made["policy"] == policy_of(world.approved).digest
    command = [sys.executable, "-I", "-S", str(file), "--policy", made["policy"], "--json"]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (await run("ledger", "verify", str(file), "--digest", made["policy"]))["holds"]
    fields = verify_package(file).entries
    assert {"stop.accepted", "stop.finished"} <= {each.get("act") for each in fields.values()}
    assert all("by" not in each for each in fields.values())
    other = "sha256:" + "0" * 64
    assert not (await run("ledger", "verify", str(file), "--digest", other, code=6))["holds"]


async def test_a_person_mirrors_and_proves_his_own_acts(world: w.World) -> None:
    """What a researcher's program recorded is numbered, kept, and found complete."""
    home = world.folder / "rita"
    invitation = world.invite("rita", "person").text
    cosigned = world.home / "ledger" / "cosigned"

    def work() -> None:
        with Client(home) as client:
            client.enroll(invitation)
            from branchline.train.template import new_train

            folder = world.folder / "mean-age"
            folder.mkdir()
            for name, text in new_train("mean-age", route="parallel").items():
                (folder / name).write_text(text)
            client.send_train(folder)

    await asyncio.to_thread(work)
    await w.settled(world)
    await w.eventually(lambda: f"\n{len(world.history())}\n" in cosigned.read_text())
    found = await run("ledger", "prove", "--home", str(home))
    assert (found["complete"], [e["act"] for e in found["entries"]]) == (True, ["train.packed"])
    audited = await run("ledger", "audit", "--home", str(home))
    assert audited["contradictions"] == []
    shown = (await run("ledger", "tail", "--home", str(home)))["entries"]
    assert [e["act"] for e in shown if e["by"] == "rita"] == ["party.enrolled", "train.packed"]


# Tampering, on copies


TAMPERINGS = {
    "a party's key": "UPDATE parties SET sign = (SELECT sign FROM parties WHERE name = 'north') "
    "WHERE name = 'ella'",
    "a witness's key": "UPDATE witnesses SET entity = 'another' WHERE party = 'north'",
    "an invitation": "UPDATE invitations SET used_by = NULL WHERE name = 'alice'",
    "a study": "UPDATE studies SET document = CAST(document || ' ' AS BLOB)",
    "a train": "DELETE FROM trains",
    "a journey": "DELETE FROM journeys",
    "a journey's requester": "UPDATE journeys SET requester = 'somebody'",
    "that it has finished": "UPDATE journeys SET finished = 1 - finished",
    "a parcel": "UPDATE parcels SET data = CAST('x' AS BLOB) WHERE data IS NOT NULL",
    "an act": "DELETE FROM acts WHERE kind = 'stop.started'",
    "whose act": "UPDATE acts SET party = 'south' WHERE kind = 'stop.released' AND party = 'north'",
    "what kind of act": "UPDATE acts SET kind = 'stop.held' WHERE kind = 'stop.started'",
    "an entry": "UPDATE ledger_entries SET leaf = CAST('x' AS BLOB) WHERE position = 7",
    "a tag": "DELETE FROM ledger_tags WHERE position = 20",
}


@pytest.mark.parametrize("what", TAMPERINGS)
async def test_every_change_of_centrals_database_is_named(
    world: w.World, tmp_path: Path, what: str
) -> None:
    """Whatever is changed behind the program's back contradicts the ledger."""
    copy = tmp_path / "central"
    w.copy_disk(world.home, copy)
    with sqlite3.connect(copy / "central.sqlite") as database:
        assert database.execute(TAMPERINGS[what]).rowcount
    database.close()
    found = await run("ledger", "audit", "--home", str(copy), code=6)
    assert found["contradictions"]


async def test_a_changed_entry_on_centrals_disk_is_located(world: w.World, tmp_path: Path) -> None:
    """One flipped bit in a bundle: the file and the position are named."""
    copy = tmp_path / "central"
    w.copy_disk(world.home, copy)
    (bundle,) = [f for f in (copy / "ledger/tile/entries").glob("**/*") if f.is_file()][-1:]
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)
    found = await run("ledger", "audit", "--home", str(copy), code=6)
    assert "tile/entries" in found["contradictions"][0]


STATION = {
    "an act": "DELETE FROM outbox WHERE rowid = (SELECT max(rowid) FROM outbox)",
    "an act's outcome": "UPDATE outbox SET outcome = 'refused' WHERE rowid = 2",
    "an event": "DELETE FROM events WHERE event = 'departed'",
    "a counter": "UPDATE topics SET next = next + 1 WHERE name = 'dataset/trial'",
    "a number": "DELETE FROM topic_numbers WHERE topic = 'own' AND number = 1",
}


@pytest.mark.parametrize("what", STATION)
async def test_every_change_of_a_stations_database_is_named(
    world: w.World, tmp_path: Path, what: str
) -> None:
    """A station that forgot something it said, or says that it did not, contradicts the ledger."""
    copy = tmp_path / "north"
    w.copy_disk(world.homes["north"].folder, copy)
    with sqlite3.connect(copy / "station.sqlite") as database:
        assert database.execute(STATION[what]).rowcount
    database.close()
    found = await run("ledger", "audit", "--offline", "--home", str(copy), code=6)
    assert found["contradictions"]
