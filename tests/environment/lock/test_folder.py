"""A lock on disk: what lies beside it belongs to it, to the bit."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.environment.lock.samples import SMALL

from branchline.environment.lock.folder import (
    EVIDENCE,
    check_lock,
    read_lock,
    read_locked,
    write_locked,
)
from branchline.environment.lock.locking import Locked
from branchline.environment.lock.model import LOCK_NAME, PYLOCK_NAME, Sha256
from branchline.foundation.errors import Conflict, Corrupt, NotFound

PYLOCK = b'lock-version = "1.0"\n'
RELEASE = b"""\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Origin: Debian
Date: Thu, 13 Nov 2025 02:13:20 UTC
-----BEGIN PGP SIGNATURE-----
-----END PGP SIGNATURE-----
"""


def sha256(data: bytes) -> Sha256:
    """Return a SHA-256 as locks write it."""
    return Sha256(hashlib.sha256(data).hexdigest())


def locked(pylock: bytes = PYLOCK, release: bytes = RELEASE) -> Locked:
    """Return the small lock with texts that belong to it."""
    releases = tuple(
        msgspec.structs.replace(r, inrelease_sha256=sha256(release)) for r in SMALL.debian.releases
    )
    debian = msgspec.structs.replace(SMALL.debian, releases=releases)
    assert SMALL.python is not None
    python = msgspec.structs.replace(SMALL.python, pylock_sha256=sha256(pylock))
    lock = msgspec.structs.replace(SMALL, debian=debian, python=python if pylock else None)
    return Locked(lock, pylock, {sha256(release): release})


def files(folder: Path) -> set[str]:
    """Return all files of a folder."""
    return {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}


def test_a_lock_is_written_and_read_back(tmp_path: Path) -> None:
    """The lock, the texts it names, and nothing else."""
    write_locked(locked(), tmp_path)
    evidence = f"{EVIDENCE}/{sha256(RELEASE)}.InRelease"
    assert files(tmp_path) == {LOCK_NAME, PYLOCK_NAME, evidence}
    assert read_locked(tmp_path) == locked()
    check_lock(read_lock(tmp_path), tmp_path)


def test_writing_again_leaves_what_did_not_change(tmp_path: Path) -> None:
    """Only what is new is written; what no lock names any more goes."""
    write_locked(locked(), tmp_path)
    before = (tmp_path / PYLOCK_NAME).stat().st_mtime_ns
    other = RELEASE + b"\n"
    write_locked(locked(release=other), tmp_path)
    assert (tmp_path / PYLOCK_NAME).stat().st_mtime_ns == before
    assert [f.name for f in (tmp_path / EVIDENCE).iterdir()] == [f"{sha256(other)}.InRelease"]
    write_locked(locked(pylock=b"", release=other), tmp_path)
    assert not (tmp_path / PYLOCK_NAME).exists()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lock; whoever changes it changes it back."""
    folder = tmp_path_factory.mktemp("project")
    write_locked(locked(), folder)
    return folder


@given(data=st.data())
def test_a_flipped_bit_is_noticed_and_named(project: Path, data: st.DataObject) -> None:
    """Whichever bit of whichever file flips: reading and checking both say which file it is."""
    file = project / data.draw(st.sampled_from(sorted(files(project))))
    whole = file.read_bytes()
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    flipped = bytearray(whole)
    flipped[bit // 8] ^= 1 << bit % 8
    file.write_bytes(flipped)
    try:
        with pytest.raises(Corrupt, match=file.name):
            read_locked(project)
        if file.name != LOCK_NAME:
            with pytest.raises(Corrupt, match=file.name):
                check_lock(read_lock(project), project)
    finally:
        file.write_bytes(whole)


def test_missing_files_are_named(tmp_path: Path) -> None:
    """The lock itself, or what it names."""
    with pytest.raises(NotFound, match=r"has no branchline\.lock"):
        read_lock(tmp_path)
    write_locked(locked(), tmp_path)
    (tmp_path / PYLOCK_NAME).unlink()
    with pytest.raises(NotFound, match=r"pylock\.toml, which branchline\.lock names, is missing"):
        read_locked(tmp_path)


def test_a_release_file_of_another_date_is_not_the_evidence(tmp_path: Path) -> None:
    """The lock's dates decide its epoch; they are those of the texts."""
    write_locked(locked(release=RELEASE.replace(b"13 Nov", b"12 Nov")), tmp_path)
    with pytest.raises(Corrupt, match="release file of bookworm is not of 2025-11-13"):
        read_locked(tmp_path)


def test_a_pylock_of_somebody_else_is_not_written_over(tmp_path: Path) -> None:
    """A project may have one of its own."""
    (tmp_path / PYLOCK_NAME).write_text("mine")
    with pytest.raises(Conflict, match="locking did not make it"):
        write_locked(locked(), tmp_path)
    assert (tmp_path / PYLOCK_NAME).read_text() == "mine"
