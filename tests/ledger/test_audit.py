"""The audit: whatever is changed in a ledger's files or rows is noticed and named."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, update
from tests.ledger.disk import SimulatedDisk
from tests.ledger.histories import History
from tests.ledger.ledgers import Ledger
from tests.ledger.parties import NewWitness, gather
from tests.ledger.vectors import LOG_VKEY, ORIGIN, entries, identity_of, log_identity

from branchline.foundation.database import writing
from branchline.foundation.errors import Corrupt
from branchline.ledger.audit import audit, edge_of, edge_of_full, replay
from branchline.ledger.edge import Edge
from branchline.ledger.log import Log
from branchline.ledger.proof.checkpoint import Checkpoint
from branchline.ledger.proof.cosignature import cosigner_key
from branchline.ledger.proof.merkle import leaf_hash
from branchline.ledger.proof.note import VerifierKey, parse_key, sign_note
from branchline.ledger.rows import ledger_entries
from branchline.ledger.tiles import bundle_name, encode_bundle

Append = Callable[[Log, Iterable[bytes]], list[int]]
KEY = parse_key(LOG_VKEY)


@pytest.fixture
def grown(
    append: Append, open_log: Callable[[], Log], disk: SimulatedDisk
) -> Callable[..., SimulatedDisk]:
    """Make a ledger in batches and give its disk."""

    def run(*batches: int) -> SimulatedDisk:
        log = open_log()
        size = 0
        for count in batches:
            append(log, entries(count, size))
            size = log.integrate().size
        return disk

    return run


def problem(disk: SimulatedDisk, witnesses: Collection[VerifierKey] = ()) -> Corrupt:
    """Audit a disk that is not right, and give what the audit says."""
    with pytest.raises(Corrupt) as caught:
        audit(disk.read, disk.paths(), KEY, witnesses=witnesses)
    return caught.value


def test_every_flipped_bit_of_a_small_ledger_is_noticed_and_its_file_named(
    grown: Callable[..., SimulatedDisk],
) -> None:
    """Flip each single bit of each file: the audit fails and names that file."""
    disk = grown(2, 3)
    assert len(list(disk.paths())) == 5
    for path in disk.paths():
        right = disk.read(path)
        for bit in range(len(right) * 8):
            flipped = bytearray(right)
            flipped[bit // 8] ^= 1 << bit % 8
            disk.edit(path, bytes(flipped))
            assert problem(disk).detail["file"] == path
        disk.edit(path, right)
    assert audit(disk.read, disk.paths(), KEY).checkpoint.size == 5


def test_every_flipped_bit_of_a_witnessed_ledger_is_noticed_and_its_file_named(
    append: Append,
    open_log: Callable[[], Log],
    disk: SimulatedDisk,
    new_witness: NewWitness,
) -> None:
    """The same where witnesses cosigned: their lines and the cosigned checkpoint are covered."""
    log, witnesses = open_log(), [new_witness(number) for number in range(2)]
    append(log, entries(3))
    log.integrate()
    gather(log, witnesses)
    append(log, entries(1, 3))
    log.integrate()
    keys = [key for witness in witnesses for key in witness.keys]
    for path in disk.paths():
        right = disk.read(path)
        for bit in range(len(right) * 8):
            flipped = bytearray(right)
            flipped[bit // 8] ^= 1 << bit % 8
            disk.edit(path, bytes(flipped))
            assert problem(disk, keys).detail["file"] == path
        disk.edit(path, right)
    assert audit(disk.read, disk.paths(), KEY, witnesses=keys).checkpoint.size == 4


def test_a_file_cut_anywhere_is_named(grown: Callable[..., SimulatedDisk]) -> None:
    """Torn tiles, bundles and checkpoints: whatever is missing at the end is noticed."""
    disk = grown(2, 3)
    for path in disk.paths():
        right = disk.read(path)
        for length in range(len(right)):
            disk.edit(path, right[:length])
            assert problem(disk).detail["file"] == path
        disk.edit(path, right)


def test_whatever_stands_in_a_file_is_named(grown: Callable[..., SimulatedDisk]) -> None:
    """Arbitrary bytes in the place of any file are refused by that file's name."""
    disk = grown(2, 3)

    @given(st.sampled_from(sorted(disk.paths())), st.binary(max_size=200))
    def sweep(path: str, noise: bytes) -> None:
        right = disk.read(path)
        assume(noise != right)
        disk.edit(path, noise)
        found = problem(disk)
        disk.edit(path, right)
        assert found.detail["file"] == path

    sweep()


