"""Read Debian packages (deb(5)): their control files, and what they would install.

Own code rather than dpkg-deb: it runs where no dpkg is, many at once in threads (decompression
leaves Python's lock), and every name passes through our hands before a file is made.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from branchline.environment.image.tarball import Member, Source, members
from branchline.foundation.errors import Corrupt

_MAGIC = b"!<arch>\n"
_ENTRY = 60
_PIECE = 1 << 19
_MOST_PADDING = 1 << 20
_LONGEST_CONTROL = 64 << 20
_DAMAGED = (lzma.LZMAError, zlib.error, EOFError, OSError, ValueError)


@dataclass(frozen=True)
class Control:
    """A package's control files.

    Args:
        fields: The stanza of `control`, names as written, values with their continuation lines.
        files: Everything else, by name: maintainer scripts, conffiles, md5sums, triggers …
        stanza: The text of `control`.
    """

    fields: dict[str, str]
    files: dict[str, tuple[bytes, int]]
    stanza: str


def read_control(deb: Path, what: str) -> Control:
    """Read a package's control archive.

    Args:
        deb: The file.
        what: What it is, for the error's sentence.

    Raises:
        Corrupt: The file is no Debian package, or is truncated.
    """
    files: dict[str, tuple[bytes, int]] = {}
    with _archive(deb, "control.tar", what) as source:
        total = 0
        for member in members(source, what):
            total += member.size
            if total > _LONGEST_CONTROL:
                raise Corrupt(f"{what} has control files of more than {_LONGEST_CONTROL} bytes")
            name = member.name.removeprefix("./").rstrip("/")
            if name in ("", ".") or member.kind != "0":
                continue
            if "/" in name or name.startswith("."):
                raise Corrupt(f"{what} has a control file of the name {name[:80]!r}")
            files[name] = (b"".join(member.pieces()), member.mode)
    try:
        stanza = files.pop("control")[0].decode()
    except (KeyError, UnicodeDecodeError):
        raise Corrupt(f"{what} has no readable control file") from None
    return Control(_fields(stanza), files, stanza)


@contextmanager
def payload(deb: Path, what: str) -> Iterator[Iterator[Member]]:
    """Open what a package would install, as the members of its data archive.

    Raises:
        Corrupt: The file is no Debian package, or is truncated.
    """
    with _archive(deb, "data.tar", what) as source:
        yield members(source, what)


@contextmanager
def _archive(deb: Path, wanted: str, what: str) -> Iterator[Source]:
    """Open one of a package's two tar archives, decompressing on the way."""
    with deb.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise Corrupt(f"{what} is not a Debian package")
        for name, size in _sections(file, what):
            if name.partition(".tar")[0] + ".tar" == wanted:
                source = _Inflated(file, size, name.rpartition(".tar")[2], what)
                yield source
                source.finish()
                return
    raise Corrupt(f"{what} is truncated: it has no {wanted}")


def _sections(file: IO[bytes], what: str) -> Iterator[tuple[str, int]]:
    """Yield (name, size) of each member of an ar archive, the file standing at its content."""
    while header := file.read(_ENTRY):
        digits = header[48:58].strip()
        if len(header) != _ENTRY or header[58:] != b"`\n" or not digits.isdigit():
            raise Corrupt(f"{what} is damaged or truncated")
        size, start = int(digits), file.tell()
        yield header[:16].decode("latin-1").strip().rstrip("/"), size
        file.seek(start + size + (size & 1))


class _Inflated:
    """Read a section of a file through a decompressor, never far ahead of what is asked for."""

    def __init__(self, file: IO[bytes], size: int, suffix: str, what: str) -> None:
        self._file, self._left, self._what = file, size, what
        self._expand = _expander(suffix, what)
        self._ready = b""
        self._offset = 0

    def read(self, size: int, /) -> bytes:
        pieces, taken = [], 0
        while taken < size and (self._offset < len(self._ready) or self._more()):
            piece = self._ready[self._offset : self._offset + size - taken]
            self._offset += len(piece)
            taken += len(piece)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def finish(self) -> None:
        """Read to the end: a tar's own end comes before that of what it is compressed with."""
        left = _MOST_PADDING
        while piece := self.read(_PIECE):
            left -= len(piece)
            if left < 0:
                raise Corrupt(f"{self._what} goes on after its end")
        if self._left:
            raise Corrupt(f"{self._what} goes on after its end")

    def _more(self) -> bool:
        """Make the next piece ready; False at the end of the section."""
        try:
            self._ready, self._offset = self._expand(self._compressed), 0
        except _DAMAGED as error:
            raise Corrupt(f"{self._what} is damaged: it cannot be decompressed") from error
        return bool(self._ready)

    def _compressed(self) -> bytes:
        data = self._file.read(min(self._left, _PIECE))
        if not data and self._left:
            raise Corrupt(f"{self._what} is truncated")
        self._left -= len(data)
        return data


def _expander(suffix: str, what: str) -> Callable[[Callable[[], bytes]], bytes]:
    """Return a function that gives the next piece, asking for compressed bytes as it needs them."""
    if suffix == "":
        return lambda more: more()
    if suffix == ".xz":
        xz = lzma.LZMADecompressor(lzma.FORMAT_XZ)

        def next_of_xz(more: Callable[[], bytes]) -> bytes:
            piece = b""
            while not piece and not xz.eof:
                piece = xz.decompress(_some(more) if xz.needs_input else b"", _PIECE)
            return piece

        return next_of_xz
    if suffix == ".gz":
        gz = zlib.decompressobj(wbits=31)

        def next_of_gz(more: Callable[[], bytes]) -> bytes:
            piece = b""
            while not piece and not gz.eof:
                piece = gz.decompress(gz.unconsumed_tail or _some(more), _PIECE)
            return piece

        return next_of_gz
    raise Corrupt(f"{what} is compressed in a way that is not known here: {suffix}")


def _some(more: Callable[[], bytes]) -> bytes:
    data = more()
    if not data:
        raise EOFError
    return data


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    last = ""
    for line in stanza.splitlines():
        if line[:1] in (" ", "\t") and last:
            fields[last] += "\n" + line
        elif ":" in line:
            last, _, value = line.partition(":")
            fields[last] = value.strip()
    return fields
