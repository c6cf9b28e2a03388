"""A log with witnesses: rounds, quorums that last, and a log that is behind signs nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.ledger.disk import SimulatedDisk
from tests.ledger.histories import History
from tests.ledger.parties import NewWitness, ask, gather, introduce, name_of, policy_of
from tests.ledger.vectors import LOG_VKEY, ORIGIN, entries, log_identity

from branchline.foundation.database import open_database, writing
from branchline.foundation.errors import Conflict, Corrupt, NotFound, Unavailable
from branchline.foundation.keys import Identity
from branchline.ledger.entry import make_entry
from branchline.ledger.guard import SignedFile
from branchline.ledger.log import Log
from branchline.ledger.proof.checkpoint import Checkpoint, sign_checkpoint
from branchline.ledger.proof.evidence import check_evidence
from branchline.ledger.proof.note import parse_key
from branchline.ledger.proof.policy import Policy, key_policy
from branchline.ledger.proof.receipt import parse_receipt, verify_receipt
from branchline.ledger.topics import tag_of
from branchline.ledger.witness.witness import Witness

Append = Callable[[Log, Iterable[bytes]], list[int]]
POLICY = policy_of(4)


@pytest.fixture
def witnesses(new_witness: NewWitness) -> list[Witness]:
    """Give four witnesses, three of which are a quorum."""
    return [new_witness(number) for number in range(4)]


@pytest.fixture
def watched(engine: Engine, disk: SimulatedDisk, witnesses: list[Witness]) -> Callable[..., Log]:
    """Open the ledger with its policy, and let the witnesses show what they have."""

    def run(heard: int = 4, policy: Policy = POLICY, files: SimulatedDisk = disk) -> Log:
        log = Log(engine, files, ORIGIN, log_identity(), policy=policy)
        introduce(log, list(enumerate(witnesses))[:heard])
        log.integrate()
        return log

    return run


def test_three_of_four_make_a_quorum_that_receipts_refer_to(
    watched: Callable[..., Log], append: Append, witnesses: list[Witness]
) -> None:
    """What three witnesses cosigned and the log kept is proven by receipts the policy accepts."""
    log = watched()
    append(log, entries(5))
    log.integrate()
    with pytest.raises(Unavailable, match="No checkpoint is cosigned yet"):
        log.prove_many([2], cosigned=True)
    gather(log, witnesses[:3])
    (receipt,) = log.prove_many([2], cosigned=True)
    names = [name_of(number) for number in range(3)]
    assert verify_receipt(parse_receipt(receipt.text), b"entry 2", POLICY).size == 5
    verify_receipt(receipt, b"entry 2", POLICY, cosigned_by=names)
    with pytest.raises(Corrupt, match="not cosigned by w3"):
        verify_receipt(receipt, b"entry 2", POLICY, cosigned_by=[name_of(3)])


def test_a_receipt_of_the_log_alone_does_not_satisfy_the_policy(
    watched: Callable[..., Log], append: Append, witnesses: list[Witness]
) -> None:
    """With too few cosignatures a receipt proves the log's word only."""
    log = watched()
    append(log, entries(5))
    log.integrate()
    verify_receipt(log.receipt(2), b"entry 2", LOG_VKEY)
    with pytest.raises(Corrupt, match="cosigned by nobody; the policy asks for two-thirds"):
        verify_receipt(log.receipt(2), b"entry 2", POLICY)
    gather(log, witnesses[:2])
    with pytest.raises(Corrupt, match=r"cosigned by w0.*, w1.*; the policy"):
        verify_receipt(log.receipt(2), b"entry 2", POLICY)


def test_receipts_refer_to_the_cosigned_checkpoint_while_the_log_grows(
    watched: Callable[..., Log], append: Append, witnesses: list[Witness]
) -> None:
    """Entries that come later wait for the next cosigned checkpoint; earlier ones do not."""
    log = watched()
    append(log, entries(300))
    log.integrate()
    gather(log, witnesses)
    first = log.cosigned()
    assert first
    append(log, entries(700, 300))
    log.integrate()
    for position in (0, 255, 256, 299):
        (receipt,) = log.prove_many([position], cosigned=True)
        assert verify_receipt(receipt, b"entry %d" % position, POLICY).size == 300
    with pytest.raises(Unavailable, match="not yet covered"):
        log.prove_many([300], cosigned=True)
    gather(log, witnesses)
    (receipt,) = log.prove_many([300], cosigned=True)
    assert verify_receipt(receipt, b"entry 300", POLICY).size == 1000
    (receipt,) = log.prove_many([299], at=first.decode())
    assert verify_receipt(receipt, b"entry 299", POLICY).size == 300