@pytest.mark.parametrize(
    ("note", "says"),
    [
        (History(entries(9)).note(9), "it covers 9 entries, and there are 5"),
        (History([b"forged"] * 5).note(4), "the first 4 entries do not give its root"),
        (sign_note("no checkpoint\n", ORIGIN, log_identity()).full_text, "three lines"),
    ],
    ids=["ahead", "another history", "no checkpoint"],
)
def test_a_cosigned_checkpoint_of_something_else_is_named(
    note: str, says: str, grown: Callable[..., SimulatedDisk]
) -> None:
    """What witnesses vouched for has to be a beginning of what is there."""
    disk = grown(5)
    disk.edit("cosigned", note.encode())
    found = problem(disk)
    assert says in str(found)
    assert found.detail == {"file": "cosigned"}


def test_a_line_by_nobody_known_is_named(grown: Callable[..., SimulatedDisk]) -> None:
    """Where all witnesses are known, a stranger's line is an error; otherwise it is passed over."""
    disk = grown(5)
    stranger = sign_note("x\n", "stranger", log_identity()).signatures[0].line
    disk.edit("checkpoint", disk.read("checkpoint") + stranger.encode())
    audit(disk.read, disk.paths(), KEY)
    found = problem(disk, [cosigner_key("w", identity_of(2).public)])
    assert found.detail == {"file": "checkpoint"}
    assert "stranger, who is no witness" in str(found)


