"""Debian's control format (deb822(5)): stanzas of fields, and quick look-ups in package indexes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from branchline.foundation.errors import Corrupt

Stanza = Mapping[str, str]
"""Fields by their lower-case names; the lines of a value keep their breaks, not their indent."""

_PACKAGE = b"Package: "
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
        return {
            name: [self._read(start) for start in self._starts[name.encode()]]
            for name in names
            if name.encode() in self._starts
        }

    def essential(self) -> set[str]:
        """Return the names of the packages that no system may lack."""
        found, at = set(), -1
        while (at := self._data.find(b"\nEssential: yes\n", at + 1)) >= 0:
            before = self._data.rfind(b"\n\n", 0, at)
            found.add(self._name(before + 2 if before >= 0 else 0).decode())
        return found

    def names(self) -> set[str]:
        """Return the names of all packages."""
        return {name.decode("utf-8", "replace") for name in self._starts}

    def providers(self, virtual: str) -> set[str]:
        """Return the packages that provide a virtual one."""
        word = re.compile(rb"(?:^|[ ,])" + re.escape(virtual.encode()) + rb"(?:[ ,(]|$)")
        found = set()
        for match in _PROVIDERS.finditer(self._data):
            if word.search(match[0][len(b"Provides:") :]):
                before = self._data.rfind(b"\n\n", 0, match.start())
                found.add(self._name(before + 2 if before >= 0 else 0).decode())
        return found

    @cached_property
    def _starts(self) -> dict[bytes, list[int]]:
        """Where the stanzas of each package begin."""
        found: dict[bytes, list[int]] = defaultdict(list)
        start = 0
        while start < len(self._data):
            if name := self._name(start):
                found[name].append(start)
            end = self._data.find(b"\n\n", start)
            start = end + 2 if end >= 0 else len(self._data)
        return dict(found)

    def _name(self, start: int) -> bytes:
        """Return a stanza's package; ``Package`` is the first field that Debian's tools write."""
        if not self._data.startswith(_PACKAGE, start):
            return b""
        end = self._data.find(b"\n", start)
        return self._data[start + len(_PACKAGE) : end if end >= 0 else None]

    def _read(self, start: int) -> Stanza:
        end = self._data.find(b"\n\n", start)
        piece = self._data[start : end if end >= 0 else None]
        return stanza(piece.decode("utf-8", "replace"), self._what)