def test_no_receipt_refers_to_a_checkpoint_that_is_not_the_logs(
    watched: Callable[..., Log], append: Append
) -> None:
    """A checkpoint of another history, or of a size not reached, proves nothing here."""
    log = watched()
    append(log, entries(5))
    log.integrate()
    other = History([b"forged", *entries(9, 1)])
    with pytest.raises(Corrupt, match="does not lead to the root"):
        log.prove_many([1], at=other.note(5))
    with pytest.raises(NotFound):
        log.prove_many([1], at=other.note(6))


def test_a_late_cosignature_joins_those_that_were_kept(
    watched: Callable[..., Log], append: Append, witnesses: list[Witness]
) -> None:
    """What the fourth witness answered later is kept, even if there is a newer checkpoint."""
    log = watched()
    append(log, entries(3))
    log.integrate()
    note = log.checkpoint()
    gather(log, witnesses[:3])
    append(log, entries(1, 3))
    log.integrate()
    log.keep(note + ask(log, witnesses[3], note).encode())
    cosigned = log.cosigned()
    assert cosigned
    assert set(POLICY.open(cosigned).cosigned) == {name_of(number) for number in range(4)}
    gather(log, witnesses)
    log.keep(note)
    assert log.cosigned(3) == cosigned


def test_what_is_not_the_logs_is_not_kept(
    watched: Callable[..., Log], append: Append, witnesses: list[Witness]
) -> None:
    """A note by another key, or another root of a size that was kept, is refused."""
    log = watched()
    append(log, entries(3))
    log.integrate()
    gather(log, witnesses)
    before = log.cosigned()
    foreign = sign_checkpoint(Checkpoint(ORIGIN, 3, bytes(32)), Identity.create())
    with pytest.raises(Corrupt, match="not signed by"):
        log.keep(foreign.full_text.encode())
    with pytest.raises(Conflict, match="Another checkpoint of 3"):
        log.keep(History([b"x", b"y", b"z"]).note(3).encode())
    assert log.cosigned() == before


def test_what_was_cosigned_is_kept_for_good(
    watched: Callable[..., Log],
    append: Append,
    witnesses: list[Witness],
    disk: SimulatedDisk,
) -> None:
    """After restarts every checkpoint that witnesses cosigned can still be shown."""
    log = watched()
    for first in (0, 3, 6):
        append(log, entries(3, first))
        log.integrate()
        gather(log, witnesses[:3])
    append(log, entries(1, 9))
    again = watched()
    assert again.integrate().size == 10
    for least, size in [(0, 3), (1, 3), (3, 3), (4, 6), (7, 9)]:
        kept = again.cosigned(least)
        assert kept
        assert POLICY.open(kept).checkpoint.size == size
    assert again.cosigned(10) is None
    assert again.cosigned() == disk.read("cosigned")
    verify_receipt(again.prove_many([8], cosigned=True)[0], b"entry 8", POLICY)
    gather(again, witnesses)
    verify_receipt(again.prove_many([9], cosigned=True)[0], b"entry 9", POLICY)


def test_the_published_checkpoint_bears_its_cosignatures(
    watched: Callable[..., Log], append: Append, witnesses: list[Witness], disk: SimulatedDisk
) -> None:
    """Static readers see who vouches; opening again keeps the lines, and growing works on."""
    log = watched()
    append(log, entries(3))
    log.integrate()
    gather(log, witnesses)
    assert len(POLICY.open(disk.read("checkpoint")).cosigned) == 4
    again = watched()
    assert again.checkpoint() == disk.read("checkpoint")
    append(again, entries(1, 3))
    assert again.integrate().size == 4


