"""Bytes that stay: blobs by one contract, durable files, databases; and time and names."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from branchline.foundation.blobs import BlobStore, FolderBlobs, MemoryBlobs
from branchline.foundation.buffers import Room, Rooms
from branchline.foundation.clock import FixedClock, SystemClock, parse_time, rfc3339
from branchline.foundation.database import open_database, reading, writing
from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.durable import EarlySync, make_folder, write_durably
from branchline.foundation.errors import BY_CODE, BranchlineError, Corrupt, NotFound, Refused
from branchline.foundation.ids import Id, Name, check_name, id_from_bytes, new_id


@pytest.fixture(params=["folder", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """Give each kind of store in turn: all keep the same promises."""
    return FolderBlobs(tmp_path / "blobs") if request.param == "folder" else MemoryBlobs()


@pytest.mark.parametrize("data", [b"", b"x", bytes(200_000)])
def test_a_blob_is_named_by_its_content_and_comes_back(blobs: BlobStore, data: bytes) -> None:
    """What was put is what is got, and twice is once."""
    digest = blobs.put(data)
    assert digest == digest_of(data) == blobs.put(bytearray(data)) == blobs.put(memoryview(data))
    assert blobs.get(digest) == data
    assert blobs.has(digest)


def test_what_was_not_put_is_not_found(blobs: BlobStore) -> None:
    """A missing blob is an error of its own."""
    digest = digest_of(b"nothing")
    assert not blobs.has(digest)
    with pytest.raises(NotFound, match=str(digest)):
        blobs.get(digest)


def test_a_removed_blob_is_gone_and_removing_again_is_no_error(blobs: BlobStore) -> None:
    """Forgetting is idempotent, and another blob stays."""
    one, two = blobs.put(b"one"), blobs.put(b"two")
    blobs.remove(one)
    blobs.remove(one)
    assert (blobs.has(one), blobs.has(two)) == (False, True)
    blobs.put(b"one")
    assert blobs.get(one) == b"one"


def test_a_blob_is_a_copy(blobs: BlobStore) -> None:
    """Changing what was put changes nothing that is kept."""
    data = bytearray(b"mutable")
    digest = blobs.put(data)
    data[0] ^= 1
    assert blobs.get(digest) == b"mutable"


def test_many_threads_may_put_the_same(blobs: BlobStore) -> None:
    """Calls come from any thread."""

    def put(_: int) -> list[bytes]:
        return [blobs.get(blobs.put(bytes([number]))) for number in range(20)]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(put, range(4))) == [[bytes([n]) for n in range(20)]] * 4


def test_a_flipped_bit_on_disk_is_noticed(tmp_path: Path) -> None:
    """A folder gives back the bytes named, or says that they have changed."""
    store = FolderBlobs(tmp_path)
    digest = store.put(b"precious")
    for bit in range(8 * len(b"precious")):
        data = bytearray(b"precious")
        data[bit // 8] ^= 1 << bit % 8
        store.path(digest).write_bytes(data)
        with pytest.raises(Corrupt, match="have changed"):
            store.get(digest)


@pytest.mark.parametrize("name", ["../../etc/passwd", "sha256:..", "", "sha256:" + "A" * 64])
def test_what_is_no_digest_names_no_file(tmp_path: Path, name: str) -> None:
    """A name cannot lead out of the folder."""
    with pytest.raises(Refused, match="not a digest"):
        FolderBlobs(tmp_path).get(Digest(name))


# Files


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """The new content takes the old one's place, nothing else is left."""
    target = tmp_path / "file"
    write_durably(target, b"old")
    write_durably(target, memoryview(b"new"), mode=0o600)
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    """Whatever goes wrong, there is the old file or the new one."""
    target = tmp_path / "file"
    write_durably(target, b"old")
    with pytest.raises(TypeError):
        write_durably(target, "no bytes")  # type: ignore[arg-type]  # that is the point
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_name_that_is_a_folder_is_not_overwritten(tmp_path: Path) -> None:
    """The failure is the system's own, and no temporary file stays."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_durably(tmp_path / "folder", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_folders_are_private(tmp_path: Path) -> None:
    """Folders made for a party are its own; one that exists is left as it is."""
    made = make_folder(tmp_path / "a" / "b")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (made, made.parent)} == {0o700}
    made.chmod(0o755)
    assert stat.S_IMODE(make_folder(made).stat().st_mode) == 0o755


# Databases


def test_a_database_is_durable_and_keeps_its_keys(tmp_path: Path) -> None:
    """SQLite runs in WAL mode with full durability, and foreign keys hold."""
    engine = open_database(tmp_path / "deep" / "store.db")
    with writing(engine) as connection:
        mode = {p: connection.scalar(text(f"PRAGMA {p}")) for p in ("journal_mode", "synchronous")}
        connection.execute(text("CREATE TABLE a (id INTEGER PRIMARY KEY)"))
        connection.execute(text("CREATE TABLE b (a REFERENCES a (id))"))
    assert mode == {"journal_mode": "wal", "synchronous": 2}
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(text("INSERT INTO b VALUES (7)"))
    engine.dispose()


def test_a_transaction_that_raises_is_undone(tmp_path: Path) -> None:
    """All or nothing."""
    engine = open_database(tmp_path / "store.db")
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE a (id INTEGER)"))
    with pytest.raises(NotFound), writing(engine) as connection:
        connection.execute(text("INSERT INTO a VALUES (1)"))
        raise NotFound("stop")
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM a")) == 0
    engine.dispose()


# Time and names


YEAR_1900 = datetime(1900, 1, 1, tzinfo=UTC).replace(tzinfo=None)


@given(st.datetimes(min_value=YEAR_1900, timezones=st.timezones()))
def test_a_time_is_read_as_written_to_the_millisecond(moment: datetime) -> None:
    """Times travel in UTC."""
    written = rfc3339(moment)
    read = parse_time(written)
    assert written.endswith("Z")
    assert read.tzinfo is UTC
    assert timedelta(0) <= moment - read < timedelta(milliseconds=1)
    assert rfc3339(read) == written


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("2026-11-21T01:02:03Z", datetime(2026, 11, 21, 1, 2, 3, tzinfo=UTC)),
        ("2026-11-21T01:02:03+02:00", datetime(2026, 11, 20, 23, 2, 3, tzinfo=UTC)),
        ("2026-11-21T01:02:03.5-00:30", datetime(2026, 11, 21, 1, 32, 3, 500000, tzinfo=UTC)),
    ],
)
def test_a_time_with_a_zone_is_read(given_: str, expected: datetime) -> None:
    """Any zone is understood."""
    assert parse_time(given_) == expected


@pytest.mark.parametrize("text_", ["", "now", "2026-11-21T01:02:03", "2026-13-01T00:00:00Z", "Z"])
def test_a_time_without_a_zone_or_sense_is_refused(text_: str) -> None:
    """A time that could mean several moments is none."""
    with pytest.raises(Refused, match="time"):
        parse_time(text_)


def test_clocks_tell_aware_times() -> None:
    """The system's clock is in UTC; a fixed one moves when told to."""
    assert SystemClock().now().tzinfo is UTC
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))))
    before = clock.now()
    clock.advance(1.5)
    assert clock.now() - before == timedelta(seconds=1.5)