def test_flipped_bits_of_a_larger_ledger_are_named_with_their_position(
    grown: Callable[..., SimulatedDisk],
) -> None:
    """In full tiles and bundles the first position concerned is named, too."""
    disk = grown(600)

    @given(st.sampled_from(sorted(disk.paths())), st.data())
    def sweep(path: str, data: st.DataObject) -> None:
        right = disk.read(path)
        bit = data.draw(st.integers(0, len(right) * 8 - 1))
        flipped = bytearray(right)
        flipped[bit // 8] ^= 1 << bit % 8
        disk.edit(path, bytes(flipped))
        found = problem(disk)
        disk.edit(path, right)
        assert found.detail["file"] == path
        if path.startswith("tile/0/"):
            first = 256 * int(path.removeprefix("tile/0/")[:3])
            assert found.detail["position"] == first + bit // 8 // 32
        if path.startswith("tile/1/"):
            assert found.detail["position"] == 256 * (bit // 8 // 32)

    sweep()


@pytest.mark.parametrize(
    ("change", "position"),
    [
        (lambda leaves: leaves[:100] + leaves[101:], 100),
        (lambda leaves: leaves[:-1], 255),
        (lambda leaves: [*leaves[:7], leaves[8], leaves[7], *leaves[9:]], 7),
        (lambda leaves: [*leaves[:200], b"forged", *leaves[201:]], 200),
        (lambda leaves: [*leaves[:3], b"inserted", *leaves[3:]], 3),
        (lambda leaves: [*leaves, b"added"], 256),
        (lambda _: [], 0),
    ],
    ids=["dropped", "last dropped", "reordered", "altered", "inserted", "added", "emptied"],
)
def test_a_changed_bundle_is_named_with_the_first_position(
    change: Callable[[list[bytes]], list[bytes]],
    position: int,
    grown: Callable[..., SimulatedDisk],
) -> None:
    """An entry dropped, altered, inserted or moved is named by file and position."""
    disk = grown(300)
    disk.edit("tile/entries/000", encode_bundle(change(entries(256))))
    assert problem(disk).detail == {"file": "tile/entries/000", "position": position}


def test_a_forgery_that_rewrites_the_tile_too_is_noticed_one_level_up(
    grown: Callable[..., SimulatedDisk],
) -> None:
    """A bundle and its tile changed together contradict the tile above them."""
    disk = grown(300)
    forged = [b"forged", *entries(255, 1)]
    disk.edit("tile/entries/000", encode_bundle(forged))
    disk.edit("tile/0/000", b"".join(map(leaf_hash, forged)))
    assert problem(disk).detail == {"file": "tile/entries/000", "position": 0}


def test_a_forgery_further_on_is_named_with_its_bundle(grown: Callable[..., SimulatedDisk]) -> None:
    """It is the bundle that is wrong, though it is the tile above its tile that shows it."""
    disk = grown(600)
    forged = entries(512)[256:]
    forged[3] = b"forged"
    disk.edit("tile/entries/001", encode_bundle(forged))
    disk.edit("tile/0/001", b"".join(map(leaf_hash, forged)))
    assert problem(disk).detail == {"file": "tile/entries/001", "position": 256}


def test_what_follows_the_last_entry_of_a_bundle_is_named(
    grown: Callable[..., SimulatedDisk],
) -> None:
    """Though all entries before it are the very ones that were signed."""
    disk = grown(300)
    path = bundle_name(1, 300).path
    disk.edit(path, disk.read(path) + b"\0")
    assert problem(disk).detail == {"file": path, "position": 300}


def test_a_forgery_that_rewrites_every_tile_contradicts_the_signed_root(
    grown: Callable[..., SimulatedDisk],
) -> None:
    """All files changed consistently still do not give the root that was signed."""
    disk = grown(300)
    forged = [b"forged", *entries(299, 1)]
    edge = Edge()
    for name, data in edge.extend(map(leaf_hash, forged)) + edge.partial_tiles():
        disk.edit(name.path, data)
    for index in (0, 1):
        leaves = forged[256 * index : 256 * index + 256]
        disk.edit(bundle_name(index, 300).path, encode_bundle(leaves))
    found = problem(disk)
    assert "do not give the root" in str(found)
    assert found.detail == {"file": "checkpoint"}


def test_a_history_that_replaces_a_signed_one_is_noticed(
    grown: Callable[..., SimulatedDisk],
) -> None:
    """Files that are right in themselves do not continue an edge with other entries."""
    disk, signed, forged = grown(5), Edge(), Edge()
    signed.extend(map(leaf_hash, entries(3)))
    leaves = [b"forged", *entries(4, 1)]
    forged.extend(map(leaf_hash, leaves))
    disk.edit("tile/0/000.p/5", forged.tiles[0].data)
    disk.edit("tile/entries/000.p/5", encode_bundle(leaves))
    goal = Checkpoint(ORIGIN, 5, forged.root())
    assert replay(disk.read, Edge(), goal).size == 5
    with pytest.raises(Corrupt, match="other entries than an earlier checkpoint"):
        replay(disk.read, signed, goal)


def test_a_history_replaced_later_is_named_with_its_bundle() -> None:
    """The first position of the bundle that begins with other entries than were signed."""
    signed = Edge()
    signed.extend(map(leaf_hash, [*entries(299), b"another"]))
    ledger = Ledger(entries(310))
    with pytest.raises(Corrupt) as raised:
        replay(ledger.read, signed, ledger.checkpoint)
    assert raised.value.detail["position"] == 256


def test_edges_are_read_from_the_tiles_of_a_later_size() -> None:
    """Of sizes on both sides of a full tile of each level; from all tiles, and from full ones."""
    hashes = [leaf_hash(leaf) for leaf in entries(66_400)]
    edge, files = Edge(), {}
    for name, data in edge.extend(hashes) + edge.partial_tiles():
        files[name.path] = data
    goal, expected = Checkpoint(ORIGIN, len(hashes), edge.root()), Edge()
    full = {path: data for path, data in files.items() if ".p/" not in path}
    for size in (0, 1, 256, 300, 512, 65_280, 65_536, 65_540, 65_792, 66_304, 66_399):
        expected.extend(hashes[expected.size : size])
        assert edge_of(files.__getitem__, size, goal).root() == expected.root()
        if size % 256 == 0:
            assert edge_of_full(full.__getitem__, size).root() == expected.root()


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("tile/0/000.p/2", leaf_hash(b"entry 0")),
        ("tile/entries/000.p/2", encode_bundle(entries(1))),
        ("tile/entries/000.p/2", encode_bundle(entries(2))[:-1]),
        ("tile/entries/000.p/2", encode_bundle(entries(3))),
    ],
    ids=["short tile", "entry missing", "entry torn", "entry too many"],
)
def test_an_earlier_file_of_another_width_is_named(
    path: str, data: bytes, grown: Callable[..., SimulatedDisk]
) -> None:
    """A partial file of an earlier size holds exactly as much as its name says."""
    disk = grown(2, 3)
    disk.edit(path, data)
    assert problem(disk).detail["file"] == path


def test_a_tile_with_a_hash_too_many_is_named(grown: Callable[..., SimulatedDisk]) -> None:
    """A tile that holds all it must and then more is the one that is wrong, not its bundle."""
    disk = grown(300)
    disk.edit("tile/0/000", disk.read("tile/0/000") + bytes(32))
    assert problem(disk).detail["file"] == "tile/0/000"


def test_every_missing_file_is_named(grown: Callable[..., SimulatedDisk]) -> None:
    """Without any one of its files a ledger is not whole."""
    whole = grown(300)
    for path in whole.paths():
        disk = whole.copy()
        disk.lose(path)
        assert problem(disk).detail["file"] == path


