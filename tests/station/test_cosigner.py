"""A station vouches for consistent growth only, for what it holds, and keeps what convicts a liar."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.station.ledgers import CENTRAL, ORIGIN, Ledger, Line, Station, entry, wired

from branchline.foundation.errors import BranchlineError, Corrupt
from branchline.foundation.keys import Identity
from branchline.journey.enrolment import witness_vkey
from branchline.journey.messages import is_witness_call
from branchline.ledger.proof.cosignature import parse_cosigner_key
from branchline.ledger.proof.evidence import check_evidence
from branchline.ledger.proof.note import key_of
from branchline.ledger.statements import make_statement
from branchline.ledger.tagproof import TagTreeHead
from branchline.ledger.witness.wire import parse_answer
from branchline.station.cosigner import SeenEvidence

WITNESS = Identity.create()
VKEY = key_of(ORIGIN, CENTRAL.public).text
COMMON = [entry(f"common {number}") for number in range(5)]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger of five entries."""
    return Ledger(tmp_path / "a", COMMON)


@pytest.fixture
def station(tmp_path: Path, ledger: Ledger) -> Station:
    """A station that has not cosigned anything yet."""
    return Station(tmp_path / "north", Line(ledger), WITNESS)


def fork(tmp_path: Path, count: int = 3) -> Ledger:
    """Another history with the same beginning."""
    own = [entry(f"other {number}") for number in range(count)]
    return Ledger(tmp_path / "b", [*COMMON, *own])


async def test_growth_is_cosigned_and_mirrored(ledger: Ledger, station: Station) -> None:
    """The cosignature holds, by the key announced; the entries are here, computed anew."""
    answer = await station.asked(ledger.call(0))
    assert answer.status == 200
    text = ledger.log.checkpoint().partition(b"\n\n")[0].decode() + "\n"
    key = parse_cosigner_key(witness_vkey(ORIGIN, "north", WITNESS))
    assert [c.key for c in parse_answer(answer.body.encode(), text, [key])] == [key]
    ledger.add(entry("one more"))
    assert (await station.asked(ledger.call(5))).status == 200
    assert (station.size, len(station.mirrored())) == (6, 6)


async def test_entries_that_do_not_ride_along_are_fetched(ledger: Ledger, station: Station) -> None:
    """More than a bundle of them, full and partial, from the ledger's files."""
    ledger.add(*(entry(f"many {number}") for number in range(700)))
    assert (await station.asked(ledger.call(0, inline=False))).status == 200
    assert len(station.mirrored()) == 705


async def test_a_bundle_that_became_full_meanwhile_is_fetched_whole(
    ledger: Ledger, station: Station
) -> None:
    """The partial file is gone; the full one holds the same entries and more."""
    call = ledger.call(0, inline=False)
    ledger.add(*(entry(f"many {number}") for number in range(300)))
    assert (await station.asked(call)).status == 200
    assert station.size == 5


async def test_nothing_is_cosigned_that_is_not_held(ledger: Ledger, station: Station) -> None:
    """Wrong entries, or none to be had: no cosignature; the right ones put it right."""
    good = ledger.call(0)
    wrong = msgspec.structs.replace(good, entries=(*good.entries[:-1], entry("wrong")))
    with pytest.raises(Corrupt, match="do not give the root"):
        await station.cosigner.answer(wrong)
    station.line.away = True
    with pytest.raises(BranchlineError):
        await station.cosigner.answer(ledger.call(0, inline=False))
    assert (station.size, station.line.answers, station.evidence) == (0, [], [])
    station.line.away = False
    assert (await station.asked(good)).status == 200


async def test_what_was_cosigned_outlives_a_restart(ledger: Ledger, station: Station) -> None:
    """The same is cosigned again, growth goes on, and central is told what was the last."""
    await station.asked(ledger.call(0))
    station.start()
    assert (await station.asked(ledger.call(5))).status == 200
    await station.cosigner.announce()
    assert station.line.seen[-1].startswith(f"{ORIGIN}\n5\n")
    ledger.add(entry("one more"))
    station.start()
    assert (await station.asked(ledger.call(5))).status == 200


async def test_a_false_tag_tree_is_not_vouched_for(ledger: Ledger, station: Station) -> None:
    """Central states another tree than that of the entries: refused, for as long as it stands."""
    ledger.add(*(entry(f"many {number}") for number in range(255)))
    assert (await station.asked(ledger.call(0))).status == 200
    true = TagTreeHead(0, sha256().digest(), 256)
    ledger.add(make_statement(true, ORIGIN, CENTRAL).leaf)
    assert (await station.asked(ledger.call(260))).status == 200
    false = msgspec.structs.replace(true, size=1, root=bytes(32))
    ledger.add(make_statement(msgspec.structs.replace(false, covered=0), ORIGIN, CENTRAL).leaf)
    for _ in range(2):
        answer = await station.asked(ledger.call(261))
        assert (answer.status, station.size) == (422, 261)
        assert "The entry 261 states another tag tree" in answer.body
        ledger.add(entry("one more"))


