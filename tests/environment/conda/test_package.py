"""Conda's packages, taken apart as hostile bytes."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.environment.conda.channel import PLACEHOLDER, PURE, PYTHON, TOOL, Package

from branchline.environment.image.conda_package import take_apart
from branchline.environment.image.entries import Entry
from branchline.environment.lock.model import CondaPackage, Sha256
from branchline.foundation.errors import BranchlineError, Corrupt, Refused


class Kept:
    """Keep contents in memory."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def adopt(self, file: str, entry: Entry) -> None:
        content = Path(file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry.sha256
        assert len(content) == entry.size
        self.contents[entry.path] = content


def locked(package: Package, data: bytes) -> CondaPackage:
    """Return what a lock would say of a package."""
    return CondaPackage(
        name=package.name,
        version=package.version,
        build=package.build,
        channel="lab",
        subdir=package.subdir,
        file=package.file,
        sha256=Sha256(hashlib.sha256(data).hexdigest()),
        size=len(data),
    )


def take(
    package: Package, folder: Path, data: bytes | None = None, python: str | None = "3.11"
) -> tuple[dict[str, Entry], dict[str, bytes]]:
    """Take a package apart; its entries and contents by their path below the prefix."""
    data = package.pack() if data is None else data
    file, scratch, kept = folder / "package", folder / "scratch", Kept()
    file.write_bytes(data)
    scratch.mkdir(exist_ok=True)
    found = take_apart(file, locked(package, data), python, kept, scratch)
    assert all(path.startswith("opt/conda/") for path in found)
    return {path[10:]: entry for path, entry in found.items()}, {
        path[10:]: content for path, content in kept.contents.items()
    }


@pytest.mark.parametrize("old", [False, True], ids=[".conda", ".tar.bz2"])
def test_the_prefix_is_written_where_it_stands(tmp_path: Path, old: bool) -> None:
    """In texts as it is; in programs the rest of the text follows, and zeros fill what is left."""
    entries, contents = take(replace(TOOL, old=old), tmp_path)
    assert contents["bin/tool"] == b"#!/bin/sh\necho /opt/conda/share\n"
    assert (entries["bin/tool"].mode, entries["lib/tool.bin"].mode) == (0o755, 0o644)
    before, after = TOOL.files["lib/tool.bin"], contents["lib/tool.bin"]
    assert len(after) == len(before)
    assert after.startswith(b"\x7fELF\0/opt/conda/lib:/opt/conda/lib64\0")
    assert after.endswith(b"\0after\0")
    assert after.replace(b"\0", b"") == b"\x7fELF/opt/conda/lib:/opt/conda/lib64after"


def test_what_is_for_any_python_goes_where_this_one_looks(tmp_path: Path) -> None:
    """Modules, scripts, and programs made of entry points, with this environment's Python."""
    entries, contents = take(PURE, tmp_path)
    folder = "lib/python3.11/site-packages"
    assert f"{folder}/pure_thing/__init__.py" in contents
    assert contents["bin/also-pure"] == b"#!/bin/sh\necho also\n"
    program = contents["bin/pure"].decode()
    assert program.startswith("#!/opt/conda/bin/python3.11\n")
    assert "from pure_thing import main\n" in program
    assert entries["bin/pure"].mode == 0o755
    record = json.loads(contents["conda-meta/pure-thing-2.0-0.json"])
    assert record["name"] == "pure-thing"
    assert f"{folder}/pure_thing/__init__.py" in record["files"]
    with pytest.raises(Refused, match="names no conda package of Python"):
        take(PURE, tmp_path, python=None)


def test_compiled_modules_of_packages_are_left_out(tmp_path: Path) -> None:
    """They hold the times of files; where there is no Python to make them anew they stay."""
    compiled = "lib/python3.11/__pycache__/old.cpython-311.pyc"
    assert compiled not in take(PYTHON, tmp_path)[0]
    assert compiled in take(PYTHON, tmp_path, python=None)[0]
    assert take(PYTHON, tmp_path)[0]["bin/python"].target == "python3.11"


def changed(package: Package, part: str, make: bytes | None) -> bytes:
    """Return a package's bytes with one part of the archive changed or left out."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package.pack())) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            if not name.startswith(part):
                new.writestr(name, old.read(name))
            elif make is not None:
                new.writestr(name, make)
    return made.getvalue()


class Lying(Package):
    """A package whose list says other hashes than its files have."""

    def _paths(self) -> dict[str, object]:
        said = super()._paths()
        return said | {"paths": [each | {"sha256": "0" * 64} for each in said["paths"]]}


HOSTILE = {
    "out": (replace(PURE, files={"../out": b""}), Refused, "lead out"),
    "absolute": (replace(PURE, files={"/out": b""}), Refused, "lead out"),
    "name": (replace(PURE, files={"a\nb": b""}), Refused, "of the name"),
    "entry point": (replace(PURE, entry_points=["x = y; import os"]), Refused, "entry point"),
    "twice": (
        replace(PURE, files={"bin/a": b"", "python-scripts/a": b""}),
        Refused,
        "twice",
    ),
}


@pytest.mark.parametrize(("package", "error", "word"), HOSTILE.values(), ids=list(HOSTILE))
def test_what_would_lead_out_or_is_twice_is_refused(
    tmp_path: Path, package: Package, error: type[BranchlineError], word: str
) -> None:
    """Names out of the prefix, control characters, programs that are code, one path twice."""
    with pytest.raises(error, match=word):
        take(package, tmp_path)


def test_a_package_that_is_not_what_it_says_is_refused(tmp_path: Path) -> None:
    """Another package, a list that lies, parts that are missing or damaged, an archive cut short."""
    whole = PURE.pack()
    lying = Lying(**{name: getattr(PURE, name) for name in PURE.__dataclass_fields__})
    with pytest.raises(Corrupt, match="another SHA-256 than it lists"):
        take(lying, tmp_path)
    other = msgspec.structs.replace(locked(PURE, whole), version="3.0")
    (tmp_path / "package").write_bytes(whole)
    with pytest.raises(Corrupt, match=r"says pure-thing 2\.0 0"):
        take_apart(tmp_path / "package", other, "3.11", Kept(), tmp_path / "scratch")
    for data in (
        changed(PURE, "info-", None),
        changed(PURE, "pkg-", None),
        changed(PURE, "pkg-", b"none"),
        whole[: len(whole) // 2],
        b"",
    ):
        with pytest.raises(Corrupt, match="The conda package pure-thing"):
            take(PURE, tmp_path, data)
    with pytest.raises(Corrupt, match="cannot be read"):
        take(TOOL, tmp_path, TOOL.pack()[:-20])


@settings(max_examples=25)
@given(
    pieces=st.lists(
        st.sampled_from([PLACEHOLDER.encode(), b"\0", b"/lib", b":", b"text", b"\xff\0\0"]),
        max_size=12,
    )
)
def test_a_program_keeps_its_length_and_everything_else(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    """Texts are what they were with the new prefix, in their order; offsets do not move."""
    data = b"\x7f" + b"".join(pieces) + b"\0"
    package = replace(TOOL, files={"x": data}, relocated={"x": "binary"}, executable=[])
    _, contents = take(package, tmp_path_factory.mktemp("p"))
    found = contents["x"]
    assert len(found) == len(data)
    texts = [
        text.replace(PLACEHOLDER.encode(), b"/opt/conda") for text in data.split(b"\0") if text
    ]
    assert [text for text in found.split(b"\0") if text] == texts


@pytest.mark.parametrize("old", [False, True], ids=[".conda", ".tar.bz2"])
def test_what_the_system_refuses_is_no_fault_of_the_package(tmp_path: Path, old: bool) -> None:
    """As where the disk is full: whoever called knows what to say of it."""
    tool, file = replace(TOOL, old=old), tmp_path / "package"
    file.write_bytes(tool.pack())
    with pytest.raises(FileNotFoundError):
        take_apart(file, locked(tool, tool.pack()), None, Kept(), tmp_path / "nowhere")
