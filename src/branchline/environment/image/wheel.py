"""Take a wheel apart, as hostile bytes, into entries and objects (PEP 427, PyPA's binary format).

The library `installer` reads the wheel's own description; where a file goes is decided here. What
is not below /usr/local, is named twice, or is not what the wheel's RECORD says, is refused.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import stat
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Protocol, cast

from installer import install
from installer.destinations import WheelDestination
from installer.exceptions import InstallerError
from installer.records import Hash, InvalidRecordEntry, RecordEntry
from installer.scripts import Script
from installer.sources import WheelContentElement, WheelFile
from installer.utils import Scheme, construct_record_file, fix_shebang

from branchline.environment.image.entries import Entry
from branchline.environment.image.recipe import LOCAL
from branchline.environment.lock.model import Wheel
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.zips import DAMAGED_ZIP, is_damage

_PIECE = 1 << 20
_MOST_FILES = 500_000
_MOST_GROWTH, _FREE_GROWTH = 100, 64 << 20
"""A wheel may expand to a hundred times its size, and small ones to 64 MiB."""


@dataclass(frozen=True)
class Interpreter:
    """The Python that wheels are installed for.

    Args:
        series: Such as "3.11".
        prefix: What they are installed below.
        packages_name: What its folder of packages is called.
        makers: What decides the bytes it compiles: its packages, by SHA-256.
    """

    series: str
    prefix: str
    packages_name: str
    makers: Sequence[str]

    @property
    def packages(self) -> str:
        """The folder of packages, from the root."""
        return f"{self.prefix[1:]}/lib/python{self.series}/{self.packages_name}"

    @property
    def program(self) -> str:
        """The program: conda's in its prefix, Debian's in /usr."""
        folder = "/usr" if self.prefix == f"/{LOCAL}" else self.prefix
        return f"{folder}/bin/python{self.series}"


class Keeper(Protocol):
    """Takes files over."""

    def adopt(self, file: str, entry: Entry) -> None:
        """Take a file with the entry's content; it is gone afterwards."""
        ...


def take_apart(
    file: Path, wheel: Wheel, python: Interpreter, keeper: Keeper, scratch: Path
) -> dict[str, Entry]:
    """Return what a wheel installs, by path, its contents handed to the keeper.

    Args:
        file: The wheel, whatever it is called here.
        wheel: What the lock says of it.
        python: The Python it is installed for.
        keeper: Takes the contents.
        scratch: A folder for what is under way.

    Raises:
        Corrupt: Not a wheel, truncated, or not what its RECORD says.
        Refused: It names a place it must not write to, or expands beyond reason.
    """
    destination = _Destination(wheel, python, keeper, scratch)
    try:
        with _opened(file, wheel) as source, warnings.catch_warnings():
            # `installer` warns where a wheel has compiled modules, and leaves them out.
            warnings.simplefilter("ignore", RuntimeWarning)
            install(source, destination, {"INSTALLER": b"branchline\n"})
    except (InstallerError, InvalidRecordEntry, KeyError, *DAMAGED_ZIP) as error:
        if not is_damage(error):
            raise
        raise Corrupt(f"The wheel {wheel.file} cannot be installed: {error}") from error
    return destination.entries


@contextmanager
def _opened(file: Path, wheel: Wheel) -> Iterator[WheelFile]:
    with zipfile.ZipFile(file) as archive:
        items = archive.infolist()
        total = sum(item.file_size for item in items)
        if len(items) > _MOST_FILES or total > _FREE_GROWTH + _MOST_GROWTH * wheel.size:
            raise Refused(f"The wheel {wheel.file} expands to {total} bytes in {len(items)} files")
        names = [item.filename for item in items]
        if len(set(names)) != len(names):
            raise Refused(f"The wheel {wheel.file} has two files of one name")
        for item in items:
            mode = item.external_attr >> 16
            if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise Refused(f"The wheel {wheel.file} has a link or device, {item.filename!r}")
        archive.filename = wheel.file  # the pool calls it by its hash
        yield _Recorded(archive)


class _Recorded(WheelFile):
    """A wheel each of whose files is held against RECORD while it is read."""

    def get_contents(self) -> Iterator[WheelContentElement]:
        for (name, expected, size), stream, executable in super().get_contents():
            if name == f"{self.dist_info_dir}/RECORD" or name.endswith((".jws", ".p7s")):
                yield (name, expected, size), stream, executable
                continue
            checked = _Checked(stream, name, expected)
            yield (name, expected, size), cast("BinaryIO", checked), executable
            checked.finish()