async def test_a_lagging_log_is_told_the_size(ledger: Ledger, station: Station) -> None:
    """Central asks from an old size on: it learns the right one, and no harm is done."""
    await station.asked(ledger.call(0))
    ledger.add(entry("one more"))
    answer = await station.asked(ledger.call(3))
    assert (answer.status, answer.body) == (409, "5\n")
    assert (station.evidence, station.cosigner.alarm) == ([], "")


async def test_a_split_view_is_evidence(ledger: Ledger, station: Station, tmp_path: Path) -> None:
    """Two histories of eight entries, both signed by central: anybody can check the file."""
    ledger.add(*(entry(f"own {number}") for number in range(3)))
    await station.asked(ledger.call(0))
    other = fork(tmp_path)
    answer = await station.asked(other.call(8, claimed=8))
    assert answer.status == 422
    (data,) = station.evidence
    assert "two different histories of 8 entries" in check_evidence(data, VKEY).sentence
    assert station.cosigner.alarm


async def test_a_fork_that_has_grown_is_evidence(
    ledger: Ledger, station: Station, tmp_path: Path
) -> None:
    """Where the other history is longer, the proof itself convicts it."""
    ledger.add(entry("own"))
    await station.asked(ledger.call(0))
    other = fork(tmp_path, 6)
    assert (await station.asked(other.call(6))).status == 422
    (data,) = station.evidence
    assert "do not begin with the 6 it had signed" in check_evidence(data, VKEY).sentence


async def test_a_restored_log_that_went_on_is_evidence(
    ledger: Ledger, station: Station, tmp_path: Path
) -> None:
    """Put back to five entries and grown differently to seven, it asks from five on."""
    ledger.add(*(entry(f"own {number}") for number in range(4)))
    await station.asked(ledger.call(0))
    answer = await station.asked(fork(tmp_path, 2).call(5))
    assert (answer.status, answer.body) == (409, "9\n")
    (data,) = station.evidence
    assert check_evidence(data, VKEY).smaller.size == 7


async def test_an_alarm_lasts_until_somebody_has_looked(
    ledger: Ledger, station: Station, tmp_path: Path
) -> None:
    """Also across restarts; new evidence is a new alarm."""
    ledger.add(*(entry(f"own {number}") for number in range(3)))
    await station.asked(ledger.call(0))
    await station.asked(fork(tmp_path).call(8, claimed=8))
    station.start()
    assert station.cosigner.alarm
    for each in station.cosigner.witness.evidence():
        SeenEvidence(station.engine).note(each)
    station.cosigner.look()
    assert not station.cosigner.alarm
    await station.asked(Ledger(tmp_path / "c", [*COMMON, *map(entry, "xyz")]).call(8, claimed=8))
    assert station.cosigner.alarm


async def test_nobody_else_can_raise_an_alarm(
    ledger: Ledger, station: Station, tmp_path: Path
) -> None:
    """A checkpoint that central did not sign is not its contradiction."""
    await station.asked(ledger.call(0))
    call = fork(tmp_path).call(5, claimed=5)
    forged = call.request.replace(b"\xe2\x80\x94 " + ORIGIN.encode(), b"\xe2\x80\x94 somebody.else")
    answer = await station.asked(msgspec.structs.replace(call, request=forged))
    assert answer.status == 403
    assert (station.evidence, station.cosigner.alarm) == ([], "")


@settings(max_examples=25, deadline=None)
@given(data=st.data())
async def test_no_call_makes_the_station_vouch_for_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any byte of a request changed: nothing is cosigned but the true growth."""
    folder = tmp_path_factory.mktemp("ledgers")
    ledger = Ledger(folder / "a", COMMON)
    station = Station(folder / "north", Line(ledger), WITNESS)
    await station.asked(ledger.call(0))
    ledger.add(entry("one more"))
    call = ledger.call(5)
    at = data.draw(st.integers(0, len(call.request) - 1))
    changed = bytearray(call.request)
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        answer = await station.asked(msgspec.structs.replace(call, request=bytes(changed)))
    except BranchlineError:
        return
    assert answer.status != 200 or station.mirrored()[:6] == station.mirrored()
    assert station.size == (6 if answer.status == 200 else 5)


def test_calls_are_told_from_notices(ledger: Ledger) -> None:
    """By how they begin on the wire."""
    assert is_witness_call(wired(ledger.call(0)))
    assert not is_witness_call(b'{"kind":"visit"}')
