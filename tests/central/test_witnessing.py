"""Rounds of cosigning, with witnesses that answer late, twice, wrongly, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from tests.station.ledgers import CENTRAL, ORIGIN, Ledger, entry

from branchline.central import witnessing
from branchline.central.inbox import Inbox
from branchline.central.receipts import Receipts
from branchline.central.witnessing import _MOMENT, Witnessing
from branchline.foundation.clock import SystemClock
from branchline.foundation.database import open_database, writing
from branchline.foundation.errors import Conflict, Corrupt, Unavailable
from branchline.foundation.keys import Identity
from branchline.foundation.tasks import leave_off
from branchline.journey.messages import WitnessAnswer, WitnessCall
from branchline.ledger.proof.cosignature import cosigner_key
from branchline.ledger.proof.note import key_of
from branchline.ledger.proof.policy import default_policy
from branchline.ledger.proof.receipt import parse_receipt
from branchline.ledger.witness.store import WitnessStore
from branchline.ledger.witness.witness import Witness

NAMES = ("north", "south", "west")
KEYS = {name: Identity.create() for name in NAMES}
VKEYS = {name: cosigner_key(f"{ORIGIN}/witness/{name}", own.public) for name, own in KEYS.items()}
LOG_KEY = key_of(ORIGIN, CENTRAL.public)
POLICY = default_policy(LOG_KEY, {name: [key] for name, key in VKEYS.items()})


class Pushed(Inbox):
    """Keeps what is pushed, instead of sending it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: asyncio.Queue[tuple[str, WitnessCall]] = asyncio.Queue()

    def push(self, name: str, data: bytes) -> None:
        """Keep a call."""
        self.calls.put_nowait((name, msgspec.json.decode(data, type=WitnessCall)))


class Bench:
    """Central's side of cosigning, and three witnesses that a test lets answer."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder / "central", [entry("first")])
        self.inbox = Pushed()
        receipts = Receipts(self.ledger.log)
        self.rounds = Witnessing(self.ledger.log, receipts, self.ledger.engine, self.inbox)
        self.tasks = [
            asyncio.create_task(receipts.keep_integrated()),
            asyncio.create_task(self.rounds.run()),
        ]
        self.witnesses = {
            name: Witness(
                WitnessStore(open_database(folder / name / "w.sqlite")),
                VKEYS[name].name,
                own,
                SystemClock(),
                logs={ORIGIN: [LOG_KEY]},
            )
            for name, own in KEYS.items()
        }

    def listen(self, *names: str) -> None:
        """Let witnesses open their lines."""
        for name in names:
            self.rounds.listens(name, VKEYS[name])

    def append(self, *words: str) -> int:
        """Append entries; returns the position of the last."""
        with writing(self.ledger.engine) as connection:
            return self.ledger.log.append_many(connection, [entry(word) for word in words])[-1]

    async def call(self) -> tuple[str, WitnessCall]:
        """Return the next call that was pushed."""
        async with asyncio.timeout(20):
            return await self.inbox.calls.get()

    def answer(self, name: str, call: WitnessCall) -> WitnessAnswer:
        """Return what a witness answers."""
        answer = self.witnesses[name].add_checkpoint(call.request)
        size = int(call.request.partition(b"\n\n")[2].split(b"\n")[1])
        return WitnessAnswer(size=size, status=answer.status, body=answer.body)

    async def serve(self, *silent: str) -> None:
        """Answer every call at once, but for some witnesses."""
        while True:
            name, call = await self.call()
            if name not in silent:
                self.rounds.answered(name, self.answer(name, call))


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A ledger with one entry, nobody listening."""
    made = Bench(tmp_path)
    yield made
    await leave_off(made.tasks)


async def receipts(bench: Bench, position: int, *names: str, patience: float = 20.0) -> str:
    """Wait for a receipt that the policy accepts, with some witnesses in it."""
    own = [VKEYS[name].name for name in names]
    (text,) = await bench.rounds.receipts([position], POLICY, own, patience)
    return text


async def test_a_receipt_waits_for_the_quorum(bench: Bench) -> None:
    """Two of three have answered: it is given, at a checkpoint with both of them."""
    bench.listen("north", "south")
    serving = asyncio.create_task(bench.serve())
    at = bench.append("one", "two")
    text = await receipts(bench, at, "south")
    found = parse_receipt(text)
    assert found.index == at
    verified = POLICY.open(found.checkpoint.encode())
    assert set(verified.cosigned) == {VKEYS["north"].name, VKEYS["south"].name}
    await leave_off([serving])


async def test_a_receipt_that_nobody_vouches_for_is_not_given(bench: Bench) -> None:
    """One of three is no quorum; the sentence names who cosigned."""
    bench.listen("north")
    serving = asyncio.create_task(bench.serve())
    with pytest.raises(Unavailable, match="Of the 3 witnesses asked for, north cosigned in time"):
        await receipts(bench, bench.append("one"), patience=1.5)
    await leave_off([serving])


async def test_ones_own_cosignature_is_waited_for(bench: Bench) -> None:
    """The quorum is there, but not the witness that was asked for by name."""
    bench.listen(*NAMES)
    serving = asyncio.create_task(bench.serve("west"))
    at = bench.append("one")
    await receipts(bench, at)
    with pytest.raises(Unavailable):
        await receipts(bench, at, "west", patience=0.5)
    await leave_off([serving])


