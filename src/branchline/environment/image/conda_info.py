"""Read what a conda package says of itself, in its folder ``info``; strictly, in both old and new form."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from branchline.environment.lock.model import CondaPackage
from branchline.foundation.canonical import parse_json
from branchline.foundation.decoding import decode_json
from branchline.foundation.errors import Corrupt, Refused

_OLD_PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3"
"""What stands for the prefix where ``has_prefix`` names a file alone."""
_LIMIT = 64 << 20

_Kind = Literal["hardlink", "softlink", "directory"]
_Mode = Literal["text", "binary"]


@dataclass(frozen=True)
class Listed:
    """One path of a package's list.

    Args:
        path: Below the prefix.
        sha256: Of the content as it is packed; empty where the list does not say.
        placeholder: What stands for the prefix in the file; empty where it is not in it.
        mode: Whether the file is a text or a program.
    """

    path: str
    kind: _Kind = "hardlink"
    sha256: str = ""
    placeholder: str = ""
    mode: _Mode = "text"


@dataclass(frozen=True)
class Info:
    """What a package says of itself.

    Args:
        index: ``index.json``, whole.
        is_python: Whether it is for any Python (``noarch: python``).
        paths: What belongs to it.
        entry_points: Programs to be made, ``name = module:function``.
    """

    index: Mapping[str, Any]
    is_python: bool
    paths: tuple[Listed, ...]
    entry_points: tuple[str, ...]


class _Path(msgspec.Struct, frozen=True):
    path: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)] = msgspec.field(name="_path")
    path_type: _Kind
    sha256: str = ""
    prefix_placeholder: str | None = None
    file_mode: _Mode = "text"


class _Paths(msgspec.Struct, frozen=True):
    paths: tuple[_Path, ...]


class _Noarch(msgspec.Struct, frozen=True):
    type: str = ""
    entry_points: tuple[str, ...] = ()


class _Link(msgspec.Struct, frozen=True):
    noarch: _Noarch = _Noarch()


def read_info(info: Mapping[str, bytes], package: CondaPackage, what: str) -> Info:
    """Read a package's ``info`` and hold it against the lock.

    Raises:
        Corrupt: It is missing or malformed, or of another package.
    """
    try:
        index = parse_json(info["info/index.json"], dict[str, Any], what="index.json")
        paths = tuple(_paths(info))
        link = decode_json(info.get("info/link.json", b"{}"), _Link).noarch
    except (KeyError, ValueError, msgspec.DecodeError, Refused) as error:
        raise Corrupt(f"{what} does not say what it holds: {error}") from error
    said = (index.get("name"), index.get("version"), index.get("build"))
    if said != (package.name, package.version, package.build):
        raise Corrupt(
            f"The lock names {package.name} {package.version} {package.build}, but {what[0].lower()}"
            f"{what[1:]} says {' '.join(map(str, said))}"
        )
    is_python = index.get("noarch") == "python" or link.type == "python"
    return Info(index, is_python, paths, link.entry_points if is_python else ())


def _paths(info: Mapping[str, bytes]) -> Iterator[Listed]:
    if "info/paths.json" not in info:
        yield from _old_paths(info)
        return
    found = parse_json(info["info/paths.json"], _Paths, what="paths.json", limit=_LIMIT)
    for each in found.paths:
        yield Listed(
            each.path, each.path_type, each.sha256, each.prefix_placeholder or "", each.file_mode
        )


def _old_paths(info: Mapping[str, bytes]) -> Iterator[Listed]:
    """Read the lists of packages from before there was ``paths.json``."""
    prefixes: dict[str, tuple[str, _Mode]] = {}
    for line in info.get("info/has_prefix", b"").decode().splitlines():
        words = shlex.split(line)
        if len(words) == 3 and words[1] in ("text", "binary"):
            prefixes[words[2]] = (words[0], "text" if words[1] == "text" else "binary")
        elif len(words) == 1:
            prefixes[words[0]] = (_OLD_PLACEHOLDER, "text")
        elif words:
            raise ValueError(f"has_prefix says {line[:120]!r}")
    for path in info["info/files"].decode().splitlines():
        placeholder, mode = prefixes.get(path, ("", "text"))
        if path:
            yield Listed(path, "hardlink", "", placeholder, mode)
