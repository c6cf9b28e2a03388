"""See at a glance that nothing in a tree was touched: find(1) looks, and its words are compared.

find is given the list of all folders and files, and prints of each the inode number and the time of
the last change of anything, be it content, mode or date. Folders are not read: a folder's own time
changes with any name in it, links included. Several of them look at once, each at its part of the
list. The words are kept as a digest. Other words, or none, are no damage yet, whatever their cause:
then everything is looked at one by one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Self

import msgspec

from branchline.foundation.decoding import decode_json
from branchline.foundation.disk import is_full
from branchline.foundation.durable import write_durably

_KEPT = "glance"
_WORDS = ("-maxdepth", "0", "-printf", r"%i %C@\n")
_OF_A_PART = 5000
"""So many folders and files are worth a process of their own."""
_MOST_PARTS = 4
_WORTH = 1000
"""A tree with fewer is looked at one by one, while processes look at larger ones."""
_FEW = 200
"""So many are looked at here, if that lets the processes stand nearer to all others."""


class _Kept(msgspec.Struct, frozen=True):
    """What is known of the last look.

    Args:
        base: The folder in which the processes stand; names are shorter there, and found sooner.
        above: What is not below it, the root with its empty path included; looked at here.
        count: How many folders and files the processes look at.
        lists: How many processes look.
        seen: The digest of what all said.
    """

    base: str
    above: tuple[str, ...]
    count: int
    lists: int
    seen: str = ""


class Glance:
    """One look at a tree, begun when it is made; it works beside the caller.

    Args:
        tree: The tree's folder, whose `root` holds the files.
        paths: Its folders and files, "" being the root. If nothing is said, it is looked at as it
            was when a look was kept, and not at all if none was.
    """

    def __init__(self, tree: Path, paths: Sequence[str] | None = None) -> None:
        self._tree = tree
        self._kept = _read(tree / _KEPT)
        self._plan = self._kept if paths is None else _listed_if_room(tree, paths)
        self._looks: list[_Look] = []
        if self._plan is not None:
            base = tree / "root" / self._plan.base
            self._looks = [_Look(_list(tree, at), base) for at in range(self._plan.lists)]
        self._seen: str | None = None

    @property
    def is_one(self) -> bool:
        """Whether anything is looked at."""
        return self._plan is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for look in self._looks:
            look.end()

    def seen(self) -> str:
        """Wait for find and return the digest of its words; empty if it could not see it all."""
        if self._seen is None:
            self._seen = "" if self._plan is None else self._all_words(self._plan)
        return self._seen

    def _all_words(self, plan: _Kept) -> str:
        try:
            here = [os.lstat(f"{self._tree}/root/{path}".rstrip("/")) for path in plan.above]
        except OSError:
            return ""
        seen, count = sha256(), 0
        for each in here:
            seen.update(b"%d %d\n" % (each.st_ino, each.st_ctime_ns))
        for look in self._looks:
            words = look.words()
            seen.update(words)
            count += words.count(b"\n")
        return seen.hexdigest() if count == plan.count else ""

    def is_as_kept(self) -> bool:
        """Wait for find, and tell whether everything is as it was when a look was last kept."""
        seen = self.seen()
        return bool(seen) and self._kept is not None and seen == self._kept.seen

    def keep(self) -> None:
        """Keep this look: only once everything was found right, and looked at after this look.

        What was changed since the look differs from it for ever, so it is noticed next time.
        """
        seen = self.seen()
        if seen and self._plan is not None:
            kept = msgspec.structs.replace(self._plan, seen=seen)
            write_durably(self._tree / _KEPT, msgspec.json.encode(kept))
        else:
            (self._tree / _KEPT).unlink(missing_ok=True)


def _listed_if_room(tree: Path, paths: Sequence[str]) -> _Kept | None:
    """Divide a tree into lists; None also if there is no room for them on the disk."""
    try:
        return _listed(tree, paths)
    except OSError as error:
        if not is_full(error):
            raise
        return None


def _listed(tree: Path, paths: Sequence[str]) -> _Kept | None:
    """Divide a tree into lists of about the same length; None if it is too small to be looked at.

    A list is written before it is counted on: what a crash leaves of one says too little.
    """
    if len(paths) < _WORTH:
        return None
    base = _base(paths)
    start = f"{base}/" if base else ""
    above = tuple(path for path in paths if not path or not path.startswith(start))
    names = [path for path in paths if path and path.startswith(start)]
    number = max(1, min(_MOST_PARTS, len(names) // _OF_A_PART))
    size = -(-len(names) // number)
    for at in range(number):
        part = names[at * size : (at + 1) * size]
        listed = "".join(f"./{name[len(start) :]}\0" for name in part)
        write_durably(_list(tree, at), listed.encode())
    return _Kept(base, above, len(names), number)


def _base(paths: Sequence[str]) -> str:
    """Return the deepest folder that holds all of a tree but a few."""
    below = Counter(parent for path in paths for parent in _parents(path))
    enough = len(paths) - _FEW
    return max((path for path, count in below.items() if count >= enough), key=len, default="")


def _parents(path: str) -> Iterable[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path


def _list(tree: Path, at: int) -> Path:
    return tree / f"{_KEPT}.{at}"


def _read(file: Path) -> _Kept | None:
    try:
        return decode_json(file.read_bytes(), _Kept)
    except (FileNotFoundError, UnicodeDecodeError, msgspec.DecodeError):
        return None


class _Look:
    """One find at work."""

    def __init__(self, listed: Path, base: Path) -> None:
        self._said = os.memfd_create("glance")
        self._process = _start(listed, base, self._said)

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


def _start(listed: Path, base: Path, output: int) -> subprocess.Popen[bytes] | None:
    program = shutil.which("find")
    if program is None:
        return None
    try:
        # Neither closes descriptors nor changes anything else: then it is started in no time.
        return subprocess.Popen(
            [program, "-files0-from", str(listed), *_WORDS],
            cwd=base,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            env={"LC_ALL": "C", "TZ": "UTC"},
        )
    except OSError:
        return None
