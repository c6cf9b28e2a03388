"""The order of Debian versions (Debian Policy §5.6.12, deb-version(7))."""

from __future__ import annotations

import re

Run = tuple[int, ...]
Key = tuple[Run | int, ...]

_RUNS = re.compile(r"([^0-9]*)([0-9]*)")
_BINARY_REBUILD = re.compile(r"\+b[0-9]+\Z")


def version_key(version: str) -> tuple[int, Key, Key]:
    """Return what orders a version among others: keys compare as the versions do."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return int(epoch) if epoch.isdecimal() else 0, _key(upstream), _key(revision)


def is_older(version: str, other: str) -> bool:
    """Tell whether a version comes before another."""
    return version_key(version) < version_key(other)


def without_rebuild(version: str) -> str:
    """Return the source's version of a package that was only built again (``+b1``)."""
    return _BINARY_REBUILD.sub("", version)


def upstream_of(version: str) -> str:
    """Return the upstream part of a version: neither epoch nor Debian's revision."""
    rest = version.partition(":")[2] or version
    return rest.rpartition("-")[0] or rest


def _key(part: str) -> Key:
    """Take a part apart into runs of other characters and of digits, in turns.

    The last two items end it: nothing sorts after a tilde and before all else.
    """
    key: list[Run | int] = []
    # No revision at all is the revision 0.
    for other, digits in _RUNS.findall(part or "0"):
        if other or digits:
            key += [_run(other), int(digits or 0)]
    return (*key, (0,), 0)


def _run(text: str) -> Run:
    return (*(_weight(character) for character in text), 0)


def _weight(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256