def test_what_nobody_signed_is_not_the_ledgers(grown: Callable[..., SimulatedDisk]) -> None:
    """Leftovers of an interrupted integration, and other people's files, do no harm."""
    disk = grown(5)
    disk.edit("tile/0/000.p/9", b"unpublished")
    disk.edit("tile/0/000.p/7.tmp", b"torn")
    disk.edit("README", b"a note of the administrator")
    assert audit(disk.read, disk.paths(), KEY).checkpoint.size == 5


def test_the_audit_shows_every_entry_in_order(grown: Callable[..., SimulatedDisk]) -> None:
    """Whoever audits can read along: each bundle with the position it begins at."""
    disk = grown(300)
    seen: list[bytes] = []

    def read_along(first: int, leaves: list[bytes]) -> None:
        assert first == len(seen)
        seen.extend(leaves)

    audit(disk.read, disk.paths(), KEY, seen=read_along)
    assert seen == entries(300)


def test_damage_at_the_edge_stops_the_signing(
    append: Append, open_log: Callable[[], Log], disk: SimulatedDisk
) -> None:
    """An open ledger whose edge on disk is no longer what it signed signs nothing further."""
    log = open_log()
    append(log, entries(3))
    before = log.integrate()
    disk.edit("tile/0/000.p/3", bytes(96))
    append(log, entries(1))
    with pytest.raises(Corrupt, match="signed root of 3"):
        log.integrate()
    assert log.checkpoint() == disk.read("checkpoint")
    assert before.size == 3


class RottenDisk(SimulatedDisk):
    """A disk that flips a bit in bundles while writing them."""

    def write(self, path: str, data: bytes) -> None:
        """Write another bit than asked for."""
        if "entries" in path:
            data = data[:-1] + bytes([data[-1] ^ 1])
        super().write(path, data)


def test_a_bit_that_the_disk_flips_is_noticed_before_signing(
    append: Append, open_log: Callable[..., Log]
) -> None:
    """What comes back from disk is checked before its root is signed (Yeti 2022)."""
    rotten = RottenDisk()
    log = open_log(rotten)
    before = log.checkpoint()
    append(log, entries(4))
    with pytest.raises(Corrupt, match="position 3"):
        log.integrate()
    assert rotten.read("checkpoint") == before == log.checkpoint()


def test_a_damaged_tile_gives_no_wrong_receipt(
    append: Append, open_log: Callable[[], Log], disk: SimulatedDisk
) -> None:
    """A receipt is checked before it is handed out."""
    log = open_log()
    append(log, entries(300))
    log.integrate()
    disk.edit("tile/0/000", bytes(8192))
    with pytest.raises(Corrupt, match="position 5"):
        log.receipt(5)
    verify_still = log.receipt(299)
    assert verify_still.index == 299


@pytest.mark.parametrize("position", [0, 2, 4, 260, 299])
def test_a_changed_row_is_named_at_the_start(
    position: int, grown: Callable[..., SimulatedDisk], engine: Engine, open_log: Callable[[], Log]
) -> None:
    """A database whose row is not the entry published does not open."""
    grown(300)
    change = update(ledger_entries).where(ledger_entries.c.position == position)
    with writing(engine) as connection:
        connection.execute(change.values(leaf=b"forged"))
    with pytest.raises(Corrupt) as caught:
        open_log()
    assert caught.value.detail["position"] == position


@pytest.mark.parametrize("position", [0, 100, 299])
def test_a_missing_row_is_named_at_the_start(
    position: int, grown: Callable[..., SimulatedDisk], engine: Engine, open_log: Callable[[], Log]
) -> None:
    """A database that lost a row, or was restored from before, does not open."""
    grown(300)
    with writing(engine) as connection:
        connection.execute(delete(ledger_entries).where(ledger_entries.c.position == position))
    with pytest.raises(Corrupt) as caught:
        open_log()
    assert caught.value.detail["position"] == position


def test_a_gap_in_committed_rows_is_never_published(
    append: Append, open_log: Callable[[], Log], engine: Engine
) -> None:
    """Rows beyond the checkpoint must be dense, too."""
    log = open_log()
    append(log, entries(5))
    with writing(engine) as connection:
        connection.execute(delete(ledger_entries).where(ledger_entries.c.position == 1))
    with pytest.raises(Corrupt, match="no row 1"):
        log.integrate()


def test_a_lost_checkpoint_is_a_loss(
    grown: Callable[..., SimulatedDisk], open_log: Callable[[], Log]
) -> None:
    """A ledger with entries does not start anew because its checkpoint is gone."""
    disk = grown(3)
    disk.lose("checkpoint")
    with pytest.raises(Corrupt, match="no checkpoint"):
        open_log()
    for path in disk.paths():
        disk.lose(path)
    with pytest.raises(Corrupt, match="no checkpoint"):
        open_log()
