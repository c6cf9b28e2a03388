"""The pool: what is in it is what it is called, whoever brought it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from branchline.environment.lock.pool import Pool
from branchline.foundation.errors import Corrupt, NotFound, Refused

DATA = b"a package" * 1000
SHA = hashlib.sha256(DATA).hexdigest()


def _file(tmp_path: Path, data: bytes = DATA) -> Path:
    file = tmp_path / "hello_1_all.deb"
    file.write_bytes(data)
    return file


def test_a_file_is_adopted_under_its_hash(tmp_path: Path) -> None:
    """It moves in, cannot be written to, and is found again."""
    pool = Pool(tmp_path / "debs")
    file = _file(tmp_path)
    kept = pool.adopt(file, SHA, len(DATA))
    assert kept == pool.path(SHA)
    assert kept.read_bytes() == DATA
    assert kept.stat().st_mode & 0o222 == 0
    assert not file.exists()
    assert pool.has(SHA)
    assert pool.verified(SHA, len(DATA), "hello") == kept


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (DATA[:-1], "hello_1_all.deb has 8999 bytes and must have 9000: it is cut short"),
        (DATA + b"x", "it is too long"),
        (b"A" + DATA[1:], "has the SHA-256"),
    ],
)
def test_other_bytes_are_not_taken_in(tmp_path: Path, data: bytes, why: str) -> None:
    """A truncated or changed file is refused, named, and leaves nothing in the pool."""
    pool = Pool(tmp_path / "debs")
    file = _file(tmp_path, data)
    with pytest.raises(Corrupt, match=why):
        pool.adopt(file, SHA, len(DATA))
    assert not pool.has(SHA)
    assert not list(tmp_path.glob("debs/*"))
    assert file.exists()


def test_a_file_that_rots_in_the_pool_is_named(tmp_path: Path) -> None:
    """Reading a file again before use notices a flipped bit, and makes room for the right one."""
    pool = Pool(tmp_path / "debs")
    kept = pool.adopt(_file(tmp_path), SHA, len(DATA))
    kept.chmod(0o644)
    kept.write_bytes(b"A" + DATA[1:])
    with pytest.raises(Corrupt, match=r"hello.*It was taken out: do the same again"):
        pool.verified(SHA, len(DATA), "hello")
    # Whoever fetches asks what is there, and now brings it again.
    assert not pool.has(SHA)
    pool.adopt(_file(tmp_path), SHA, len(DATA))
    assert pool.verified(SHA, len(DATA), "hello") == kept


def test_what_is_missing_and_what_is_no_hash_are_told_apart(tmp_path: Path) -> None:
    """A pool answers for hashes alone; a path in their place is refused."""
    pool = Pool(tmp_path)
    assert not pool.has(SHA)
    with pytest.raises(NotFound, match="hello is not in the store"):
        pool.verified(SHA, 1, "hello")
    with pytest.raises(Refused, match="not a SHA-256"):
        pool.path("../../etc/passwd")


def test_what_a_killed_fetch_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """What somebody is at stays, whatever its date."""
    pool = Pool(tmp_path / "debs")
    with pool.scratch() as first:
        (first / "half").write_text("half")
        os.utime(first, (0, 0))
        (first.parent / "left").mkdir()
        with pool.scratch() as second:
            assert set(first.parent.iterdir()) == {first, second}
            assert (first / "half").exists()
    assert not list(first.parent.iterdir())