@pytest.mark.parametrize("step", range(1, 7))
def test_a_full_disk_does_not_lose_what_was_cosigned(
    step: int, engine: Engine, append: Append, witnesses: list[Witness]
) -> None:
    """At whichever change the disk is full: what could not be published is kept all the same."""
    disk = SimulatedDisk(lambda: OSError(28, "No space left on device"))
    log = Log(engine, disk, ORIGIN, log_identity())
    append(log, entries(3))
    log.integrate()
    disk.fail_at(step)
    with suppress(Unavailable):
        gather(log, witnesses)
    assert disk.failed
    disk.fail_at(None)
    kept = log.cosigned()
    assert kept
    assert len(POLICY.open(kept).cosigned) == 4
    append(log, entries(1, 3))
    assert log.integrate().size == 4
    assert Log(engine, disk, ORIGIN, log_identity()).cosigned() == kept


# --- the guard


def test_a_log_waits_at_start_until_nothing_cosigned_can_be_missed(
    watched: Callable[..., Log], engine: Engine, append: Append, disk: SimulatedDisk
) -> None:
    """With a quorum of three of four, two have to be heard; entries are taken all the while."""
    append(watched(), entries(3))
    log = Log(engine, disk, ORIGIN, log_identity(), policy=POLICY)
    before = disk.read("checkpoint")
    append(log, entries(2, 3))
    log.confront(name_of(0), None)
    log.confront(name_of(0), None)
    with pytest.raises(Unavailable, match="waits for its witnesses"):
        log.integrate()
    assert disk.read("checkpoint") == before
    log.confront(name_of(3), None)
    assert log.integrate().size == 5


def test_a_restored_backup_signs_nothing(
    watched: Callable[..., Log],
    append: Append,
    witnesses: list[Witness],
    disk: SimulatedDisk,
    tmp_path: Path,
) -> None:
    """Database and files of yesterday: the witnesses hold more, and the log stops for good."""
    log = watched()
    append(log, entries(3))
    log.integrate()
    gather(log, witnesses)
    backup_disk = disk.copy()
    backup = tmp_path / "backup.db"
    with sqlite3.connect(tmp_path / "ledger.db") as source, sqlite3.connect(backup) as target:
        source.backup(target)
    append(log, entries(2, 3))
    log.integrate()
    gather(log, witnesses)
    engine = open_database(backup)
    restored = Log(engine, backup_disk, ORIGIN, log_identity(), policy=POLICY)
    with pytest.raises(Conflict, match="signed 5 entries before, and now has fewer"):
        restored.confront(name_of(0), witnesses[0].latest(ORIGIN))
    for number in range(1, 4):
        with pytest.raises(Conflict):
            restored.confront(name_of(number), witnesses[number].latest(ORIGIN))
    with writing(engine) as connection, pytest.raises(Conflict):
        restored.append(connection, b"more")
    assert restored.integrate().size == 3  # nothing new, so nothing to sign
    engine.dispose()


@pytest.mark.parametrize("size", [4, 5, 6])
def test_two_logs_with_one_key_convict_themselves(
    size: int,
    watched: Callable[..., Log],
    append: Append,
    witnesses: list[Witness],
    tmp_path: Path,
) -> None:
    """A copied machine goes on differently: it stops when a witness shows it the other history."""
    log = watched()
    append(log, entries(5))
    log.integrate()
    gather(log, witnesses)
    engine, disk = open_database(tmp_path / "other.db"), SimulatedDisk()
    copied = Log(engine, disk, ORIGIN, log_identity())
    with writing(engine) as connection:
        copied.append_many(connection, [*entries(3), b"forged", *entries(size - 4, 4)])
    copied.integrate()
    if size < 5:
        with pytest.raises(Conflict):
            copied.confront(name_of(0), witnesses[0].latest(ORIGIN))
        return
    with pytest.raises(Corrupt, match="signed other 5 entries than it has") as stopped:
        copied.confront(name_of(0), witnesses[0].latest(ORIGIN))
    shown = check_evidence(stopped.value.detail["evidence"].encode(), LOG_VKEY, witnesses[0].keys)
    assert (shown.smaller.size, shown.larger.size) == (5, size)
    with writing(engine) as connection, pytest.raises(Corrupt):
        copied.append(connection, b"more")
    engine.dispose()


