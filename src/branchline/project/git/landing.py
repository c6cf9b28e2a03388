"""Lay out another commit; a kill at any point is finished by the next command.

Git writes files one after the other. Killed in between, it leaves some of the old commit and some
of the new one, and a save would keep that as if somebody had wanted it. So what is about to be laid
out is written down first, and whoever works in the project next finishes it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from branchline.foundation.clock import SystemClock
from branchline.foundation.decoding import decode_json
from branchline.foundation.durable import make_folder, sync_folder, write_durably
from branchline.foundation.errors import Conflict
from branchline.project.git.command import Git
from branchline.project.names import shown

_FILE = ".git/branchline/landing.json"
_RESCUED = ".git/branchline/rescued"
_NONE = "0" * 40
_LINK, _MODULE = "120000", "160000"
_LOG = logging.getLogger(__name__)


class _Intent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    before: str
    after: str
    branch: str
    was: str


@dataclass(frozen=True)
class Difference:
    """A path that differs between two commits.

    Args:
        path: Relative to the project.
        letter: A added, D removed, M changed, T of another kind.
        mode: Its mode afterwards; zeros where it is gone.
        name: Git's name of its content afterwards.
        was: Git's name of its content before.
    """

    path: str
    letter: str
    mode: str
    name: str
    was: str


def differences(git: Git, before: str, after: str, *paths: str) -> list[Difference]:
    """Return what differs between two commits or trees, by path."""
    words = ("diff-tree", "-r", "-z", "--no-renames", "--raw", "--no-abbrev")
    printed = git.lines(*words, before, after, "--", *paths)
    found = []
    for meta, path in zip(printed[::2], printed[1::2], strict=True):
        _, mode, was, name, letter = meta.split()
        found.append(Difference(path, letter[0], mode, name, was))
    return found


def land(git: Git, after: str, branch: str) -> None:
    """Lay a commit out in place of the one that is there, and have a branch lead to it.

    What is in the folder must be saved, or be staged just as the new commit has it.

    Args:
        git: The repository's git, held by the project's lock.
        after: The new commit.
        branch: The branch that is checked out afterwards; made if there is none of the name.

    Raises:
        Conflict: A file that is not kept is in the way; nothing was changed.
    """
    before = git.head() or _NONE
    found = git.run("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", accept=(0, 1))
    git.run("update-index", "-q", "--refresh", accept=(0, 1), unlocked=True)
    _check_way(git, differences(git, before, after))
    git.run("read-tree", "-m", "-u", "-n", before, after, unlocked=True)
    intent = _Intent(before, after, branch, found.decode().strip() or _NONE)
    file = git.root / _FILE
    make_folder(file.parent)
    write_durably(file, msgspec.json.encode(intent))
    git.run("read-tree", "-m", "-u", before, after, unlocked=True)
    _lead(git, intent, file)


def finish(git: Git) -> None:
    """Finish what a killed command was about to lay out; nothing where there is none.

    What somebody wrote in its place since is put aside, and said.
    """
    file = git.root / _FILE
    if not file.exists():
        return
    intent = decode_json(file.read_bytes(), _Intent)
    laid_out = git.run("diff-index", "--cached", "--name-only", "-z", intent.after) == b""
    if not laid_out:
        aside = _Aside(git.root)
        for each in differences(git, intent.before, intent.after):
            _make_way(git, each, aside)
        aside.tell()
        git.run("update-index", "-q", "--refresh", accept=(0, 1), unlocked=True)
        git.run("read-tree", "-m", "-u", intent.before, intent.after, unlocked=True)
    _lead(git, intent, file)


def put_aside(root: Path, paths: Iterable[str]) -> Path | None:
    """Move files out of the project's way, to where they are kept; return where that is."""
    aside = _Aside(root)
    for path in paths:
        aside.take(path)
    return aside.folder


