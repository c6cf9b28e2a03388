"""Explain a conflict to a person: who changed what and when, how large it is, where it differs."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from branchline.project.git.command import Git
from branchline.project.git.keys import key_in_link, key_in_pointer, object_place, size_of_key
from branchline.project.manifest import printable_path
from branchline.project.merging.clash import Clash, Version
from branchline.project.merging.pending import How
from branchline.project.merging.weighing import Weighed, contents

_LINK = "120000"
_LONGEST = 1 << 20
_LINES = 3
_WIDTH = 160


@dataclass(frozen=True)
class Side:
    """What one side did to a file.

    Args:
        who: The person who changed it last; empty where that is not known.
        at: When, RFC 3339.
        why: What was said of that change.
        size: Bytes; None where it was removed.
        lines: Its first lines that differ; none for data, whose rows are nobody's to print.
    """

    who: str = ""
    at: str = ""
    why: str = ""
    size: int | None = None
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explained:
    """One conflict.

    Args:
        path: Where.
        said: What happened, in words.
        mine: The side here.
        theirs: The other side.
        line: The first line that differs, from 1; None where it is no text, or not here.
        ways: What can become of it.
    """

    path: str
    said: str
    mine: Side
    theirs: Side
    line: int | None = None
    ways: Sequence[How] = field(default_factory=tuple)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        sides = {
            name: {"who": s.who, "at": s.at, "why": s.why, "size": s.size, "lines": list(s.lines)}
            for name, s in (("mine", self.mine), ("theirs", self.theirs))
        }
        known = {"path": printable_path(self.path), "conflict": self.said, "line": self.line}
        return known | sides | {"ways": list(self.ways)}


def explain(git: Git, weighed: Weighed, paths: Collection[str]) -> list[Explained]:
    """Explain conflicts, in the order of their paths.

    Args:
        git: The repository's git.
        weighed: The merge.
        paths: The conflicts that are asked about.
    """
    chosen = [weighed.clashes[path] for path in sorted(paths)]
    told = [
        _last_changes(git, weighed.base, commit, [c.path for c in chosen])
        for commit in (weighed.mine, weighed.theirs)
    ]
    found = []
    for clash in chosen:
        mine, theirs = (text_of(git, version) for version in (clash.mine, clash.theirs))
        line, lines = _first_difference(mine, theirs)
        if is_data(git, clash):
            lines = ((), ())
        sides = [
            Side(*told[i].get(clash.path, ("", "", "")), _size(git, version), lines[i])
            for i, version in enumerate((clash.mine, clash.theirs))
        ]
        found.append(Explained(clash.path, clash.said, sides[0], sides[1], line, clash.ways))
    return found


def is_data(git: Git, clash: Clash) -> bool:
    """Tell whether either version is in git-annex, or stands where data stand."""
    versions = [v for v in (clash.mine, clash.theirs) if v is not None]
    return clash.path.startswith("data/") or any(annex_key(git, v) for v in versions)


def annex_key(git: Git, version: Version) -> str | None:
    """Return the key of a version that git-annex keeps; None for one of git's."""
    raw = contents(git, [version.name])[0]
    if version.mode == _LINK:
        return key_in_link(os.fsdecode(raw))
    return key_in_pointer(raw)


def text_of(git: Git, version: Version | None) -> str | None:
    """Return a version as text; None where there is none, it is no text, large, or not here."""
    if version is None:
        return None
    raw = contents(git, [version.name])[0]
    key = key_in_link(os.fsdecode(raw)) if version.mode == _LINK else key_in_pointer(raw)
    if key is not None:
        file = git.root / ".git/annex/objects" / object_place(key)
        if not file.is_file() or file.stat().st_size > _LONGEST:
            return None
        raw = file.read_bytes()
    if len(raw) > _LONGEST or b"\0" in raw:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _size(git: Git, version: Version | None) -> int | None:
    if version is None:
        return None
    key = annex_key(git, version)
    if key is not None:
        return size_of_key(key)
    return int(git.word("cat-file", "-s", version.name)) if version.mode != "160000" else None


def _first_difference(
    mine: str | None, theirs: str | None
) -> tuple[int | None, tuple[tuple[str, ...], tuple[str, ...]]]:
    if mine is None or theirs is None:
        return None, ((), ())
    one, other = mine.splitlines(), theirs.splitlines()
    start = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    # Far enough to see the difference, near enough to stay quick.
    a, b = one[start : start + 50], other[start : start + 50]
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag != "equal":
            return start + 1, (_cut(a[i1:i2]), _cut(b[j1:j2]))
    return start + 1, ((), ())


def _cut(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(line[:_WIDTH] for line in lines[:_LINES])


def _last_changes(
    git: Git, base: str | None, commit: str, paths: Sequence[str]
) -> Mapping[str, tuple[str, str, str]]:
    """Return who changed each path last since the sides parted, when, and what was said of it."""
    words = ("log", "-z", "--format=%x01%an%x02%aI%x02%s", "--name-only", "--no-renames", "-m")
    since = (f"^{base}",) if base else ()
    printed = git.run(*words, commit, *since, "--", *paths).decode("utf-8", "surrogateescape")
    found: dict[str, tuple[str, str, str]] = {}
    for part in printed.split("\x01")[1:]:
        head, *names = part.split("\0")
        who, at, why = [*head.split("\x02", 2), "", "", ""][:3]
        for name in (name.lstrip("\n") for name in names):
            if name and name not in found:
                found[name] = (who, at, why.strip()[:_WIDTH])
    return found
