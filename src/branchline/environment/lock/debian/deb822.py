"""Debian's control format (deb822(5)): stanzas of fields, and quick look-ups in package indexes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from branchline.foundation.errors import Corrupt

Stanza = Mapping[str, str]
"""Fields by their lower-case names; the lines of a value keep their breaks, not their indent."""

_NAMES = re.compile(rb"^Package: (\S+)$", re.MULTILINE)
_PROVIDERS = re.compile(rb"^Provides: .*$", re.MULTILINE)


def stanzas(text: str, what: str) -> Iterator[Stanza]:
    """Read stanzas, separated by empty lines; lines that begin with ``#`` are comments.

    Raises:
        Corrupt: A line that belongs to no field, or a field that comes twice.
    """
    fields: dict[str, str] = {}
    last = ""
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif line[0] in " \t" and last:
            fields[last] += "\n" + line.strip()
        else:
            name, colon, value = line.partition(":")
            last = name.strip().lower()
            if not colon or not last or last in fields:
                raise Corrupt(f"{what}, line {number}, is not a field of a stanza")
            fields[last] = value.strip()
    if fields:
        yield fields


def stanza(text: str, what: str) -> Stanza:
    """Read the first stanza; no fields at all where there is none."""
    return next(stanzas(text, what), {})


class Index:
    """One ``Packages`` file: tens of megabytes, of which few stanzas are ever wanted.

    Args:
        data: Its bytes, verified before.
        what: What it is, for an error's sentence.
    """

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._what = what

    def find(self, names: Iterable[str]) -> dict[str, list[Stanza]]:
        """Return the stanzas of the packages named, by name."""
        wanted = {name.encode() for name in names}
        found: dict[str, list[Stanza]] = defaultdict(list)
        if not wanted:
            return found
        for piece in self._data.split(b"\n\n"):
            # ``Package`` is the first field of every stanza that Debian's tools write.
            end = piece.find(b"\n", 9)
            if piece[9 : end if end >= 0 else None] in wanted and piece.startswith(b"Package: "):
                read = self._read(piece)
                found[read["package"]].append(read)
        return found

    def essential(self) -> set[str]:
        """Return the names of the packages that no system may lack."""
        found, at = set(), -1
        while (at := self._data.find(b"\nEssential: yes\n", at + 1)) >= 0:
            start = self._data.rfind(b"\n\n", 0, at) + 2 if b"\n\n" in self._data[:at] else 0
            match = _NAMES.search(self._data, start, at)
            if match:
                found.add(match[1].decode())
        return found

    def names(self) -> set[str]:
        """Return the names of all packages."""
        return {name.decode("utf-8", "replace") for name in _NAMES.findall(self._data)}

    def providers(self, virtual: str) -> set[str]:
        """Return the packages that provide a virtual one."""
        word = re.compile(rb"(?:^|[ ,])" + re.escape(virtual.encode()) + rb"(?:[ ,(]|$)")
        found = set()
        for match in _PROVIDERS.finditer(self._data):
            if word.search(match[0][len(b"Provides:") :]):
                start = self._data.rfind(b"Package: ", 0, match.start()) + len(b"Package: ")
                found.add(self._data[start : self._data.find(b"\n", start)].decode())
        return found

    def _read(self, piece: bytes) -> Stanza:
        return stanza(piece.decode("utf-8", "replace"), self._what)
