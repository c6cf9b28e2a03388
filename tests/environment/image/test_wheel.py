"""Wheels, taken apart as hostile bytes."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.environment.image.makers import locked_wheel, wheel

from branchline.environment.image.entries import Entry
from branchline.environment.image.wheel import Interpreter, take_apart
from branchline.foundation.errors import BranchlineError, Corrupt, Refused

PYTHON = Interpreter("3.11", "/usr/local", "dist-packages", ())
PACKAGES = "usr/local/lib/python3.11/dist-packages"


class Kept:
    """Keep contents in memory."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def adopt(self, file: str, entry: Entry) -> None:
        content = Path(file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry.sha256
        assert len(content) == entry.size
        self.contents[entry.path] = content


def take(file: Path, tmp_path: Path) -> tuple[dict[str, Entry], dict[str, bytes]]:
    """Take a wheel apart."""
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    kept = Kept()
    return take_apart(file, locked_wheel(file), PYTHON, kept, scratch), kept.contents


def test_files_scripts_and_entry_points_land_below_usr_local(tmp_path: Path) -> None:
    """Modules, data, scripts with the image's Python in their first line, and entry points."""
    file, _ = wheel(
        tmp_path,
        {
            "made_up/__init__.py": b"x = 1\n",
            "made_up-1.0.data/scripts/tool": b"#!python\nprint(1)\n",
            "made_up-1.0.data/data/share/made_up/table": b"1,2",
            "made_up-1.0.data/headers/made_up.h": b"int x;",
        },
        metadata={"entry_points.txt": b"[console_scripts]\nmade-up = made_up:main\n"},
    )
    entries, contents = take(file, tmp_path)
    assert contents[f"{PACKAGES}/made_up/__init__.py"] == b"x = 1\n"
    assert contents["usr/local/bin/tool"] == b"#!/usr/bin/python3.11\nprint(1)\n"
    assert contents["usr/local/bin/made-up"].startswith(b"#!/usr/bin/python3.11\n")
    assert contents["usr/local/share/made_up/table"] == b"1,2"
    assert contents["usr/local/include/python3.11/made-up/made_up.h"] == b"int x;"
    assert contents[f"{PACKAGES}/made_up-1.0.dist-info/INSTALLER"] == b"branchline\n"
    assert entries["usr/local/bin/tool"].mode == 0o755
    assert entries[f"{PACKAGES}/made_up/__init__.py"].mode == 0o644
    record = contents[f"{PACKAGES}/made_up-1.0.dist-info/RECORD"].decode()
    assert "../../../bin/made-up,sha256=" in record


@pytest.mark.parametrize(
    "name",
    [
        "../evil.py",
        "made_up/../../../evil.py",
        "/evil.py",
        "made_up//evil.py",
        "made_up/./evil.py",
        "made_up-1.0.data/scripts/../../evil",
        "made_up-1.0.data/data/../../../etc/passwd",
        "made_up/a\tb.py",
        "made_up/a\nb.py",
    ],
)
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing is installed anywhere but below /usr/local, whatever the archive says."""
    file, _ = wheel(tmp_path, {name: b"x"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BranchlineError, match=r"made_up-1\.0"):
        take(file, tmp_path)
    after = [path for path in tmp_path.rglob("*") if "scratch" not in path.parts]
    assert sorted(after) == before


def test_a_script_with_a_path_for_a_name_is_refused(tmp_path: Path) -> None:
    """Entry points name programs, not places."""
    points = b"[console_scripts]\n../../../bin/sh = made_up:main\n"
    file, _ = wheel(tmp_path, {"made_up.py": b""}, metadata={"entry_points.txt": points})
    with pytest.raises(BranchlineError, match=r"made_up-1\.0"):
        take(file, tmp_path)


def test_a_link_in_a_wheel_is_refused(tmp_path: Path) -> None:
    """Wheels have no links; an archive that has one wants something else."""
    file, _ = wheel(tmp_path, {"made_up.py": b""})
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo("made_up/passwd")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(Refused, match="link or device"):
        take(file, tmp_path)


def test_a_file_that_is_not_what_record_says_is_refused(tmp_path: Path) -> None:
    """RECORD is the wheel's own word about itself; a wheel that breaks it is not installed."""
    file, _ = wheel(tmp_path, {"made_up.py": b"1"}, record={"made_up.py": "sha256=" + "A" * 43})
    with pytest.raises(Corrupt, match=r"'made_up\.py' is not what RECORD says"):
        take(file, tmp_path)


@pytest.mark.parametrize("text", ["", "md5=abc", "sha1=abc"])
def test_a_file_without_a_strong_hash_is_refused(tmp_path: Path, text: str) -> None:
    """RECORD must vouch for every file."""
    file, _ = wheel(tmp_path, {"made_up.py": b"1"}, record={"made_up.py": text})
    with pytest.raises(Corrupt, match=r"made_up\.py"):
        take(file, tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    """Which of the two was meant, nobody could say."""
    file, _ = wheel(tmp_path, {"made_up.py": b"1"})
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("made_up.py", b"2")
    with pytest.raises(Refused, match="two files of one name"):
        take(file, tmp_path)


def test_one_file_in_two_places_of_the_archive_is_refused(tmp_path: Path) -> None:
    """The root and a data folder may not both bring a path."""
    file, _ = wheel(tmp_path, {"made_up.py": b"1", "made_up-1.0.data/purelib/made_up.py": b"2"})
    with pytest.raises(Refused, match="twice"):
        take(file, tmp_path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """A small wheel that expands a thousandfold is no wheel."""
    file, _ = wheel(tmp_path, {"made_up/data": bytes(100 << 20)})
    assert file.stat().st_size < 1 << 20
    with pytest.raises(Refused, match="expands to"):
        take(file, tmp_path)


def test_a_compiled_module_in_a_wheel_is_left_out(tmp_path: Path) -> None:
    """It could differ from its source; the image's own Python compiles."""
    file, _ = wheel(
        tmp_path, {"made_up.py": b"1", "__pycache__/made_up.cpython-311.pyc": b"something"}
    )
    entries, _ = take(file, tmp_path)
    assert not any(path.endswith(".pyc") for path in entries)


@given(at=st.integers(0, 100_000), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_wheel_is_refused_or_the_same(
    at: int, bit: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A wheel with a flipped bit, or cut short, never installs other content."""
    folder = tmp_path_factory.mktemp("wheel")
    files = {"made_up/__init__.py": b"x = 1\n" * 50, "made_up/data": bytes(range(256))}
    file, _ = wheel(folder, files)
    whole, right = file.read_bytes(), take(file, folder)[1]
    data = bytearray(whole)
    if cut:
        del data[at % len(data) :]
    else:
        data[at % len(data)] ^= 1 << bit
    file.write_bytes(data)
    try:
        found = take(file, folder)[1]
    except BranchlineError:
        return
    for path in set(found) & set(right):
        if path.startswith(f"{PACKAGES}/made_up/"):
            assert found[path] == right[path]


def test_what_the_system_refuses_is_no_fault_of_the_wheel(tmp_path: Path) -> None:
    """As where the disk is full: whoever called knows what to say of it."""
    file, _ = wheel(tmp_path, {"made_up.py": b"1"})
    with pytest.raises(FileNotFoundError):
        take_apart(file, locked_wheel(file), PYTHON, Kept(), tmp_path / "nowhere")
