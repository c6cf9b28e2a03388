"""Who has a content, and who had it, as git-annex's branch tells; nobody has to believe it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from branchline.foundation.errors import NotFound
from branchline.project.git.keys import key_in_link, key_in_pointer, log_place
from branchline.project.git.objects import read_objects
from branchline.project.git.telling import BRANCH
from branchline.project.names import shown
from branchline.project.place import Project

_LINK = "120000"
_SMALL = 32 << 10


@dataclass(frozen=True)
class Copy:
    """What one place says of a content.

    Args:
        uuid: The place's own name.
        name: What people call it.
        there: Whether it has it.
        at: Since when, a date.
    """

    uuid: str
    name: str
    there: bool
    at: str


def keys_at(project: Project, paths: Sequence[str]) -> dict[str, str]:
    """Return git-annex's names of the contents at and below paths, by path.

    Raises:
        NotFound: Git-annex keeps nothing at one of them.
    """
    git = project.git
    entries = []
    for line in git.lines("ls-files", "-s", "-z", "--", *paths):
        meta, _, path = line.partition("\t")
        mode, name, _ = meta.split()
        if mode in (_LINK, "100644", "100755"):
            entries.append((path, mode, name))
    links = [e for e in entries if e[1] == _LINK] + _small(project, entries)
    texts = read_objects(git, "".join(f"{e[2]}\n" for e in links).encode(), len(links))
    found = {}
    for (path, mode, _), text in zip(links, texts, strict=True):
        key = key_in_link(os.fsdecode(text)) if mode == _LINK else key_in_pointer(text)
        if key is not None:
            found[path] = key
    for wanted in paths:
        if wanted != "." and not any(p == wanted or p.startswith(f"{wanted}/") for p in found):
            raise NotFound(
                f"Git-annex keeps nothing at {shown(wanted)}",
                advice="Check the name; git's files are always here",
            )
    return dict(sorted(found.items()))


def copies_of(project: Project, keys: Sequence[str]) -> dict[str, list[Copy]]:
    """Return what places say of contents, those that have one first."""
    names = _names(project)
    asked = "".join(f"{BRANCH}:{log_place(key)}\n" for key in keys).encode()
    texts = read_objects(project.git, asked, len(keys)) if keys else []
    found: dict[str, list[Copy]] = {}
    for key, text in zip(keys, texts, strict=True):
        newest: dict[str, tuple[float, bool]] = {}
        for line in text.decode(errors="replace").splitlines():
            words = line.split()
            if len(words) == 3 and words[1] in ("0", "1") and words[0].endswith("s"):
                try:
                    at = float(words[0][:-1])
                except ValueError:
                    continue
                newest[words[2]] = max(newest.get(words[2], (0.0, False)), (at, words[1] == "1"))
        found[key] = sorted(
            (Copy(u, names.get(u, u), has, _day(at)) for u, (at, has) in newest.items()),
            key=lambda each: (not each.there, each.name),
        )
    return found


def _names(project: Project) -> dict[str, str]:
    """Return what people call the places, by their own names."""
    (text,) = read_objects(project.git, f"{BRANCH}:uuid.log\n".encode(), 1)
    newest: dict[str, tuple[float, str]] = {}
    for line in text.decode(errors="replace").splitlines():
        uuid, _, rest = line.partition(" ")
        name, _, at = rest.rpartition(" timestamp=")
        try:
            told = (float(at.removesuffix("s")), name or uuid)
        except ValueError:
            told = (0.0, rest or uuid)
        newest[uuid] = max(newest.get(uuid, told), told)
    return {uuid: name for uuid, (_, name) in newest.items()}


def _small(project: Project, entries: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Return the files that might be pointers of unlocked ones."""
    files = [entry for entry in entries if entry[1] != _LINK]
    asked = "".join(f"{entry[2]}\n" for entry in files).encode()
    words = ("cat-file", "--batch-check=%(objectsize)", "--buffer")
    sizes = project.git.run(*words, feed=asked).decode().split() if files else []
    return [
        e for e, size in zip(files, sizes, strict=True) if size.isdigit() and int(size) <= _SMALL
    ]


def _day(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return "an unknown day"