def test_a_log_opens_only_where_it_holds_what_others_kept(
    watched: Callable[..., Log],
    append: Append,
    witnesses: list[Witness],
    tmp_path: Path,
) -> None:
    """Checkpoints handed in at start are compared before anything is signed."""
    log = watched()
    append(log, entries(5))
    log.integrate()
    gather(log, witnesses)
    kept = witnesses[0].latest(ORIGIN)
    engine, empty = open_database(tmp_path / "empty.db"), SimulatedDisk()
    with pytest.raises(Conflict, match="signed 5 entries before"):
        Log(engine, empty, ORIGIN, log_identity(), witnessed=[kept])
    assert list(empty.paths()) == []
    # Rows that were committed and are not integrated count: nothing is lost, only late.
    bare = Log(engine, empty, ORIGIN, log_identity())
    with writing(engine) as connection:
        bare.append_many(connection, entries(7))
    assert Log(engine, empty, ORIGIN, log_identity(), witnessed=[kept]).integrate().size == 7
    engine.dispose()


def test_a_note_of_another_log_says_nothing(watched: Callable[..., Log]) -> None:
    """A witness cannot stop a log with something that the log never signed."""
    log = watched()
    foreign = sign_checkpoint(Checkpoint(ORIGIN, 9, bytes(32)), Identity.create())
    with pytest.raises(Corrupt, match="not signed by"):
        log.confront(name_of(0), foreign.full_text.encode())
    assert log.integrate().size == 0


def test_the_last_signed_size_is_remembered_outside_of_the_backup(
    engine: Engine, append: Append, tmp_path: Path
) -> None:
    """Without any witness, a memory on another volume notices that files were put back."""
    memory, disk = SignedFile(tmp_path / "other-volume/signed"), SimulatedDisk()
    assert memory.load() is None
    log = Log(engine, disk, ORIGIN, log_identity(), memory=memory)
    append(log, entries(3))
    assert log.integrate().size == 3
    assert memory.load() == log.checkpoint()
    fresh = open_database(tmp_path / "fresh.db")
    with pytest.raises(Conflict, match="signed 3 entries before"):
        Log(fresh, SimulatedDisk(), ORIGIN, log_identity(), memory=memory)
    assert Log(engine, disk, ORIGIN, log_identity(), memory=memory).integrate().size == 3
    fresh.dispose()


# --- tags


def tagged(*numbers: int) -> bytes:
    """Make an entry with tags of one topic."""
    tags = [tag_of(b"\x03" * 32, number) for number in numbers]
    return make_entry({"kind": "test"}, log_identity(), tags=tags).leaf


def test_a_tag_stands_in_the_ledger_once(
    engine: Engine, open_log: Callable[[], Log], append: Append
) -> None:
    """The second entry with a tag is refused, in one transaction with the first or later."""
    log = open_log()
    append(log, [tagged(0), b"no entry at all", tagged(1, 2)])
    for leaves in ([tagged(1)], [tagged(3), tagged(4, 3)]):
        with writing(engine) as connection:
            with pytest.raises(Conflict, match="stands in the ledger already") as taken:
                log.append_many(connection, leaves)
            assert log.append(connection, tagged(*range(10, 20))) == 3
            connection.rollback()
        assert taken.value.detail["tag"] in {tag_of(b"\x03" * 32, n) for n in (1, 3)}
    assert append(log, [tagged(3)]) == [3]


def test_a_batch_takes_dense_positions(engine: Engine, open_log: Callable[[], Log]) -> None:
    """Many entries in one statement stand in their order, after what was there."""
    log = open_log()
    with writing(engine) as connection:
        assert log.append_many(connection, entries(300)) == range(300)
        assert log.append(connection, b"entry 300") == 300
        assert log.append_many(connection, entries(2, 301)) == range(301, 303)
    assert log.integrate().size == 303
    verify_receipt(log.receipt(301), b"entry 301", key_policy(parse_key(LOG_VKEY)))
