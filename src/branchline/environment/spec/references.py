"""Paths in requirements files: what ``-r`` and ``-c`` refer to."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from branchline.environment.spec.names import NAMES

MAX_REFERENCES = 100
"""The most files that are read because others refer to them."""

MANIFESTS = {"Project.toml": "Manifest.toml", "JuliaProject.toml": "JuliaManifest.toml"}
"""The file beside a Julia project that has its packages' exact versions, if it is there."""

_HOLD_NONE = frozenset(NAMES) - {
    "environment.yaml",
    "environment.yml",
    "requirements.txt",
    "requirements3.txt",
}
_OPTION = re.compile(
    rb"""(?:^|[\s"'\[,])(?:-[rc]|--requirement|--constraint)[ \t=]*([^\s"'\],#][^\s"'\]#]*)""", re.M
)


def references(path: str, data: bytes) -> Iterator[str]:
    """Yield the paths in the tree that a file may refer to; more than it does, rather than fewer."""
    name = posixpath.basename(path)
    if name in MANIFESTS:
        yield posixpath.join(posixpath.dirname(path), MANIFESTS[name])
    if name in _HOLD_NONE or (b"-r" not in data and b"-c" not in data):
        return
    for found in _OPTION.finditer(data):
        other = inside(path, found[1].decode("utf-8", "replace"))
        if other:
            yield other


def inside(path: str, other: str) -> str:
    """Return the path in the tree of what a file refers to; empty if it leads out of the tree."""
    if other.startswith("/") or "\\" in other or "\0" in other or ":" in other:
        return ""
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), other))
    return "" if joined in (".", "..") or joined.startswith("../") else joined
