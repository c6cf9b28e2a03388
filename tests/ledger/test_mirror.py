"""Mirrors: recomputed from the entries, durable before anything is vouched for, and never fooled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.ledger.disk import Crash, SimulatedDisk
from tests.ledger.histories import History, fork
from tests.ledger.parties import LOG_KEY, name_of
from tests.ledger.vectors import COSIGNED_AT, LOG_VKEY, ORIGIN, entries, identity_of

from branchline.foundation.clock import FixedClock
from branchline.foundation.errors import Conflict, Corrupt, Refused, Unavailable
from branchline.ledger.audit import audit
from branchline.ledger.files import FolderFiles
from branchline.ledger.log import Log
from branchline.ledger.proof.evidence import check_evidence
from branchline.ledger.witness.mirror import PIECE, Mirror, catch_up, fetch_from
from branchline.ledger.witness.store import WitnessStore
from branchline.ledger.witness.witness import Witness

Append = Callable[[Log, Iterable[bytes]], list[int]]
TRUE, FORGED = fork(shared=2, size=300)


def follow(mirror: Mirror, history: History, size: int) -> None:
    """Bring a mirror to a size of a history."""
    catch_up(mirror, history.note(size).encode(), lambda piece: history.leaves[piece.start : size])


def settled(disk: SimulatedDisk) -> dict[str, bytes]:
    """Return a disk's files that belong to what it shows."""
    return {path: disk.read(path) for path in disk.paths() if path != "received"}


@pytest.mark.parametrize("size", [1, 5, 255, 256, 257, 1000])
def test_a_mirror_has_the_very_files_of_the_log(
    size: int, append: Append, open_log: Callable[[], Log], disk: SimulatedDisk
) -> None:
    """Computed from the entries alone, every byte is the log's."""
    log = open_log()
    append(log, entries(size))
    log.integrate()
    copy = SimulatedDisk()
    mirror = Mirror(copy, LOG_KEY)
    assert mirror.checkpoint.size == 0
    reached = catch_up(mirror, log.checkpoint(), fetch_from(disk.read, size))
    assert reached == mirror.checkpoint == log.integrate()
    assert settled(copy) == settled(disk)
    assert Mirror(copy, LOG_KEY).holds(reached)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=8).map(sorted), st.booleans())
def test_a_mirror_follows_in_any_steps(sizes: list[int], restart: bool) -> None:
    """Whatever the sizes it is shown, with or without restarts, its files are right."""
    disk = SimulatedDisk()
    mirror = Mirror(disk, LOG_KEY)
    for size in sizes:
        follow(mirror, TRUE, size)
        if restart:
            mirror = Mirror(disk, LOG_KEY)
        assert mirror.checkpoint == TRUE.checkpoint(size)
        assert audit(disk.read, disk.paths(), LOG_KEY).checkpoint == TRUE.checkpoint(size)
    if sizes[-1] >= 256:
        assert not [path for path in disk.paths() if path.startswith("tile/entries/000.p")]


def test_a_long_way_is_gone_in_pieces_and_resumed(
    append: Append, open_log: Callable[[], Log], disk: SimulatedDisk
) -> None:
    """At most 8,192 entries at once; after a restart only what did not come is fetched."""
    log, size = open_log(), 35_000
    append(log, entries(size))
    log.integrate()
    fetch, copy = fetch_from(disk.read, size), SimulatedDisk()
    mirror = Mirror(copy, LOG_KEY)
    pieces = []
    for _ in range(2):
        piece = mirror.lacks(size)
        pieces.append(piece)
        mirror.add(piece.start, fetch(piece))
    again = Mirror(copy, LOG_KEY)
    assert again.checkpoint.size == 0
    assert again.lacks(size).start == 2 * PIECE
    asked: list[range] = []

    def fetch_more(piece: range) -> Sequence[bytes]:
        asked.append(piece)
        return fetch(piece)

    assert catch_up(again, log.checkpoint(), fetch_more).size == size
    assert [len(piece) for piece in pieces + asked] == [PIECE] * 4 + [size - 4 * PIECE]
    # The log was published at sizes in between, too, and still has partial tiles of them.
    assert settled(copy).items() <= settled(disk).items()
    assert audit(copy.read, copy.paths(), LOG_KEY).checkpoint.size == size


def test_a_real_folder_mirrors_as_well(tmp_path: object, append: Append) -> None:
    """The same on a file system."""
    files = FolderFiles(tmp_path / "mirror")  # type: ignore[operator]
    follow(Mirror(files, LOG_KEY), TRUE, 300)
    assert audit(files.read, files.paths(), LOG_KEY).checkpoint == TRUE.checkpoint(300)


