"""Take a conda package apart, as hostile bytes, into entries and objects.

Both forms are read: ``.conda`` (a zip archive with two tars, compressed with zstd) and ``.tar.bz2``.
The package's own list (``info/paths.json``, in old ones ``info/files``) says what belongs to it and
where its prefix stands. What would lead out of the prefix, or is not what the list says, is refused.
Nothing of a package is run.
"""

from __future__ import annotations

import bz2
import hashlib
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from branchline.environment.image.conda_info import Info, Listed, read_info
from branchline.environment.image.entries import Entry
from branchline.environment.image.place import parts_of
from branchline.environment.image.recipe import CONDA as PREFIX
from branchline.environment.image.tarball import FILE, FOLDER, HARD_LINK, SYMLINK, Member, members
from branchline.environment.image.wheel import Keeper
from branchline.environment.lock.model import CondaPackage
from branchline.foundation.canonical import canonical_json
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.zips import DAMAGED_ZIP, is_damage

_PIECE = 1 << 20
_MOST_FILES = 500_000
_MOST_GROWTH, _FREE_GROWTH = 100, 64 << 20
"""A package may expand to a hundred times its size, and small ones to 64 MiB."""
_LONGEST_INFO = 64 << 20
_LONGEST_RELOCATED = 1 << 30
_ENTRY_POINT = re.compile(r"([\w.-]+)\s*=\s*([\w.]+)\s*:\s*([\w.]+)", re.A)
_PYTHON_FOLDERS = {"site-packages": "lib/python{}/site-packages", "python-scripts": "bin"}


