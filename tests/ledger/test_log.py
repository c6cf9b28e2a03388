"""The ledger as a whole: what is committed is published, proven, and survives every restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.ledger.disk import SimulatedDisk
from tests.ledger.vectors import (
    LOG_VKEY,
    ORIGIN,
    RECEIPT,
    ROOTS,
    WITNESS_LINE,
    entries,
    log_identity,
)

from branchline.foundation.database import open_database, writing
from branchline.foundation.errors import Conflict, NotFound, Refused, Unavailable
from branchline.foundation.keys import Identity
from branchline.ledger.audit import audit
from branchline.ledger.files import FolderFiles
from branchline.ledger.log import Log
from branchline.ledger.proof.checkpoint import Checkpoint, open_checkpoint
from branchline.ledger.proof.merkle import EMPTY_ROOT, check_growth
from branchline.ledger.proof.note import parse_key, to_base64
from branchline.ledger.proof.receipt import parse_receipt, verify_receipt

Append = Callable[[Log, Iterable[bytes]], list[int]]
KEY = parse_key(LOG_VKEY)


def test_the_ledger_publishes_the_checkpoint_and_receipt_of_the_vectors(
    engine: Engine, append: Append, tmp_path: Path
) -> None:
    """Five entries in a real folder give the published checkpoint and receipt, to the byte."""
    log = Log(engine, FolderFiles(tmp_path / "files"), ORIGIN, log_identity())
    assert log.vkey == LOG_VKEY
    assert append(log, entries(5)) == [0, 1, 2, 3, 4]
    assert log.integrate().size == 5
    expected = RECEIPT.replace(WITNESS_LINE, "")
    assert log.receipt(2).text == expected
    assert (tmp_path / "files/checkpoint").read_bytes() == log.checkpoint()
    assert log.checkpoint().decode() == expected.partition("\n\n")[2]


@pytest.mark.parametrize("size", [1, 256, 257, 1000])
def test_roots_are_those_of_the_vectors(
    size: int, append: Append, open_log: Callable[[], Log]
) -> None:
    """Ledgers of the vectors' sizes have the vectors' roots, also after opening again."""
    log = open_log()
    append(log, entries(size))
    log.integrate()
    again = open_log()
    assert again.checkpoint() == log.checkpoint()
    assert to_base64(again.integrate().root) == ROOTS[size]
    for position in {0, size // 2, size - 1}:
        leaf = b"entry %d" % position
        assert verify_receipt(again.receipt(position), leaf, LOG_VKEY).size == size


def test_an_empty_ledger_has_a_checkpoint(open_log: Callable[[], Log]) -> None:
    """A new ledger signs that it is empty, and opens again so."""
    log = open_log()
    checkpoint = open_checkpoint(open_log().checkpoint(), KEY)
    assert (checkpoint.size, checkpoint.root) == (0, EMPTY_ROOT)
    assert log.integrate() == checkpoint


def test_a_rolled_back_entry_never_was(
    engine: Engine, append: Append, open_log: Callable[[], Log]
) -> None:
    """The position of a transaction that failed goes to the next one; there is no gap."""
    log = open_log()
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:
        assert log.append(connection, b"undone") == 0
        raise ZeroDivisionError
    assert append(log, [b"done"]) == [0]
    assert log.integrate().size == 1
    verify_receipt(log.receipt(0), b"done", LOG_VKEY)


def test_the_largest_entry_is_taken_and_one_byte_more_is_not(
    append: Append, open_log: Callable[[], Log]
) -> None:
    """65,535 bytes are sequenced, published, proven and read again; 65,536 are refused."""
    log = open_log()
    with pytest.raises(Refused, match="65535"):
        append(log, [bytes(65_536)])
    largest = bytes(65_535)
    assert append(log, [largest, b""]) == [0, 1]
    assert log.integrate().size == 2
    again = open_log()
    verify_receipt(again.receipt(0), largest, LOG_VKEY)
    verify_receipt(again.receipt(1), b"", LOG_VKEY)


def test_receipts_of_one_call_share_one_checkpoint(
    append: Append, open_log: Callable[[], Log]
) -> None:
    """Many entries are proven by one checkpoint, each by its own path."""
    log = open_log()
    append(log, entries(300))
    log.integrate()
    receipts = log.prove_many([299, 0, 255, 256])
    assert {receipt.checkpoint for receipt in receipts} == {log.checkpoint().decode()}
    for receipt, number in zip(receipts, [299, 0, 255, 256], strict=True):
        verify_receipt(parse_receipt(receipt.text), b"entry %d" % number, LOG_VKEY)


def test_there_is_no_receipt_before_a_checkpoint(
    append: Append, open_log: Callable[[], Log]
) -> None:
    """A position that no checkpoint covers yet is a matter of waiting; a negative one is not."""
    log = open_log()
    append(log, [b"pending"])
    with pytest.raises(Unavailable, match="Try again"):
        log.receipt(0)
    with pytest.raises(NotFound):
        log.receipt(-1)
    log.integrate()
    verify_receipt(log.receipt(0), b"pending", LOG_VKEY)


def test_growth_is_proven_from_sizes_that_were_only(
    append: Append, open_log: Callable[[], Log]
) -> None:
    """There is no proof of growth from size 0 or from a size not reached."""
    log = open_log()
    append(log, entries(3))
    log.integrate()
    for size in (0, 4):
        with pytest.raises(NotFound):
            log.prove_growth(size)
    assert log.prove_growth(3) == ()


def test_opening_publishes_what_was_committed(
    append: Append, open_log: Callable[[], Log], disk: SimulatedDisk
) -> None:
    """Entries that a dead process committed have receipts as soon as the ledger is open again."""
    append(open_log(), entries(3))
    log = open_log()
    assert open_checkpoint(disk.read("checkpoint"), KEY).size == 3
    verify_receipt(log.receipt(2), b"entry 2", LOG_VKEY)


def test_a_second_writer_is_noticed(append: Append, open_log: Callable[[], Log]) -> None:
    """A process that finds a checkpoint it did not publish signs nothing over it."""
    first, second = open_log(), open_log()
    append(first, entries(2))
    newest = second.integrate()
    append(first, entries(2))
    with pytest.raises(Conflict, match="Another process"):
        first.integrate()
    assert second.integrate().size == newest.size + 2


def test_a_checkpoint_put_back_to_an_earlier_one_is_noticed(
    append: Append, open_log: Callable[[], Log], disk: SimulatedDisk
) -> None:
    """An open ledger that finds its own earlier checkpoint on disk does not go on either."""
    log = open_log()
    append(log, entries(1))
    log.integrate()
    earlier = log.checkpoint()
    append(log, entries(1, 1))
    log.integrate()
    disk.edit("checkpoint", earlier)
    append(log, entries(1, 2))
    with pytest.raises(Conflict):
        log.integrate()


class RecordingDisk(SimulatedDisk):
    """A disk that remembers under which names files were put."""

    def __init__(self) -> None:
        super().__init__()
        self.put: list[str] = []

    def rename(self, old: str, new: str) -> None:
        """Remember the new name."""
        self.put.append(new)
        super().rename(old, new)


def test_what_was_published_is_never_written_again(
    append: Append, open_log: Callable[..., Log]
) -> None:
    """Tiles and bundles are immutable: each name is put once; only the checkpoint is replaced."""
    disk = RecordingDisk()
    log = open_log(disk)
    for first in range(0, 900, 90):
        append(log, entries(90, first))
        log.integrate()
    tiles = [path for path in disk.put if path != "checkpoint"]
    assert "tile/1/000.p/3" in tiles
    assert len(tiles) == len(set(tiles))


def test_another_key_does_not_open_the_ledger(
    engine: Engine, disk: SimulatedDisk, open_log: Callable[[], Log]
) -> None:
    """A ledger is continued only with the key that signed it."""
    open_log()
    with pytest.raises(Exception, match="not signed by"):
        Log(engine, disk, ORIGIN, Identity.create())


def test_partial_files_go_when_the_full_ones_are_published(
    append: Append, open_log: Callable[[], Log], disk: SimulatedDisk
) -> None:
    """A full tile and its bundle replace their forerunners; before that every size is served."""
    log = open_log()
    for leaves in (entries(1), entries(254), entries(2)):
        append(log, leaves)
        log.integrate()
        if log.integrate().size < 256:
            assert f"tile/entries/000.p/{log.integrate().size}" in disk.paths()
    assert sorted(disk.paths()) == [
        "checkpoint",
        "tile/0/000",
        "tile/0/001.p/1",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/1",
    ]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 300), st.booleans()), min_size=1, max_size=6))
def test_history_is_one_over_all_restarts(steps: list[tuple[int, bool]]) -> None:
    """Whatever the batches and restarts, each checkpoint continues all earlier ones."""
    with TemporaryDirectory() as folder:
        engine, disk = open_database(Path(folder) / "db"), SimulatedDisk()
        log = Log(engine, disk, ORIGIN, log_identity())
        heads: list[Checkpoint] = []
        for count, restart in steps:
            with writing(engine) as connection:
                for leaf in entries(count, heads[-1].size if heads else 0):
                    log.append(connection, leaf)
            if restart:
                log = Log(engine, disk, ORIGIN, log_identity())
            heads.append(log.integrate())
            for head in heads:
                path = log.prove_growth(head.size)
                check_growth(head.size, heads[-1].size, head.root, heads[-1].root, path)
        assert audit(disk.read, disk.paths(), KEY).checkpoint == heads[-1]
        last = heads[-1].size - 1
        verify_receipt(log.receipt(last), b"entry %d" % last, LOG_VKEY)
        engine.dispose()


def test_proofs_are_right_while_the_ledger_grows(
    append: Append, open_log: Callable[[], Log]
) -> None:
    """Threads that integrate and threads that prove do not disturb each other."""
    log = open_log()
    append(log, entries(1))
    log.integrate()

    def grow() -> None:
        for number in range(59):
            append(log, entries(7, 1 + 7 * number))
            log.integrate()

    def prove() -> None:
        while not growing.done():
            size = log.integrate().size
            verify_receipt(log.receipt(size - 1), b"entry %d" % (size - 1), LOG_VKEY)

    with ThreadPoolExecutor() as threads:
        growing = threads.submit(grow)
        proving = [threads.submit(prove) for _ in range(2)]
    for done in (growing, *proving):
        done.result()
    assert log.integrate().size == 414
