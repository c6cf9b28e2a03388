"""What a save changes, as git has it staged: paths, sizes, and contents by digest."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from branchline.project.git.keys import digest_of_key, key_in_link, size_of_key
from branchline.project.git.objects import read_objects
from branchline.project.place import Project

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""Git's name of the tree with nothing in it."""

_NO_KEYS: Mapping[str, str] = MappingProxyType({})
_WORDS = {"A": "new", "M": "changed", "T": "changed", "D": "removed"}
_LINK = "120000"
_KINDS = {"data": "data", "results": "data", "environment": "environment"}
ENVIRONMENT_FILES = frozenset((
    *("branchline.lock", "pylock.toml", "requirements.txt", "environment.yml", "apt.txt"),
    *("environment.yaml", "install.R", "runtime.txt", "Pipfile", "Pipfile.lock", "Dockerfile"),
    *("pyproject.toml", "postBuild", "start", "Project.toml", "DESCRIPTION"),
))  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One path that a save changes.

    Args:
        path: Relative to the project.
        change: new, changed or removed.
        content: ``sha256:…`` where git-annex keeps it under that digest, its key where it is another,
            or ``git:`` and git's name of it; None for a path that is removed.
        size: Its bytes, where they are known without reading it.
    """

    path: str
    change: str
    content: str | None = None
    size: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        known = {"path": printable_path(self.path), "change": self.change}
        more = {"content": self.content, "size": self.size}
        return known | {name: value for name, value in more.items() if value is not None}


def printable_path(path: str) -> str:
    """Return a path as JSON can hold it; bytes that are no UTF-8 are spelled out."""
    return path.encode("utf-8", "backslashreplace").decode()


def manifest(project: Project, head: str | None, keys: Mapping[str, str] = _NO_KEYS) -> list[Entry]:
    """Return what is staged against a commit, by path.

    Args:
        project: The project.
        head: The commit; None for nothing.
        keys: By path, git-annex's names of contents that links were just staged to.
    """
    words = ("diff-index", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev")
    lines = project.git.lines(*words, "--ignore-submodules=none", head or EMPTY_TREE)
    found = [(meta.split(), path) for meta, path in zip(lines[::2], lines[1::2], strict=True)]
    return staged(project, [(m[1], m[3], m[4][0], path) for m, path in found], keys)


def staged(
    project: Project,
    found: Sequence[tuple[str, str, str, str]],
    keys: Mapping[str, str] = _NO_KEYS,
) -> list[Entry]:
    """Return entries for modes, git's names of content, letters of change and paths.

    Args:
        project: The project.
        found: What changes.
        keys: See `manifest`.
    """
    links = [
        name
        for mode, name, letter, path in found
        if mode == _LINK and letter != "D" and path not in keys
    ]
    asked = "".join(f"{name}\n" for name in links).encode()
    targets = (
        dict(zip(links, read_objects(project.git, asked, len(links)), strict=True)) if links else {}
    )
    entries = []
    for mode, name, letter, path in found:
        change = _WORDS.get(letter, "changed")
        if letter == "D":
            entries.append(Entry(path, change))
            continue
        key = None
        if mode == _LINK:
            key = keys.get(path) or key_in_link(os.fsdecode(targets[name]))
        if key is None:
            entries.append(Entry(path, change, f"git:{name}"))
        else:
            entries.append(Entry(path, change, digest_of_key(key) or key, size_of_key(key)))
    return entries


def kind_of(path: str) -> str:
    """Return what kind of record tells of a path: code, data or environment."""
    first, _, rest = path.partition("/")
    if not rest and path in ENVIRONMENT_FILES:
        return "environment"
    if first in ("binder", ".binder") and rest in ENVIRONMENT_FILES:
        return "environment"
    return _KINDS.get(first, "code") if rest else "code"
