"""A study that counts on a witness from outside, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from tests.system import world as w
from tests.system.test_ledger_commands import run
from tests.system.trains import MEAN

from branchline.central import founding, service
from branchline.central.store import Store
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.keys import Identity
from branchline.journey import acts, messages
from branchline.ledger.proof.cosignature import cosigner_key
from branchline.ledger.proof.note import Note, key_of, parse_note
from branchline.ledger.proof.receipt import parse_receipt, verify_receipt
from branchline.ledger.witness.home import WitnessHome, initialise
from branchline.ledger.witness.service import serving
from branchline.study.witnesses import policy_of

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

NAME = "auditor.example/witness"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[w.World]:
    """A station, an auditor's witness that central asks, and a study that counts on both."""
    folder = tmp_path_factory.mktemp("world")
    central, home = folder / "central", WitnessHome(folder / "witness")
    log = key_of(w.ORIGIN, founding.initialise(central, w.ORIGIN).public)
    key = initialise(home, NAME, [log.text])
    async with serving(home, "127.0.0.1", 0) as address:
        laid_out = w.here(folder)
        asked = (f"{key.text}@{address}",)
        settings = service.CentralSettings(central, port=laid_out.port, witnesses=asked)
        laid_out.central = w.Here(lambda: service.running(settings, None))
        try:
            await w.populate(laid_out, ("north",), outside=(key.text,))
            await w.start_stations(laid_out)
            yield laid_out
        finally:
            await laid_out.close()


async def test_data_are_bound_on_its_word_too(world: w.World) -> None:
    """The journey arrives, on receipts with its line; without that line the policy refuses them."""
    journey = await world.depart(MEAN)
    await world.arrived(journey)
    asked = next(
        a for _, a in world.history(journey=journey) if isinstance(a, acts.JourneyRequested)
    )
    answer = await world.pi.client.call(
        "POST",
        "/v1/ledger/receipts",
        body=messages.ReceiptsWanted(study=world.approved.digest, acts=(asked.id,)),
        answer=messages.Receipts,
    )
    receipt, policy = parse_receipt(answer.receipts[0]), policy_of(world.approved)
    store = Store(world.home)
    leaf = store.acts(id=asked.id)[0].entry.leaf
    store.engine.dispose()
    verify_receipt(receipt, leaf, policy, cosigned_by=[NAME])
    note = parse_note(receipt.checkpoint.encode())
    lines = tuple(line for line in note.signatures if line.name != NAME)
    without = msgspec.structs.replace(receipt, checkpoint=Note(note.text, lines).full_text)
    with pytest.raises(Corrupt, match="the policy asks for with-outside"):
        verify_receipt(without, leaf, policy)


async def test_everybody_sees_it(world: w.World) -> None:
    """Central lists it among its witnesses; the station says that its study asks for it."""
    seen = await run("ledger", "witness", "status", "--home", str(world.home))
    assert [(each["party"], bool(each["outside"])) for each in seen["witnesses"]] == [
        (NAME, True),
        ("north", False),
    ]
    assert seen["witnesses"][0]["seen"]
    found = await run("ledger", "witness", "status", "--home", str(world.homes["north"].folder))
    assert found["studies"][0]["outside"] == [NAME]


async def test_one_that_central_does_not_ask_is_refused(world: w.World, tmp_path: Path) -> None:
    """Such a study could never bind data."""
    stranger = cosigner_key("other.example/witness", Identity.create().public).text
    with pytest.raises(Refused, match="does not ask"):
        await world.propose(world.document("trial-2", outside=(stranger,)))
