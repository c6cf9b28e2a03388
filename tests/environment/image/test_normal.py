"""The normal form of what packages and their scripts leave."""

from __future__ import annotations

import hashlib
import os
import py_compile
import struct
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.environment.image.entries import Entry
from branchline.environment.image.keystore import with_one_date
from branchline.environment.image.normal import normalise, scan
from branchline.environment.image.recipe import EMPTIED_FILES, FOLDERS, is_wanted
from branchline.foundation.errors import Refused


def listed(root: Path) -> dict[str, Entry]:
    """Return what stands in a root; the files stay where they are."""
    return {entry.path: entry for entry in scan(root, lambda file, entry: None, 2)}


def test_what_says_when_or_where_goes(tmp_path: Path) -> None:
    """Logs, caches and back-ups; folders of logs stay, since daemons expect theirs."""
    for name in (
        "etc/passwd-",
        "var/log/x/y.log",
        "var/cache/apt/pkgcache.bin",
        "tmp/a/b",
        "etc/keep",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "etc/machine-id").write_text("0123")
    normalise(tmp_path)
    found = listed(tmp_path)
    files = {path for path, entry in found.items() if entry.kind == "file"}
    assert files == {"etc/keep", *EMPTIED_FILES}
    assert {found[path].size for path in EMPTIED_FILES} == {0}
    assert "var/log/x" in found
    assert "tmp/a" not in found
    assert set(FOLDERS) <= set(found)


def test_special_bits_pipes_and_owners_are_no_part_of_it(tmp_path: Path) -> None:
    """setuid and setgid are dropped, sticky stays on folders, and pipes are left out."""
    (tmp_path / "su").write_text("x")
    (tmp_path / "su").chmod(0o6755)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o3777)
    os.mkfifo(tmp_path / "pipe")
    found = listed(tmp_path)
    assert (found["su"].mode, found["shared"].mode) == (0o755, 0o1777)
    assert "pipe" not in found


def test_what_is_closed_even_to_its_owner_is_read(tmp_path: Path) -> None:
    """An ordinary user builds what root builds: modes are noted before they are opened."""
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed/file").write_text("x")
    (tmp_path / "closed/file").chmod(0)
    (tmp_path / "closed").chmod(0)
    found = listed(tmp_path)
    assert (found["closed"].mode, found["closed/file"].mode) == (0, 0)
    assert found["closed/file"].sha256 == hashlib.sha256(b"x").hexdigest()


def test_compiled_modules_need_no_check(tmp_path: Path) -> None:
    """Those that would be checked against their source at each import are marked (PEP 552)."""
    source = tmp_path / "module.py"
    source.write_text("x = 1\n")
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    compiled = py_compile.compile(str(source), invalidation_mode=mode)
    assert compiled is not None
    before = Path(compiled).read_bytes()
    listed(tmp_path)
    after = Path(compiled).read_bytes()
    assert (before[4:8], after[4:8]) == (b"\3\0\0\0", b"\1\0\0\0")
    assert after[8:] == before[8:]


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """Images are read on machines that could not name it."""
    with open(os.fsencode(tmp_path) + b"/\xff", "w"):
        pass
    with pytest.raises(Refused, match="UTF-8"):
        listed(tmp_path)


def test_files_are_taken_from_several_threads(tmp_path: Path) -> None:
    """Each file is handed over once, with its entry."""
    for number in range(300):
        (tmp_path / f"{number}").write_text(f"{number}")
    taken: dict[str, Entry] = {}
    lock = threading.Lock()

    def take(file: str, entry: Entry) -> None:
        with lock:
            assert file not in taken
            taken[file] = entry

    entries = scan(tmp_path, take, 4)
    assert len(taken) == len(entries) == 300
    assert [e.path for e in entries] == sorted((e.path for e in entries), key=str.encode)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("usr/share/doc/x/copyright", True),
        ("usr/share/doc/x/NEWS.gz", False),
        ("usr/share/doc/x", True),
        ("usr/share/man/man1/x.1.gz", False),
        ("usr/share/locale/de/LC_MESSAGES/x.mo", False),
        ("usr/share/locale/locale.alias", True),
        ("usr/lib/x", True),
    ],
)
def test_what_is_left_out(path: str, wanted: bool) -> None:
    """Documentation but no copyright file."""
    assert is_wanted(path) is wanted


def test_folders_of_manuals_stay() -> None:
    """Alternatives of Java, among others, fail without them."""
    assert is_wanted("usr/share/man/man1", True)
    assert not is_wanted("usr/share/man/de/man1", True)


def key_store(date: int, names: list[str], *, password: str = "changeit") -> bytes:
    """Write a Java key store of certificates."""
    body = struct.pack(">III", 0xFEEDFEED, 2, len(names))
    for name in names:
        alias, certificate = name.encode(), name.encode() * 3
        body += struct.pack(">IH", 2, len(alias)) + alias + struct.pack(">Q", date)
        body += struct.pack(">H", 5) + b"X.509" + struct.pack(">I", len(certificate)) + certificate
    secret = password.encode("utf-16-be") + b"Mighty Aphrodite"
    return body + hashlib.sha1(secret + body, usedforsecurity=False).digest()


@given(st.lists(st.text("abc:é", min_size=1, max_size=9), max_size=4), st.integers(0, 2**63))
def test_javas_certificates_get_one_date(names: list[str], date: int) -> None:
    """Stores made at different times become one, which is a right one."""
    assert with_one_date(key_store(date, names), 7) == key_store(7000, names)


@given(st.binary(max_size=100), st.integers(0, 400), st.integers(0, 7))
def test_anything_else_is_left_alone(data: bytes, at: int, bit: int) -> None:
    """Other files, other passwords, damaged stores."""
    assert with_one_date(data, 7) == data
    other = key_store(1, ["a", "b"], password="secret")
    assert with_one_date(other, 7) == other
    damaged = bytearray(key_store(1, ["a", "b"]))
    damaged[at % len(damaged)] ^= 1 << bit
    assert with_one_date(bytes(damaged), 7) == bytes(damaged)