class _Aside:
    """Where files go that somebody wrote in the place of others."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: list[str] = []
        self.folder: Path | None = None

    def take(self, path: str) -> None:
        if self.folder is None:
            now = SystemClock().now()
            self.folder = self._root / _RESCUED / now.strftime("%Y-%m-%dT%H-%M-%S.%f")
        place = self.folder / path
        make_folder(place.parent)
        (self._root / path).rename(place)
        sync_folder(place.parent)
        self._names.append(path)

    def tell(self) -> None:
        if self._names:
            more = f" and {len(self._names) - 1} more" if len(self._names) > 1 else ""
            said = "What was written to %s%s while a command lay interrupted is kept in %s"
            _LOG.warning(said, shown(self._names[0]), more, self.folder)


def _lead(git: Git, intent: _Intent, file: Path) -> None:
    git.run("update-ref", f"refs/heads/{intent.branch}", intent.after)
    git.run("symbolic-ref", "HEAD", f"refs/heads/{intent.branch}")
    file.unlink()
    sync_folder(file.parent)


def _check_way(git: Git, found: list[Difference]) -> None:
    """Refuse where a file that git does not keep would have to give way; ignored ones count, too."""
    gone = {each.path for each in found if each.letter == "D"}
    new = [each for each in found if each.letter == "A" and each.mode != _MODULE]
    there = [each for each in new if os.path.lexists(git.root / each.path)]
    names = b"".join(os.fsencode(each.path) + b"\0" for each in there)
    staged = {
        (parts[0], parts[1], path)
        for line in (git.lines("ls-files", "-s", "-z") if names else [])
        for parts, path in [(line.partition("\t")[0].split(), line.partition("\t")[2])]
    }
    way = [e.path for e in there if (e.mode, e.name, e.path) not in staged]
    for path in way:
        inside = set(_files_below(git.root, path))
        if inside - gone:
            raise _in_the_way(min(inside - gone))
    for folder in {parent for each in new for parent in _parents(each.path)}:
        place = git.root / folder
        blocked = os.path.lexists(place) and (place.is_symlink() or not place.is_dir())
        if blocked and folder not in gone:
            raise _in_the_way(folder)


def _in_the_way(path: str) -> Conflict:
    return Conflict(
        f"{shown(path)} is not kept in the project, and is in the way",
        advice="Move it, then do the same again",
    )


def _files_below(root: Path, path: str) -> Iterator[str]:
    place = root / path
    if place.is_symlink() or not place.is_dir():
        yield path
        return
    for folder, _, names in os.walk(place):
        below = Path(folder).relative_to(root).as_posix()
        yield from (f"{below}/{name}" for name in names)


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _make_way(git: Git, each: Difference, aside: _Aside) -> None:
    """Leave at a path what was there before, or nothing."""
    file = git.root / each.path
    try:
        found = os.lstat(file)
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISDIR(found.st_mode):
        return
    if each.letter != "A" and _name_of(file, found) == each.was:
        return
    if _is_half(git, file, found, each):
        file.unlink()
    else:
        aside.take(each.path)


def _is_half(git: Git, file: Path, found: os.stat_result, each: Difference) -> bool:
    """Tell whether a file holds the new content, or the beginning of it."""
    if _name_of(file, found) == each.name:
        return True
    if each.letter == "D" or each.mode == _LINK or not stat.S_ISREG(found.st_mode):
        return False
    new = git.run("cat-file", "blob", each.name)
    return found.st_size < len(new) and new.startswith(file.read_bytes())


def _name_of(file: Path, found: os.stat_result) -> str:
    """Return git's name of what is at a path."""
    if stat.S_ISLNK(found.st_mode):
        raw = os.fsencode(os.readlink(file))
        return hashlib.sha1(b"blob %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()
    state = hashlib.sha1(b"blob %d\0" % found.st_size, usedforsecurity=False)
    with file.open("rb") as opened:
        while piece := opened.read(1 << 20):
            state.update(piece)
    return state.hexdigest()