@dataclass
class _Unpacked:
    """A package's members: files in the scratch folder with their modes, links, and ``info/``."""

    files: dict[str, tuple[Path, int]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    info: dict[str, bytes] = field(default_factory=dict)


def take_apart(
    file: Path, package: CondaPackage, python: str | None, keeper: Keeper, scratch: Path
) -> dict[str, Entry]:
    """Return what a package brings below the prefix, by path, its contents handed to the keeper.

    Compiled modules of its own are left out where there is a Python to make them anew: they hold
    the times of files.

    Args:
        file: The package, whatever it is called here.
        package: What the lock says of it.
        python: The series of the environment's Python, such as "3.11"; None where it has none.
        keeper: Takes the contents.
        scratch: A folder for what is under way.

    Raises:
        Corrupt: Not a conda package, truncated, or not what its own list says.
        Refused: It names a place it must not write to, or expands beyond reason.
    """
    what = f"The conda package {package.file}"
    unpacked = _Unpacked()
    try:
        with _archives(file, package.file) as archives:
            _unpack(archives, unpacked, scratch, package.size, what)
    except DAMAGED_ZIP as error:
        if not is_damage(error):
            raise
        raise Corrupt(f"{what} cannot be read: {error}") from error
    info = read_info(unpacked.info, package, what)
    if info.is_python and python is None:
        raise Refused(f"{what} is for any Python, and the lock names no conda package of Python")
    taking = _Taking(unpacked, info, python, keeper, scratch, what)
    for listed in info.paths:
        taking.take(listed)
    for text in info.entry_points:
        taking.add_program(text)
    taking.add_record(package)
    return taking.entries


@contextmanager
def _archives(file: Path, name: str) -> Iterator[Iterator[Any]]:
    """Open a package's tar streams, one after the other."""
    if name.endswith(".tar.bz2"):
        with bz2.open(file) as stream:
            yield iter([_Whole(stream)])
        return
    import pyarrow as pa

    with zipfile.ZipFile(file) as archive:
        stem = name.removesuffix(".conda")

        def both() -> Iterator[Any]:
            for part in ("info", "pkg"):
                with archive.open(f"{part}-{stem}.tar.zst") as packed:
                    yield _Whole(pa.CompressedInputStream(pa.PythonFile(packed, "r"), "zstd"))

        try:
            yield both()
        except KeyError as error:
            raise Corrupt(f"The conda package {name} cannot be read: {error}") from error


class _Whole:
    """Read as many bytes as are asked for; fewer only at the end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        pieces = []
        while size and (piece := self._stream.read(size)):
            size -= len(piece)
            pieces.append(bytes(piece))
        return b"".join(pieces)


def _unpack(
    archives: Iterator[Any], unpacked: _Unpacked, scratch: Path, size: int, what: str
) -> None:
    left, number = _FREE_GROWTH + _MOST_GROWTH * size, 0
    for source in archives:
        for member in members(source, what):
            number, left = number + 1, left - member.size
            if number > _MOST_FILES or left < 0:
                raise Refused(f"{what} expands beyond reason")
            name = "/".join(parts_of(member.name, what))
            _unpack_one(member, name, unpacked, scratch / str(number), what)


def _unpack_one(member: Member, name: str, unpacked: _Unpacked, file: Path, what: str) -> None:
    if member.kind == FOLDER or not name:
        return
    if not name.isprintable():
        raise Refused(f"{what} has a file of the name {name[:120]!r}")
    if name in unpacked.files or name in unpacked.links or name in unpacked.info:
        raise Refused(f"{what} has two files of the name {name[:120]!r}")
    if name.startswith("info/"):
        if member.kind == FILE and member.size <= _LONGEST_INFO:
            unpacked.info[name] = b"".join(member.pieces())
    elif member.kind == SYMLINK:
        unpacked.links[name] = member.target
    elif member.kind == HARD_LINK:
        first = unpacked.files.get("/".join(parts_of(member.target, what)))
        if first is None:
            raise Corrupt(f"{what} has a link to {member.target[:120]!r}, which it does not hold")
        shutil.copyfile(first[0], file)
        unpacked.files[name] = (file, first[1])
    elif member.kind == FILE:
        with file.open("wb") as out:
            for piece in member.pieces():
                out.write(piece)
        unpacked.files[name] = (file, member.mode)
    else:
        raise Refused(f"{what} brings the device or pipe {name!r}, which no image may hold")


class _Taking:
    """Turns listed files into entries and objects."""

    def __init__(
        self,
        unpacked: _Unpacked,
        info: Info,
        python: str | None,
        keeper: Keeper,
        scratch: Path,
        what: str,
    ) -> None:
        self.entries: dict[str, Entry] = {}
        self._unpacked, self._info, self._python = unpacked, info, python
        self._keeper, self._scratch, self._what = keeper, scratch, what

    def take(self, listed: Listed) -> None:
        """Take one path of the package's list."""
        name = "/".join(parts_of(listed.path, self._what))
        if listed.kind == "directory" or (self._python and "__pycache__/" in name):
            return
        path = self._place(name)
        if name in self._unpacked.links:
            self._add(Entry(path, "link", target=self._unpacked.links[name]))
            return
        try:
            file, mode = self._unpacked.files[name]
        except KeyError:
            raise Corrupt(f"{self._what} lists {name!r} and does not hold it") from None
        found, size = _hashed(file)
        if listed.sha256 and listed.sha256 != found:
            raise Corrupt(f"{self._what} holds {name!r} with another SHA-256 than it lists")
        if listed.placeholder:
            if size > _LONGEST_RELOCATED:
                raise Refused(f"{self._what} has its prefix in {name!r}, which is too large")
            self._put(path, self._relocated(file.read_bytes(), listed, name), mode)
        else:
            self._put_file(path, file, mode, found, size)

    def add_program(self, text: str) -> None:
        """Make the program of an entry point."""
        said = _ENTRY_POINT.fullmatch(text.strip())
        if said is None:
            raise Refused(f"{self._what} has the entry point {text[:120]!r}, which is none")
        name, module, attribute = said.groups()
        first = attribute.partition(".")[0]
        lines = (
            f"#!/{PREFIX}/bin/python{self._python}",
            "import sys",
            f"from {module} import {first}",
            f"sys.exit({attribute}())",
            "",
        )
        self._put(f"{PREFIX}/bin/{name}", "\n".join(lines).encode(), 0o755)

    def add_record(self, package: CondaPackage) -> None:
        """Write what conda's own tools look for: the package's index entry and its files."""
        stem = package.file.removesuffix(".conda").removesuffix(".tar.bz2")
        files = sorted(path.removeprefix(f"{PREFIX}/") for path in self.entries)
        said = {**self._info.index, "fn": package.file, "files": files, "sha256": package.sha256}
        self._put(f"{PREFIX}/conda-meta/{stem}.json", canonical_json(said) + b"\n", 0o644)

    def _place(self, name: str) -> str:
        """Return where a file goes; what is for any Python names its folders otherwise."""
        first, slash, rest = name.partition("/")
        if self._info.is_python and slash and first in _PYTHON_FOLDERS:
            return f"{PREFIX}/{_PYTHON_FOLDERS[first].format(self._python)}/{rest}"
        return f"{PREFIX}/{name}"

    def _relocated(self, data: bytes, listed: Listed, name: str) -> bytes:
        old, new = listed.placeholder.encode(), f"/{PREFIX}".encode()
        if listed.mode == "text":
            return data.replace(old, new)
        if len(old) < len(new):
            raise Refused(f"{self._what} has no room for the prefix /{PREFIX} in {name!r}")

        def one(found: re.Match[bytes]) -> bytes:
            text = found[0].replace(old, new)
            return text + b"\0" * (len(found[0]) - len(text))

        # A text in a program ends with a zero byte; what becomes shorter is filled up with them.
        return re.sub(re.escape(old) + rb"[^\0]*", one, data)

    def _put(self, path: str, data: bytes, mode: int) -> None:
        file = self._scratch / f"made-{len(self.entries)}"
        file.write_bytes(data)
        self._put_file(path, file, mode, hashlib.sha256(data).hexdigest(), len(data))

    def _put_file(self, path: str, file: Path, mode: int, sha256: str, size: int) -> None:
        entry = Entry(path, "file", 0o755 if mode & 0o111 else 0o644, size, sha256)
        self._add(entry)
        self._keeper.adopt(str(file), entry)

    def _add(self, entry: Entry) -> None:
        if entry.path in self.entries:
            raise Refused(f"{self._what} installs {entry.path!r} twice")
        self.entries[entry.path] = entry


def _hashed(file: Path) -> tuple[str, int]:
    state, size = hashlib.sha256(), 0
    with file.open("rb") as stream:
        while piece := stream.read(_PIECE):
            state.update(piece)
            size += len(piece)
    return state.hexdigest(), size
