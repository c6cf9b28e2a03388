"""See at a glance that nothing in a tree was touched: find(1) looks, and its words are compared.

find prints the inode number and the time of the last change of anything, of every folder, file and
link below a tree's root, and marks what has not the one date of all contents. Names need not be
said: a folder's own time changes with any name in it. Several of them look at once, each at its
part of the tree. The words are kept as a digest. They come in the order in which folders list what
they hold; another order, or no find, is no damage: then everything is looked at one by one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Self

import msgspec

from branchline.environment.image.recipe import LAYER_DATE
from branchline.foundation.decoding import decode_json
from branchline.foundation.durable import write_durably

_KEPT = "glance"
_WORDS = (
    *("-printf", r"%i %C@\n"),
    *("(", "-newermt", f"@{LAYER_DATE}", "-o"),
    *("!", "-newermt", f"@{LAYER_DATE - 1}.999999999", ")", "-printf", r"!\n"),
)
_OF_A_PART = 7500
"""So many folders and files are worth a process of their own."""
_MOST_PARTS = 4
_WORTH = 6000
"""A tree with fewer is looked at one by one, while processes look at larger ones."""
_FINEST = 16
"""A part is put together of folders that have at least so small a fraction of it."""

Parts = tuple[tuple[str, ...], ...]
"""Folders with all that is below them, for each process but the first, which looks at the rest."""


class _Kept(msgspec.Struct, frozen=True):
    parts: Parts
    seen: str


class Glance:
    """One look at a tree, begun when it is made; it works beside the caller.

    Args:
        tree: The tree's folder, whose `root` holds the files.
        counts: How many files are in each of its folders, by path; "" is the root. If nothing is
            said, it is looked at as it was when a look was kept, and not at all if none was.
    """

    def __init__(self, tree: Path, counts: Mapping[str, int] | None = None) -> None:
        self._file = tree / _KEPT
        self._kept = _read(self._file)
        self._parts = self._kept.parts if self._kept else None
        if counts is not None:
            self._parts = _parts_of(counts)
        divided = () if self._parts is None else _divided(self._parts)
        self._looks = [_Look(tree / "root", *each) for each in divided]
        self._seen: str | None = None

    @property
    def is_one(self) -> bool:
        """Whether anything is looked at."""
        return bool(self._looks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for look in self._looks:
            look.end()

    def seen(self) -> str:
        """Wait for find and return the digest of its words; empty if it could not see it all."""
        if self._seen is None:
            words = [look.words() for look in self._looks]
            self._seen = sha256(b"".join(words)).hexdigest() if words and all(words) else ""
        return self._seen

    def is_as_kept(self) -> bool:
        """Wait for find, and tell whether everything is as it was when a look was last kept."""
        seen = self.seen()
        return bool(seen) and self._kept is not None and seen == self._kept.seen

    def keep(self) -> None:
        """Keep this look: only once everything was found right, and looked at after this look.

        What was changed since the look differs from it for ever, so it is noticed next time.
        """
        seen = self.seen()
        if seen and self._parts is not None:
            write_durably(self._file, msgspec.json.encode(_Kept(self._parts, seen)))
        else:
            self._file.unlink(missing_ok=True)


def _parts_of(counts: Mapping[str, int]) -> Parts | None:
    """Divide a tree into parts of about the same size; None if it is too small to be looked at."""
    whole = dict.fromkeys(counts, 0)
    below: dict[str, list[str]] = {path: [] for path in counts}
    for path, count in counts.items():
        if path:
            below[path.rpartition("/")[0]].append(path)
        for each in _with_parents(path):
            whole[each] += count + 1
    if whole[""] < _WORTH:
        return None
    number = min(_MOST_PARTS, whole[""] // _OF_A_PART)
    if number < 2:
        return ()
    finest = whole[""] / number / _FINEST
    pieces, heavy = list[str](), below[""]
    while heavy:
        path = heavy.pop()
        if whole[path] > finest * _FINEST / 2 and below[path]:
            heavy += below[path]
        elif whole[path] > finest:
            pieces.append(path)
    parts: list[list[str]] = [[] for _ in range(number)]
    weights = [whole[""] - sum(whole[path] for path in pieces), *([0] * (number - 1))]
    for path in sorted(pieces, key=lambda path: (-whole[path], path)):
        lightest = weights.index(min(weights))
        parts[lightest].append(path)
        weights[lightest] += whole[path]
    return tuple(tuple(sorted(part)) for part in parts[1:] if part)


def _with_parents(path: str) -> Iterable[str]:
    yield path
    while path:
        path = path.rpartition("/")[0]
        yield path


def _read(file: Path) -> _Kept | None:
    try:
        return decode_json(file.read_bytes(), _Kept)
    except (FileNotFoundError, UnicodeDecodeError, msgspec.DecodeError):
        return None


def _divided(parts: Parts) -> Iterable[tuple[Sequence[str], Sequence[str]]]:
    """Yield for each process where it begins, and what it leaves to others."""
    yield ("",), [path for part in parts for path in part]
    for part in parts:
        yield part, ()


class _Look:
    """One find at work."""

    def __init__(self, root: Path, begin: Sequence[str], leave: Sequence[str]) -> None:
        self._said = os.memfd_create("glance")
        pruned = [word for path in leave for word in ("-o", "-path", _literal(f"{root}/{path}"))]
        others = ("-type", "d", "(", *pruned[1:], ")", "-prune", "-o") if pruned else ()
        self._process = _start([f"{root}/{path}" for path in begin], (*others, *_WORDS), self._said)

    def words(self) -> bytes:
        """Wait for the end and return what was said; nothing if it could not look at everything."""
        if self._process is None or self._process.wait() != 0:
            return b""
        return os.pread(self._said, os.lseek(self._said, 0, os.SEEK_END), 0)

    def end(self) -> None:
        """Wait for the end, and forget what was said."""
        if self._process is not None:
            self._process.wait()
        os.close(self._said)


def _literal(path: str) -> str:
    """Write a path as find's pattern for itself."""
    return re.sub(r"([*?\[\\])", r"\\\1", path)


def _start(
    begin: Sequence[str], words: Sequence[str], output: int
) -> subprocess.Popen[bytes] | None:
    program = shutil.which("find")
    if program is None:
        return None
    try:
        # Neither closes descriptors nor changes anything else: then it is started in no time.
        return subprocess.Popen(
            [program, *begin, *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            env={"LC_ALL": "C", "TZ": "UTC"},
        )
    except OSError:
        return None