class _Checked(io.RawIOBase):
    """Pass a file on, and compare it with its hash in RECORD at the end."""

    def __init__(self, stream: IO[bytes], name: str, expected: str) -> None:
        algorithm, _, value = expected.partition("=")
        if algorithm not in ("sha256", "sha384", "sha512"):
            raise ValueError(f"RECORD has no hash of {name!r}")
        self._state = hashlib.new(algorithm)
        self._value, self._stream, self._name = value, stream, name
        self._taken = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        self._taken = True
        data = self._stream.read(size)
        self._state.update(data)
        return data

    def finish(self) -> None:
        """Compare; a file that `installer` passed over was not installed."""
        if not self._taken:
            return
        while self.read(_PIECE):
            pass
        found = base64.urlsafe_b64encode(self._state.digest()).rstrip(b"=").decode()
        if found != self._value.rstrip("="):
            raise ValueError(f"{self._name!r} is not what RECORD says")


class _Destination(WheelDestination):
    """Turn what `installer` writes into entries and objects."""

    def __init__(self, wheel: Wheel, python: Interpreter, keeper: Keeper, scratch: Path) -> None:
        self.entries: dict[str, Entry] = {}
        self._wheel, self._keeper, self._scratch = wheel, keeper, scratch
        self._interpreter = python.program
        prefix = python.prefix[1:]
        self._schemes: Mapping[str, str] = {
            "purelib": python.packages,
            "platlib": python.packages,
            "headers": f"{prefix}/include/python{python.series}/{wheel.name}",
            "scripts": f"{prefix}/bin",
            "data": prefix,
        }

    def write_script(self, name: str, module: str, attr: str, section: str) -> RecordEntry:
        """Make the program of an entry point."""
        script = Script(name, module, attr, cast("object", section))  # type: ignore[arg-type]
        file, data = script.generate(self._interpreter, "posix")
        return self._put(Scheme("scripts"), file, io.BytesIO(data), True)

    def write_file(
        self, scheme: Scheme, path: str | os.PathLike[str], stream: BinaryIO, is_executable: bool
    ) -> RecordEntry:
        """Take one file of the wheel."""
        if scheme == "scripts":
            # Scripts are small; the library wants to go back to their first line.
            whole = io.BytesIO(stream.read())
            with fix_shebang(whole, self._interpreter) as changed:
                return self._put(scheme, os.fspath(path), changed, True)
        return self._put(scheme, os.fspath(path), stream, is_executable)

    def finalize_installation(
        self,
        scheme: Scheme,
        record_file_path: str,
        records: Iterable[tuple[Scheme, RecordEntry]],
    ) -> None:
        """Write RECORD as it is after the installation."""

        def prefix(other: str) -> str | None:
            if other == scheme:
                return None
            return os.path.relpath(self._schemes[other], self._schemes[scheme]) + "/"

        with construct_record_file(list(records), prefix) as stream:
            self._put(scheme, record_file_path, stream, False)

    def _put(self, scheme: Scheme, name: str, stream: BinaryIO, executable: bool) -> RecordEntry:
        path = self._place(scheme, name)
        state, size = hashlib.sha256(), 0
        file = str(self._scratch / f"{len(self.entries)}")
        with open(file, "wb", buffering=0) as target:
            while piece := stream.read(_PIECE):
                state.update(piece)
                size += len(piece)
                target.write(piece)
        entry = Entry(path, "file", 0o755 if executable else 0o644, size, state.hexdigest())
        self._keeper.adopt(file, entry)
        self.entries[path] = entry
        text = base64.urlsafe_b64encode(state.digest()).rstrip(b"=").decode()
        return RecordEntry(name, Hash("sha256", text), size)

    def _place(self, scheme: Scheme, name: str) -> str:
        """Return where a file goes."""
        parts = name.split("/")
        if name.startswith("/") or any(p in ("", ".", "..") for p in parts) or "\0" in name:
            raise Refused(
                f"The wheel {self._wheel.file} names the path {name[:120]!r}, which would lead "
                "out of the place for wheels"
            )
        if not name.isprintable():
            raise Refused(f"The wheel {self._wheel.file} has a file of the name {name[:120]!r}")
        path = f"{self._schemes[scheme]}/{name}"
        if path in self.entries:
            raise Refused(f"The wheel {self._wheel.file} installs {path!r} twice")
        return path
