"""Layers as tar archives: one canonical form, and a strict reader of any."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.environment.image.entries import Entry, in_order
from branchline.environment.image.recipe import LAYER_DATE
from branchline.environment.image.tar import digest_and_size, header, stream
from branchline.environment.image.tarball import BLOCK, Member, members
from branchline.foundation.errors import Corrupt

NAMES = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/"),
    min_size=1,
    max_size=60,
).filter(lambda name: name not in (".", "..") and not name.startswith(".wh."))
PATHS = st.lists(NAMES, min_size=1, max_size=6).map("/".join)
CONTENTS: dict[str, bytes] = {}


def file_entry(path: str, content: bytes, mode: int) -> Entry:
    """Return a file's entry and remember its content."""
    sha256 = hashlib.sha256(content).hexdigest()
    CONTENTS[sha256] = content
    return Entry(path, "file", mode, len(content), sha256)


ENTRIES = st.one_of(
    st.builds(file_entry, PATHS, st.binary(max_size=1500), st.integers(0, 0o777)),
    st.builds(lambda path, mode: Entry(path, "folder", mode), PATHS, st.integers(0, 0o1777)),
    st.builds(
        lambda path, to: Entry(path, "link", target=to),
        PATHS,
        st.lists(NAMES, min_size=1, max_size=8).map("/".join),
    ),
)
LAYERS = st.lists(ENTRIES, max_size=8, unique_by=lambda entry: entry.path).map(in_order)


def contents(entry: Entry) -> Iterator[bytes]:
    """Give a remembered content."""
    yield CONTENTS[entry.sha256]


def written(entries: tuple[Entry, ...]) -> bytes:
    """Return a layer's tar."""
    return b"".join(stream(entries, contents))


def read_back(data: bytes) -> list[tuple[Member, bytes]]:
    """Return what our own reader finds."""
    return [(m, b"".join(m.pieces())) for m in members(io.BytesIO(data), "The archive")]


@given(LAYERS)
def test_what_is_written_is_read_back(entries: tuple[Entry, ...]) -> None:
    """Any names, modes and contents come back, by our reader and by Python's."""
    data = written(entries)
    ours = [
        (m.name.rstrip("/"), m.kind, m.mode if m.kind != "2" else 0, m.target, content)
        for m, content in read_back(data)
    ]
    kinds = {"file": "0", "folder": "5", "link": "2"}
    expected = [
        (e.path, kinds[e.kind], e.mode, e.target, CONTENTS.get(e.sha256, b"") if e.sha256 else b"")
        for e in entries
    ]
    assert ours == expected
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        theirs = archive.getmembers()
        assert [t.name for t in theirs] == [e.path for e in entries]
        assert [t.linkname for t in theirs] == [e.target for e in entries]
        assert {(t.uid, t.gid, t.uname, t.gname, int(t.mtime)) for t in theirs} <= {
            (0, 0, "", "", LAYER_DATE)
        }


@given(LAYERS)
def test_digest_and_size_are_those_of_the_bytes(entries: tuple[Entry, ...]) -> None:
    """What is computed on the way is what the whole gives."""
    data = written(entries)
    digest, size = digest_and_size(entries, contents)
    assert (digest, size) == ("sha256:" + hashlib.sha256(data).hexdigest(), len(data))


@given(LAYERS.filter(bool), st.data())
def test_a_truncated_archive_is_noticed(entries: tuple[Entry, ...], data: st.DataObject) -> None:
    """Wherever it is cut before its end mark, reading says so."""
    whole = written(entries)
    cut = data.draw(st.integers(0, len(whole) - 2 * BLOCK))
    with pytest.raises(Corrupt, match="truncated"):
        read_back(whole[:cut])


@given(LAYERS.filter(bool), st.data())
def test_a_flipped_bit_is_refused_or_changes_what_is_read(
    entries: tuple[Entry, ...], data: st.DataObject
) -> None:
    """No flipped bit in the part that is read goes unseen: it is refused, or something differs."""
    whole = bytearray(written(entries))
    at = data.draw(st.integers(0, len(whole) - 2 * BLOCK - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    assert hashlib.sha256(whole).digest() != hashlib.sha256(written(entries)).digest()
    try:
        read_back(bytes(whole))
    except Corrupt:
        pass


@given(st.binary(max_size=3000))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but our own errors comes out of the reader."""
    try:
        read_back(data)
    except Corrupt:
        pass


def test_names_that_do_not_fit_have_an_extended_header() -> None:
    """Up to 100 bytes stand in the name, up to 255 in prefix and name, all others in pax."""
    short, split = "a" * 100, "b" * 150 + "/" + "c" * 90
    assert len(header(Entry(short, "file"))) == BLOCK
    assert len(header(Entry(split, "file"))) == BLOCK
    for long in ("d" * 101, "e" * 160 + "/" + "f" * 20, "schön"):
        assert len(header(Entry(long, "file"))) == 3 * BLOCK


def test_gnu_archives_are_read(tmp_path: object) -> None:
    """Packages are written with GNU's long names, and numbers that octal digits cannot hold."""
    name = "usr/" + "x" * 300
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo(name)
        info.size, info.mode = 5, 0o644
        archive.addfile(info, io.BytesIO(b"12345"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "y" * 300
        archive.addfile(link)
    (first, content), (second, _) = read_back(made.getvalue())
    assert (first.name, content) == (name, b"12345")
    assert second.target == "y" * 300


def test_what_the_caller_leaves_unread_is_passed_over() -> None:
    """The next member is found whether or not the last one was read."""
    entries = in_order([file_entry("a", b"x" * 5000, 0o644), file_entry("b", b"y", 0o644)])
    assert [m.name for m in members(io.BytesIO(written(entries)), "it")] == ["a", "b"]