async def test_who_answers_late_is_asked_again_from_where_it_is(bench: Bench) -> None:
    """The next round is asked before the answer to the last one has come: nobody falls behind."""
    bench.listen("north")
    _, first = await bench.call()
    bench.append("one")
    waiting = asyncio.create_task(receipts(bench, 1, patience=20))
    _, second = await bench.call()  # the first was not answered in a moment: the next round
    assert second.request.startswith(b"old 0\n")
    late, refused = bench.answer("north", first), bench.answer("north", second)
    assert (late.status, refused.status) == (200, 409)
    bench.rounds.answered("north", late)
    bench.rounds.answered("north", refused)
    _, again = await bench.call()
    assert again.request.startswith(b"old 1\n")
    bench.rounds.answered("north", bench.answer("north", again))
    assert bench.witnesses["north"].size_of(ORIGIN) == 2
    bench.listen("south")
    name, call = await bench.call()
    bench.rounds.answered(name, bench.answer(name, call))
    assert parse_receipt(await waiting).index == 1


async def test_a_witness_that_comes_is_asked_for_the_round_under_way(bench: Bench) -> None:
    """It need not wait for the ledger to grow."""
    bench.listen("north")
    await bench.call()
    bench.listen("west")
    name, call = await bench.call()
    assert (name, bench.answer(name, call).status) == ("west", 200)


async def test_nothing_is_asked_while_nothing_grows(bench: Bench) -> None:
    """One round for one size, however often it is looked."""
    bench.listen("north")
    name, call = await bench.call()
    bench.rounds.answered(name, bench.answer(name, call))
    await asyncio.sleep(2.5)
    assert bench.inbox.calls.empty()


async def test_what_comes_late_is_kept_though_nothing_grows(bench: Bench) -> None:
    """The last round of a day may be answered after its moment, by one and then by another."""
    bench.listen("north", "south")
    calls = [await bench.call(), await bench.call()]
    await asyncio.sleep(_MOMENT + 0.3)
    assert bench.ledger.log.cosigned() is None
    for count, (name, call) in enumerate(calls, 1):
        bench.rounds.answered(name, bench.answer(name, call))
        async with asyncio.timeout(20):
            while (bench.ledger.log.cosigned() or b"").count(b"/witness/") != count:
                await asyncio.sleep(0.01)


async def test_who_does_not_answer_is_asked_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call was lost, or the mirror was not ready: the ledger need not grow for the next one."""
    monkeypatch.setattr(witnessing, "_AGAIN", 0.0)
    bench.listen("north")
    name, call = await bench.call()
    assert (await bench.call())[0] == name
    size = bench.answer("south", call).size
    bench.rounds.answered(name, WitnessAnswer(size=size, status=503, body="not yet\n"))
    assert (await bench.call())[0] == name
    bench.rounds.answered(name, bench.answer(name, call))
    while not bench.inbox.calls.empty():
        bench.inbox.calls.get_nowait()
    await asyncio.sleep(1.5)  # longer than it takes to look again
    assert bench.inbox.calls.empty()


async def test_answers_that_are_none_are_refused(bench: Bench) -> None:
    """Of no round, of no witness, in nobody's name."""
    bench.listen("north")
    name, call = await bench.call()
    good = bench.answer(name, call)
    for wrong in (msgspec.structs.replace(good, size=99), msgspec.structs.replace(good, size=-1)):
        with pytest.raises(Conflict):
            bench.rounds.answered(name, wrong)
    with pytest.raises(Conflict):
        bench.rounds.answered("stranger", good)
    for body in ("", "nonsense\n", bench.answer("south", call).body):
        with pytest.raises(Corrupt):
            bench.rounds.answered(name, msgspec.structs.replace(good, body=body))
    bench.rounds.answered(name, good)


def published(bench: Bench) -> bytes:
    """Return the checkpoint that everybody is shown with its cosignatures."""
    return bench.ledger.files.read("cosigned")


async def test_what_was_cosigned_is_kept_for_good(bench: Bench) -> None:
    """The checkpoint with its cosignatures is archived, and published."""
    bench.listen(*NAMES)
    serving = asyncio.create_task(bench.serve())
    await receipts(bench, bench.append("one"))
    async with asyncio.timeout(60):
        # A thread keeps it: what is published may be newer than what was archived a moment ago.
        while (kept := bench.ledger.log.cosigned()) is None or published(bench) != kept:
            await asyncio.sleep(0.01)
    assert POLICY.open(kept)
    await leave_off([serving])


async def test_a_ledger_that_is_behind_a_witness_stops(bench: Bench, tmp_path: Path) -> None:
    """A checkpoint of its own that it does not have: one sentence, and no more rounds."""
    longer = Ledger(tmp_path / "other", [entry("first"), entry("second")])
    with pytest.raises(Conflict, match="signed 2 entries before, and now has fewer"):
        bench.rounds.confront("north", VKEYS["north"], longer.log.checkpoint().decode())
    assert bench.rounds.stopped.endswith("as the witness of north has shown")
    bench.listen("north")
    await asyncio.sleep(1.5)
    assert bench.inbox.calls.empty()


async def test_a_note_of_another_ledger_stops_nobody(bench: Bench) -> None:
    """What central did not sign says nothing of it."""
    with pytest.raises(Conflict):
        bench.rounds.confront("north", VKEYS["north"], "nonsense")
    assert not bench.rounds.stopped