def test_entries_that_come_twice_or_too_early() -> None:
    """What came is passed over; a gap is refused; what no bundle can hold, too."""
    mirror = Mirror(SimulatedDisk(), LOG_KEY)
    mirror.add(0, entries(5))
    mirror.add(3, entries(4, 3))
    mirror.add(0, entries(2))
    with pytest.raises(Conflict, match="from 7 on, before 8"):
        mirror.add(8, entries(1, 8))
    with pytest.raises(Refused):
        mirror.add(7, [bytes(65_536)])
    with pytest.raises(Unavailable, match="from 7 to 9"):
        mirror.settle(TRUE.note(9).encode())
    assert mirror.lacks(9) == range(7, 9)
    assert not mirror.lacks(7)
    mirror.add(7, entries(1, 7))
    assert mirror.settle(TRUE.note(8).encode()).size == 8


def test_more_than_the_checkpoint_covers_is_fetched_again() -> None:
    """Entries beyond a checkpoint are nobody's word yet."""
    mirror = Mirror(SimulatedDisk(), LOG_KEY)
    mirror.add(0, entries(9))
    with pytest.raises(Unavailable, match="from 0 to 5"):
        mirror.settle(TRUE.note(5).encode())
    follow(mirror, TRUE, 5)
    assert mirror.holds(TRUE.checkpoint(5))


def test_a_wrong_entry_is_noticed_and_forgotten() -> None:
    """Entries that do not give the signed root are not shown; the right ones are, afterwards."""
    disk = SimulatedDisk()
    mirror = Mirror(disk, LOG_KEY)
    follow(mirror, TRUE, 260)
    mirror.add(260, [b"wrong", *entries(39, 261)])
    with pytest.raises(Corrupt, match="do not give the root of the 300"):
        mirror.settle(TRUE.note(300).encode())
    assert mirror.checkpoint.size == 260
    follow(mirror, TRUE, 300)
    assert audit(disk.read, disk.paths(), LOG_KEY).checkpoint.size == 300


def test_a_note_that_the_log_did_not_sign_is_refused() -> None:
    """Nobody else moves the mirror."""
    mirror = Mirror(SimulatedDisk(), LOG_KEY)
    mirror.add(0, entries(5))
    with pytest.raises(Corrupt, match="does not hold"):
        mirror.settle(TRUE.note(5).replace("\n5\n", "\n4\n").encode())


class RottenDisk(SimulatedDisk):
    """A disk that flips a bit in bundles while it is told to."""

    rotten = True

    def write(self, path: str, data: bytes) -> None:
        """Write another bit than asked for."""
        if self.rotten and "entries" in path:
            data = data[:-1] + bytes([data[-1] ^ 1])
        super().write(path, data)


def test_what_is_shown_was_read_back() -> None:
    """A bit that the mirror's own disk flips is noticed before anything is vouched for."""
    disk = RottenDisk()
    mirror = Mirror(disk, LOG_KEY)
    with pytest.raises(Corrupt, match="position 4"):
        follow(mirror, TRUE, 5)
    assert mirror.checkpoint.size == 0
    disk.rotten = False
    follow(mirror, TRUE, 5)
    assert mirror.holds(TRUE.checkpoint(5))


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("tile/0/001.p/44", bytes(44 * 32)),
        ("tile/entries/001.p/44", b"\x00\x01x" * 44),
        ("checkpoint", TRUE.note(300).replace("\n300\n", "\n301\n").encode()),
    ],
)
def test_a_mirror_that_does_not_fit_its_checkpoint_does_not_open(path: str, data: bytes) -> None:
    """What is needed to go on is compared with the signed root at every start."""
    disk = SimulatedDisk()
    follow(Mirror(disk, LOG_KEY), TRUE, 300)
    disk.edit(path, data)
    with pytest.raises(Corrupt):
        Mirror(disk, LOG_KEY)


@pytest.mark.parametrize("note", [b"", b"many\n", b"3\n", b"99968\n", b"512\n"])
def test_a_count_that_is_wrong_is_not_believed(note: bytes) -> None:
    """The count of what came in only saves fetching; without it everything is fetched again."""
    disk = SimulatedDisk()
    follow(Mirror(disk, LOG_KEY), TRUE, 260)
    disk.edit("received", note)
    mirror = Mirror(disk, LOG_KEY)
    follow(mirror, TRUE, 300)
    assert mirror.holds(TRUE.checkpoint(300))


