"""Read tar streams strictly: what Debian packages and OCI layers are made of.

Forward only, one pass, bounded memory. Understands ustar (POSIX.1-1988), pax headers (POSIX.1-2001)
and GNU's long names; everything else is refused. Names are checked by those who place files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from branchline.foundation.errors import Corrupt

BLOCK = 512
FILE, HARD_LINK, SYMLINK, CHARACTER, DEVICE, FOLDER, FIFO = "0123456"

_PIECE = 1 << 20
_LONGEST_HEADER = 1 << 20
"""The most bytes of a pax header or long name that are read into memory."""
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = "LKxg"


class Source(Protocol):
    """Anything that can be read forwards."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; fewer only at the end."""
        ...


@dataclass(frozen=True)
class Member:
    """One member of a tar stream; `pieces` must be consumed before the next one is asked for.

    Args:
        name: As it stands in the stream, neither checked nor changed.
        kind: The type flag: FILE, HARD_LINK, SYMLINK, CHARACTER, DEVICE, FOLDER or FIFO.
        mode: Permission bits, with setuid, setgid and sticky.
        size: Bytes of content; 0 for all but files.
        target: What a link points to.
        pieces: Yields the content.
    """

    name: str
    kind: str
    mode: int
    size: int
    target: str
    pieces: Callable[[], Iterator[bytes]]


def members(source: Source, what: str) -> Iterator[Member]:
    """Yield the members of a tar stream.

    Args:
        source: The stream, uncompressed.
        what: What is read, for the error's sentence.

    Raises:
        Corrupt: The stream is truncated or not a tar archive in one of the forms named above.
    """
    reader = _Reader(source, what)
    while (member := reader.next()) is not None:
        yield member
        reader.finish()


class _Reader:
    def __init__(self, source: Source, what: str) -> None:
        self._source = source
        self._what = what
        self._left = 0
        self._padding = 0

    def next(self) -> Member | None:
        """Return the next member, with what its extended headers say of it."""
        said: dict[str, str] = {}
        while True:
            header = self._exactly(BLOCK)
            if not any(header):
                return None
            _check(header, self._what)
            kind = header[156:157].decode("latin-1")
            size = int(said.get("size", 0)) or _number(header[124:136], self._what)
            if kind not in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL):
                return self._member(header, kind, size, said)
            if size > _LONGEST_HEADER:
                raise Corrupt(f"{self._what} has an extended header of {size} bytes")
            text = self._exactly(size)
            self._exactly(-size % BLOCK)
            if kind == _PAX:
                said.update(_pax(text, self._what))
            elif kind != _PAX_GLOBAL:
                key = "path" if kind == _LONG_NAME else "linkpath"
                said[key] = _text(text.rstrip(b"\0"), self._what)

    def finish(self) -> None:
        """Pass over what the caller left unread."""
        while self._left:
            self._piece()
        self._exactly(self._padding)
        self._padding = 0

    def _member(self, header: bytes, kind: str, size: int, said: dict[str, str]) -> Member:
        kind = FILE if kind in "\0007" else kind
        if kind not in (FILE, HARD_LINK, SYMLINK, CHARACTER, DEVICE, FOLDER, FIFO):
            raise Corrupt(f"{self._what} has a member of the unknown type {kind!r}")
        name = said.get("path") or _text(_name(header), self._what)
        target = said.get("linkpath") or _text(header[157:257].partition(b"\0")[0], self._what)
        size = size if kind == FILE else 0
        self._left, self._padding = size, -size % BLOCK
        mode = _number(header[100:108], self._what) & 0o7777
        return Member(name, kind, mode, size, target, self._pieces)

    def _pieces(self) -> Iterator[bytes]:
        while self._left:
            yield self._piece()

    def _piece(self) -> bytes:
        piece = self._exactly(min(self._left, _PIECE))
        self._left -= len(piece)
        return piece

    def _exactly(self, size: int) -> bytes:
        data = self._source.read(size) if size else b""
        if len(data) != size:
            raise Corrupt(f"{self._what} is truncated")
        return data


def _check(header: bytes, what: str) -> None:
    total = sum(header) - sum(header[148:156]) + 8 * 0x20
    if _number(header[148:156], what) != total:
        raise Corrupt(f"{what} is damaged: a header's checksum does not hold")


def _name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    # GNU's own format keeps times where ustar has a prefix; its magic differs in the sixth byte.
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _number(field: bytes, what: str) -> int:
    if field[0] & 0x80:  # GNU's base 256, for what octal digits cannot hold
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        raise Corrupt(f"{what} is damaged: a header's number is none") from None


def _pax(text: bytes, what: str) -> dict[str, str]:
    said = {}
    while text:
        length, _, _ = text.partition(b" ")
        if not length.isdigit() or not len(length) + 1 < int(length) <= len(text):
            raise Corrupt(f"{what} is damaged: a pax header cannot be read")
        record, text = text[len(length) + 1 : int(length)], text[int(length) :]
        key, separator, value = record.partition(b"=")
        if not separator or not value.endswith(b"\n"):
            raise Corrupt(f"{what} is damaged: a pax header cannot be read")
        if key in (b"path", b"linkpath"):
            said[key.decode()] = _text(value[:-1], what)
        elif key == b"size" and value[:-1].isdigit():
            said["size"] = value[:-1].decode()
    return said


def _text(name: bytes, what: str) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise Corrupt(f"{what} has a name that is not UTF-8: {name[:80]!r}") from None
