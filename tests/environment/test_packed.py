"""Blobs on their way: what is inside decides, and not a byte more is expanded than announced."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.environment.packed import check, compress, expand
from branchline.foundation.digest import Bytes, digest_of
from branchline.foundation.errors import Corrupt

CONTENT = bytes(range(256)) * 1000
DIGEST = digest_of(CONTENT)


def packed(folder: Path, *pieces: Bytes) -> Path:
    """Compress pieces into a file."""
    compress(pieces, folder / "blob")
    return folder / "blob"


@given(pieces=st.lists(st.binary(max_size=3000), max_size=5))
def test_what_was_compressed_comes_back(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    """In whatever pieces it went in."""
    whole = b"".join(pieces)
    file = packed(tmp_path_factory.mktemp("packed"), *pieces)
    assert b"".join(expand(file, digest_of(whole), len(whole))) == whole


@pytest.mark.parametrize("size", [0, 1, len(CONTENT) - 1, len(CONTENT) + 1, 1 << 40])
def test_another_size_than_announced_is_refused(tmp_path: Path, size: int) -> None:
    """Too much is noticed while it is expanded, too little at the end."""
    with pytest.raises(Corrupt):
        check(packed(tmp_path, CONTENT), DIGEST, size)


def test_a_bomb_is_not_expanded(tmp_path: Path) -> None:
    """Of a gigabyte of zeros in a few kilobytes no more is taken than was announced."""
    file = packed(tmp_path, *([bytes(1 << 20)] * 1024))
    taken = 0
    with pytest.raises(Corrupt, match="more than the 100 bytes"):
        for piece in expand(file, DIGEST, 100):
            taken += len(piece)
    assert taken <= 100


@given(at=st.integers(0, 10_000), cut=st.booleans())
def test_damage_anywhere_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, at: int, cut: bool
) -> None:
    """A flipped bit or a lost end never gives the content that was named."""
    file = packed(tmp_path_factory.mktemp("packed"), CONTENT)
    data = bytearray(file.read_bytes())
    at %= len(data)
    if cut:
        del data[at:]
    else:
        data[at] ^= 1
    file.write_bytes(data)
    try:
        found = b"".join(expand(file, DIGEST, len(CONTENT)))
    except Corrupt:
        return
    assert found == CONTENT, "a bit that says nothing may be another"


@pytest.mark.parametrize("data", [b"", b"plain", bytes(100), CONTENT])
def test_other_bytes_are_refused(tmp_path: Path, data: bytes) -> None:
    """What is no zstd frame is corrupt, not an error of the disk."""
    (tmp_path / "blob").write_bytes(data)
    with pytest.raises(Corrupt):
        check(tmp_path / "blob", DIGEST, len(CONTENT))