@pytest.mark.parametrize("end", [SimulatedDisk.kill, SimulatedDisk.cut_power])
@pytest.mark.parametrize(("before", "after"), [(0, 5), (3, 4), (250, 258)])
def test_a_mirror_survives_its_end_at_every_step(
    before: int, after: int, end: Callable[[SimulatedDisk], None]
) -> None:
    """End at every change of the disk: what it shows is right, and it goes on from there."""
    base = SimulatedDisk()
    if before:
        follow(Mirror(base, LOG_KEY), TRUE, before)
    for step in count(1):
        disk = base.copy()
        disk.fail_at(step)
        try:
            follow(Mirror(disk, LOG_KEY), TRUE, after)
            break
        except Crash:
            end(disk)
        again = Mirror(disk, LOG_KEY)
        assert again.checkpoint.size in (before, after)
        assert again.holds(TRUE.checkpoint(again.checkpoint.size))
        follow(again, TRUE, after)
        assert audit(disk.read, disk.paths(), LOG_KEY).checkpoint.size == after
    assert step > 5


@pytest.mark.parametrize(("held", "shown"), [(9, 9), (9, 5), (260, 3), (260, 257)])
def test_another_history_of_a_size_that_is_held_is_evidence(held: int, shown: int) -> None:
    """A log put back to a backup that went on differently convicts itself, whatever it shows."""
    mirror = Mirror(SimulatedDisk(), LOG_KEY)
    follow(mirror, TRUE, held)
    with pytest.raises(Corrupt, match=f"signed other {shown} entries") as caught:
        mirror.settle(FORGED.note(shown).encode())
    evidence = check_evidence(caught.value.detail["evidence"].encode(), LOG_VKEY)
    assert evidence.smaller.size == shown
    assert evidence.larger.size == held
    assert mirror.settle(TRUE.note(2).encode()) == TRUE.checkpoint(2) == FORGED.checkpoint(2)
    assert mirror.checkpoint.size == held


# --- mirror first, then cosign


@pytest.fixture
def station(engine: Engine) -> tuple[Witness, Mirror]:
    """Give a witness that vouches only for what its mirror holds."""
    mirror = Mirror(SimulatedDisk(), LOG_KEY)
    witness = Witness(
        WitnessStore(engine),
        name_of(0),
        identity_of(100),
        FixedClock(datetime.fromtimestamp(COSIGNED_AT, UTC)),
        logs={ORIGIN: [LOG_KEY]},
        mirrors={ORIGIN: mirror},
    )
    return witness, mirror


def test_a_witness_vouches_for_what_its_mirror_holds(station: tuple[Witness, Mirror]) -> None:
    """Before the data are there it asks for patience, however right the proof is."""
    witness, mirror = station
    body = TRUE.request(0, 5).body
    assert witness.add_checkpoint(body).status == 503
    assert witness.size_of(ORIGIN) == 0
    follow(mirror, TRUE, 5)
    assert witness.add_checkpoint(body).status == 200
    follow(mirror, TRUE, 9)
    assert witness.add_checkpoint(TRUE.request(5, 7).body).status == 200
    assert witness.add_checkpoint(TRUE.request(7, 9).body).status == 200


def test_a_witness_with_a_mirror_cosigns_no_fork_of_what_it_holds(
    station: tuple[Witness, Mirror],
) -> None:
    """What the mirror took in binds the witness, even where it has not cosigned that yet."""
    witness, mirror = station
    follow(mirror, TRUE, 5)
    assert witness.add_checkpoint(FORGED.request(0, 5).body).status == 503
    assert witness.add_checkpoint(FORGED.request(0, 7).body).status == 503


@pytest.mark.parametrize(("held", "shown"), [(8, 4), (8, 7), (256, 128), (256, 255)])
def test_a_rolled_back_log_gives_its_witness_evidence(
    held: int, shown: int, station: tuple[Witness, Mirror]
) -> None:
    """Also where the log's own proof leaves the telling hash out: the mirror has it."""
    witness, mirror = station
    follow(mirror, TRUE, held)
    assert witness.add_checkpoint(TRUE.request(0, held).body).status == 200
    assert witness.add_checkpoint(TRUE.request(1, shown).body).status == 409
    assert witness.evidence() == []
    assert witness.add_checkpoint(FORGED.request(1, shown).body).status == 409
    (evidence,) = witness.evidence()
    shown_by = check_evidence(evidence.text.encode(), LOG_VKEY, witness.keys)
    assert (shown_by.smaller.size, shown_by.larger.size) == (shown, held)
    assert "do not begin with" in shown_by.sentence