@given(st.from_regex(r"\A[a-z]{1,10}\Z"), st.binary(min_size=16, max_size=16))
def test_ids_are_well_formed(kind: str, raw: bytes) -> None:
    """An id is its kind and 26 characters, and is accepted in messages."""
    made = id_from_bytes(kind, raw)
    assert msgspec.convert(made, Id) == made
    assert made.startswith(kind + "-")
    assert len(made) == len(kind) + 27


def test_ids_are_not_made_twice() -> None:
    """128 random bits each."""
    assert len({new_id("act") for _ in range(1000)}) == 1000


WRONG_NAMES = ["", "-a", "A", "a" * 64, "a\n", "a b", "ä", "a/b", "a.b", "..", "a\x00"]


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_other_names_are_refused_everywhere(name: str) -> None:
    """Typed by a person or read from the wire: one rule; a name ends where it ends."""
    with pytest.raises(Refused, match="not a name for a study"):
        check_name(name, "study")
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(name, Name)


def test_an_id_ends_where_it_ends() -> None:
    """A line end, another length or another character is no id."""
    made = new_id("act")
    for wrong in (made + "\n", made + "a", made[:-1], made[:-1] + "=", made.upper(), made[3:]):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Id)


@given(st.from_regex(r"\A[a-z0-9][a-z0-9-]{0,62}\Z"))
def test_names_of_the_form_are_accepted(name: str) -> None:
    """Lower-case letters, digits and dashes, up to 63."""
    assert check_name(name, "station") == msgspec.convert(name, Name) == name


# Errors


@pytest.mark.parametrize("kind", BY_CODE.values())
def test_an_error_is_one_sentence_and_an_advice(kind: type[BranchlineError]) -> None:
    """A person reads what was refused and what to do; a program reads a code."""
    error = kind("It was refused.", advice="Do this", detail={"a": 1})
    assert str(error) == "It was refused. Do this."
    assert error.as_json() == {
        "error": kind.code,
        "refused": "It was refused",
        "advice": "Do this",
        "detail": {"a": 1},
    }
    assert str(kind("Only this")) == "Only this."
    assert BY_CODE[kind.code] is kind
    assert kind.exit_code > 0


def test_a_file_forced_early_is_whole(tmp_path: Path) -> None:
    """Writing goes on while what is written goes to disk; the disk's errors are told."""
    with (tmp_path / "large").open("wb", buffering=0) as file, EarlySync(file.fileno()) as early:
        for _ in range(40):
            file.write(bytes(1 << 20))
            early.wrote(1 << 20)
        early.finish()
    assert (tmp_path / "large").stat().st_size == 40 << 20
    reading_end, writing_end = os.pipe()
    try:
        with EarlySync(writing_end) as early, pytest.raises(OSError, match="Invalid argument"):
            early.wrote(20 << 20)  # a pipe cannot be forced to disk
            early.finish()
    finally:
        os.close(reading_end)
        os.close(writing_end)


def test_a_room_is_used_again_and_grows() -> None:
    """Memory is taken from the kernel once; the last payload's bytes are overwritten."""
    room = Room()
    first = room.take(5 << 20)
    first[:5] = b"first"
    assert bytes(room.take(4 << 20)[:5]) == b"first"
    assert len(room.take(6 << 20)) == 6 << 20


def test_rooms_are_used_again_only_when_nobody_looks() -> None:
    """A view, a slice of it, or an array over it keeps its bytes; afterwards they are overwritten."""
    rooms, size = Rooms(), 5 << 20
    first = rooms.take(size)
    first[:5] = b"first"
    kept = memoryview(first)[2:5].toreadonly()
    array = np.frombuffer(first, np.uint8)
    buffer = pa.py_buffer(first)
    del first
    for holder in ("a slice", "an array", "an Arrow buffer"):
        rooms.take(size)[:5] = b"other"
        assert (bytes(kept[:3]), bytes(array[:5]), buffer[:5].to_pybytes()) == (
            b"rst",
            b"first",
            b"first",
        ), holder
    del kept, array, buffer
    assert {bytes(rooms.take(size - 9)[:5]) for _ in range(2)} <= {b"first", b"other"}
    assert len(rooms.take(2 * size)) == 2 * size
