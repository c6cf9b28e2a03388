"""Write a layer as the one canonical tar: equal entries give equal bytes.

ustar (POSIX.1-1988), with a pax header (POSIX.1-2001) only where a name or size does not fit:
owner 0, group 0, no names of users, one date, two blocks of zeros at the end, nothing after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from branchline.environment.image.entries import Entry
from branchline.environment.image.recipe import LAYER_DATE
from branchline.environment.image.tarball import BLOCK, FILE, FOLDER, SYMLINK
from branchline.foundation.digest import Bytes, Digest, digest_from

Contents = Callable[[Entry], Iterable[Bytes]]
"""Gives a file's content in pieces."""

WHITEOUT = ".wh."
"""The prefix that says a name below is gone (OCI image-spec, layer.md)."""

_END = bytes(2 * BLOCK)
_MOST_OCTAL = 8**11
_EXTENDED = "x"
_KINDS = {"file": FILE, "folder": FOLDER, "link": SYMLINK, "gone": FILE}


def stream(entries: Sequence[Entry], contents: Contents) -> Iterator[Bytes]:
    """Yield a layer's canonical tar, piece by piece."""
    for entry in entries:
        yield header(entry)
        if entry.kind == "file" and entry.size:
            yield from contents(entry)
            yield bytes(-entry.size % BLOCK)
    yield _END


def digest_and_size(entries: Sequence[Entry], contents: Contents) -> tuple[Digest, int]:
    """Return the digest of a layer's canonical tar, and its size in bytes."""
    state, size = hashlib.sha256(), 0
    for piece in stream(entries, contents):
        state.update(piece)
        size += len(piece)
    return digest_from(state.digest()), size


def header(entry: Entry) -> bytes:
    """Return everything that stands before an entry's content."""
    name = _name(entry)
    extra = {}
    short = _split(name)
    if short is None:
        extra["path"] = name
    target = entry.target.encode()
    if len(target) > 100 or not entry.target.isascii():
        extra["linkpath"] = entry.target
    if entry.size >= _MOST_OCTAL:
        extra["size"] = str(entry.size)
    plain = _block(
        short or (b"", name.encode()[:100]),
        _KINDS[entry.kind],
        entry.mode if entry.kind != "link" else 0o777,
        0 if "size" in extra else entry.size,
        b"" if "linkpath" in extra else target,
    )
    return _pax(extra) + plain if extra else plain


def _name(entry: Entry) -> str:
    if entry.kind == "folder":
        return entry.path + "/"
    if entry.kind == "gone":
        folder, separator, name = entry.path.rpartition("/")
        return folder + separator + WHITEOUT + name
    return entry.path


def _split(name: str) -> tuple[bytes, bytes] | None:
    """Split a name into ustar's prefix and name, or None where it does not fit."""
    raw = name.encode()
    if not name.isascii():
        return None
    if len(raw) <= 100:
        return b"", raw
    at = raw.rfind(b"/", 0, min(156, len(raw) - 1))
    if at <= 0 or len(raw) - at - 1 > 100:
        return None
    return raw[:at], raw[at + 1 :]


def _pax(extra: dict[str, str]) -> bytes:
    text = b"".join(_record(key, value) for key, value in sorted(extra.items()))
    return (
        _block((b"", b"././@PaxHeader"), _EXTENDED, 0o644, len(text), b"")
        + text
        + bytes(-len(text) % BLOCK)
    )


def _record(key: str, value: str) -> bytes:
    """Write one pax record; its length counts its own digits."""
    rest = f" {key}={value}\n".encode()
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def _block(name: tuple[bytes, bytes], kind: str, mode: int, size: int, target: bytes) -> bytes:
    prefix, last = name
    fields = b"".join(
        (
            last.ljust(100, b"\0"),
            b"%07o\0" % mode,
            b"0000000\0" * 2,
            b"%011o\0" % size,
            b"%011o\0" % LAYER_DATE,
            b" " * 8,
            kind.encode(),
            target.ljust(100, b"\0"),
            b"ustar\x0000",
            bytes(64),
            b"0000000\0" * 2,
            prefix.ljust(155, b"\0"),
            bytes(12),
        )
    )
    return fields[:148] + b"%06o\0 " % sum(fields) + fields[156:]
