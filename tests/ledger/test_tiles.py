"""Names of tiles, bundles of entries, and the places where they are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.disk import SimulatedDisk
from tests.ledger.vectors import entries

from branchline.foundation.errors import NotFound, Refused
from branchline.ledger.edge import Edge
from branchline.ledger.files import Files, FolderFiles, put
from branchline.ledger.proof.merkle import leaf_hash
from branchline.ledger.tiles import (
    MAX_LEAF,
    TileName,
    check_leaf,
    decode_bundle,
    edge_names,
    encode_bundle,
    parse_path,
)

NAMES = st.builds(
    TileName,
    level=st.none() | st.integers(0, 63),
    index=st.integers(0, 10**10),
    width=st.integers(1, 256),
)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (TileName(0, 1_234_067), "tile/0/x001/x234/067"),
        (TileName(1, 0, 17), "tile/1/000.p/17"),
        (TileName(None, 999, 255), "tile/entries/999.p/255"),
        (TileName(None, 1000), "tile/entries/x001/000"),
        (TileName(63, 0), "tile/63/000"),
    ],
)
def test_names_are_those_of_the_specification(name: TileName, path: str) -> None:
    """Numbers are written in groups of three digits, all but the last with an x."""
    assert name.path == path
    assert parse_path(path) == name


@given(NAMES)
def test_every_name_reads_back(name: TileName) -> None:
    """A path is read as the name that wrote it."""
    assert parse_path(name.path) == name


@pytest.mark.parametrize(
    "path",
    [
        "checkpoint",
        "tile/0/1",
        "tile/0/x000/001",
        "tile/00/001",
        "tile/64/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/07",
        "tile/0/001.p/7.tmp",
        "tile/0/000/001",
        "tile/data/001",
        "tile/0/001\n",
    ],
)
def test_another_spelling_is_no_name(path: str) -> None:
    """Each tile has one path; everything else is not a tile."""
    assert parse_path(path) is None


def test_seventy_thousand_entries_make_the_tiles_of_the_specification() -> None:
    """The example of tlog-tiles: 273 and 1 full tiles, and one partial tile on three levels."""
    edge = Edge()
    full = [name.path for name, _ in edge.extend(map(leaf_hash, entries(70_000)))]
    assert [sum(path.startswith(f"tile/{level}/") for path in full) for level in (0, 1, 2)] == [
        273,
        1,
        0,
    ]
    partial = [name for name, _ in edge.partial_tiles()]
    assert partial == edge_names(70_000)
    assert [name.path for name in partial] == [
        "tile/0/273.p/112",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]


@given(st.integers(0, 3).map(lambda n: n * 256) | st.integers(0, 1000))
def test_no_tile_is_empty(size: int) -> None:
    """The right edge of any size names exactly the partial tiles that hold something."""
    edge = Edge()
    edge.extend([bytes(32)] * size)
    assert [name for name, _ in edge.partial_tiles()] == edge_names(size)
    assert all(len(data) == 32 * name.width > 0 for name, data in edge.partial_tiles())


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_every_bundle_reads_back(leaves: list[bytes]) -> None:
    """Entries of any length come back from their bundle."""
    assert decode_bundle(encode_bundle(leaves)) == (leaves, True)


@given(st.lists(st.binary(max_size=50), min_size=1), st.data())
def test_a_torn_bundle_is_noticed(leaves: list[bytes], data: st.DataObject) -> None:
    """A bundle cut anywhere has fewer entries or says that its last one is torn."""
    whole = encode_bundle(leaves)
    cut = data.draw(st.integers(0, len(whole) - 1))
    found, complete = decode_bundle(whole[:cut])
    assert not complete or found == leaves[: len(found)] != leaves


def test_the_largest_entry_fits_and_one_byte_more_does_not() -> None:
    """65,535 bytes go through a bundle; 65,536 are refused with what to do instead."""
    largest = bytes(MAX_LEAF)
    check_leaf(largest)
    assert decode_bundle(encode_bundle([largest, b""])) == ([largest, b""], True)
    with pytest.raises(Refused, match="enter its digest"):
        check_leaf(bytes(MAX_LEAF + 1))


@pytest.fixture(params=["folder", "simulated"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """Give every place where a ledger's files can be kept."""
    return FolderFiles(tmp_path / "ledger") if request.param == "folder" else SimulatedDisk()


def test_files_are_put_replaced_listed_and_removed(files: Files) -> None:
    """Each place keeps the promises that the ledger relies on."""
    assert list(files.paths()) == []
    put(files, {"checkpoint": b"one", "tile/0/000.p/7": b"7", "tile/0/000.p/8": b"8"})
    put(files, {"checkpoint": b"two", "tile/0/000": b""})
    assert sorted(files.paths()) == [
        "checkpoint",
        "tile/0/000",
        "tile/0/000.p/7",
        "tile/0/000.p/8",
    ]
    assert files.read("checkpoint") == b"two"
    files.remove_folder("tile/0/000.p")
    files.remove_folder("tile/0/000.p")
    assert sorted(files.paths()) == ["checkpoint", "tile/0/000"]
    for missing in ("tile/0/000.p/7", "checkpoint/below", "none"):
        with pytest.raises(NotFound):
            files.read(missing)
