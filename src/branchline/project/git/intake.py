"""Take files into the annex: their content read once, their places written by ourselves.

git-annex starts work anew for every file. Here all files of one save go together: content is
hashed and linked into place, and what git-annex has to know - the links, and that the content is
here - is handed to git in one stream. Afterwards ``git annex fsck`` and ``whereis`` say the same
as if git-annex had done it; a test holds them to that.

Killed at any point: each file is still there, as itself or as a link to its content in the annex.
Content that no commit names yet is found again by the next save, since it asks the links.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, get_ident

from branchline.foundation.digest import Digest, digest_from
from branchline.foundation.errors import BranchlineError, Conflict, Corrupt, Refused
from branchline.project.git.command import Git, user
from branchline.project.git.keyed import DataKey
from branchline.project.git.keys import key_of, link_of, log_place, object_place
from branchline.project.names import shown

BRANCH = "refs/heads/git-annex"
WAITING = ".branchline-link.tmp"
"""A link before it takes a file's place; one that a kill left behind is nothing to keep."""

_PIECE = 1 << 20
_MANY = 16
_PART = 200
_WORKERS = 2
_LOCKS = 64
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Taken:
    """A file that is in the annex now.

    Args:
        path: Where its link is in the project.
        key: Git-annex's name of its content.
        target: What the link says.
    """

    path: str
    key: str
    target: str


def take_in(
    root: Path, paths: Sequence[str], progress: Progress, secret: DataKey | None = None
) -> list[Taken]:
    """Bring files' content into the annex and put links in their places, durably.

    Args:
        root: The project.
        paths: Regular files in it.
        progress: Told what is done, now and then.
        secret: Names the contents, so that nobody can guess them; by default their digest does.

    Raises:
        Conflict: A file changed while it was read; those before it are in, nothing is lost.
        Refused: A path is no regular file.
    """
    alone = len(paths) < _MANY
    os.makedirs(root / ".git/annex/objects", exist_ok=True)
    taking = _Taking(str(root), secret, alone=alone)
    if alone:
        return [taking.one(path, "") for path in paths]
    parts = [paths[at : at + _PART] for at in range(0, len(paths), _PART)]
    taken: list[Taken] = []
    # Most of it is the system's work on folders and links: two do it in half the time.
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="intake") as pool:
        for done in pool.map(taking.several, parts):
            taken += done
            progress(f"taking data in: {len(taken)} of {len(paths)}")
    if taking.failed:
        raise taking.failed[0]
    sync_file_system(root)
    return taken


class _Taking:
    """Takes files in, several at once; of one content one at a time."""

    def __init__(self, root: str, secret: DataKey | None, *, alone: bool) -> None:
        self._root, self._secret, self._alone = root, secret, alone
        self._locks = [Lock() for _ in range(_LOCKS)]
        self.failed: list[BranchlineError | OSError] = []

    def several(self, paths: Sequence[str]) -> list[Taken]:
        """Take files in until one fails, here or elsewhere."""
        taken: list[Taken] = []
        mark = f".{get_ident()}"
        for path in paths:
            if self.failed:
                break
            try:
                taken.append(self.one(path, mark))
            except (BranchlineError, OSError) as error:
                self.failed.append(error)
        return taken

    def one(self, path: str, mark: str) -> Taken:
        """Take one file in; the mark keeps apart what two make in one folder."""
        file, secret = f"{self._root}/{path}", self._secret
        digest, before = _hashed(file, path, secret, durable=self._alone)
        if secret is None:
            key = key_of(digest_from(digest), before.st_size, path.rpartition("/")[2])
        else:
            key = secret.name(digest, before.st_size)
        place = f"{self._root}/.git/annex/objects/{object_place(key)}"
        os.chmod(file, stat.S_IMODE(before.st_mode) & 0o555 | 0o444)
        with self._locks[hash(key) % _LOCKS]:
            _link(file, place, digest, secret)
            if _changed(before, os.lstat(file)):
                # Whoever still writes writes into the file that was read: it goes back to being his.
                _take_back(file, place, before)
                raise _changing(path)
        target = link_of(path, key)
        waiting = f"{file.rpartition('/')[0]}/{mark}{WAITING}"
        try:
            os.symlink(target, waiting)
        except FileExistsError:
            # A killed save left it; whoever holds the lock is the only one who makes any.
            os.unlink(waiting)
            os.symlink(target, waiting)
        os.rename(waiting, file)
        return Taken(path, key, target)


def hash_file(file: Path, path: str) -> tuple[Digest, int]:
    """Return the digest and size of a regular file, never of what a link leads to.

    Raises:
        Conflict: It changed while it was read.
        Refused: It is no regular file.
    """
    digest, found = _hashed(str(file), path, None, durable=False)
    return digest_from(digest), found.st_size


def _hashed(
    file: str, path: str, secret: DataKey | None, *, durable: bool
) -> tuple[bytes, os.stat_result]:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise _changing(path) from None
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise Refused(f"{shown(path)} is not a file", advice="Name it in .gitignore")
        state = hashlib.sha256() if secret is None else secret.state()
        while piece := os.read(descriptor, _PIECE):
            state.update(piece)
        if _changed(before, os.fstat(descriptor)):
            raise _changing(path)
        if durable:
            os.fdatasync(descriptor)
        return state.digest(), before
    finally:
        os.close(descriptor)


def _changed(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_ino, before.st_size, before.st_mtime_ns) != (
        after.st_ino,
        after.st_size,
        after.st_mtime_ns,
    )


def _changing(path: str) -> Conflict:
    return Conflict(
        f"{shown(path)} changed while it was read",
        advice="Wait until whatever writes it is done, then do the same again",
    )


def _link(file: str, place: str, digest: bytes, secret: DataKey | None) -> None:
    """Put a file's content into its place, as a second name of the same file."""
    holder = place.rpartition("/")[0]
    try:
        _make_holder(holder)
    except FileExistsError:
        if os.path.exists(place) and _hashed(place, place, secret, durable=False)[0] == digest:
            return
        # Damaged content gives way to what has just been read.
        os.chmod(holder, 0o755)
        if os.path.exists(place):
            os.unlink(place)
    os.link(file, place, follow_symlinks=False)
    os.chmod(holder, 0o555)


def _make_holder(holder: str) -> None:
    """Make a content's folder, and the two above it that are missing."""
    try:
        os.mkdir(holder)
        return
    except FileNotFoundError:
        above = holder.rpartition("/")[0]
    for folder in (above.rpartition("/")[0], above):
        try:
            os.mkdir(folder)
        except FileExistsError:
            # Another content's, perhaps made this very moment.
            pass
    os.mkdir(holder)


def _take_back(file: str, place: str, before: os.stat_result) -> None:
    holder = place.rpartition("/")[0]
    if os.path.exists(place) and os.stat(place).st_ino == before.st_ino:
        os.chmod(holder, 0o755)
        os.unlink(place)
        os.rmdir(holder)
    if os.path.exists(file) and not os.path.islink(file):
        os.chmod(file, stat.S_IMODE(before.st_mode))


def sync_file_system(root: Path) -> None:
    """Flush everything at once: one by one, ten thousand small files take half a minute."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), "The data could not be written", str(root))
    finally:
        os.close(descriptor)


def register(git: Git, uuid: str, taken: Sequence[Taken]) -> None:
    """Tell git the links, and git-annex that their content is here.

    Args:
        git: The repository's git; nothing is committed on the branch that is checked out.
        uuid: The repository's own name among those that hold content.
        taken: What came in, or was found as links whose content is here.
    """
    if not taken:
        return
    with _journal(git):
        told = _told(git, [each.key for each in taken])
        stream = list(_stream(git, uuid, taken, told))
        git.run("fast-import", "--quiet", "--done", feed=b"".join(stream))
    index = b"".join(
        b"120000 %s\t%s\0" % (_blob_id(each.target).encode(), os.fsencode(each.path))
        for each in taken
    )
    git.run("update-index", "-z", "--index-info", feed=index)


def tell_locations(git: Git, uuid: str, keys: Sequence[str]) -> None:
    """Tell git-annex that contents are here.

    Args:
        git: The repository's git.
        uuid: The repository's own name among those that hold content.
        keys: Git-annex's names of the contents, which are in their places.
    """
    if keys:
        with _journal(git):
            stream = list(_stream(git, uuid, (), _told(git, keys)))
            git.run("fast-import", "--quiet", "--done", feed=b"".join(stream))


def _stream(git: Git, uuid: str, taken: Sequence[Taken], told: dict[str, bytes]) -> Iterator[bytes]:
    yield b"feature done\n"
    for target in dict.fromkeys(each.target for each in taken):
        yield b"blob\n" + _data(os.fsencode(target))
    now = time.time()
    ours = f" {uuid}".encode()
    lines = {}
    for key, text in told.items():
        mine = [line for line in text.splitlines() if line.endswith(ours)]
        if [line for line in mine if b"s 1 " in line]:
            continue
        others = [line for line in text.splitlines() if not line.endswith(ours)]
        own = f"{now:.6f}s 1 {uuid}".encode()
        lines[key] = b"".join(line + b"\n" for line in (*others, own))
    if lines:
        who = {**user(), **git.own}
        sender = f"{who['user.name']} <{who['user.email']}>".encode()
        yield b"commit %s\ncommitter %s %d +0000\n" % (BRANCH.encode(), sender, int(now))
        yield _data(b"update")
        yield b"from %s^0\n" % BRANCH.encode()
        for key, text in lines.items():
            yield b"M 100644 inline %s\n" % log_place(key).encode() + _data(text)
    yield b"done\n"


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _told(git: Git, keys: Sequence[str]) -> dict[str, bytes]:
    """Return what is told of each key's locations so far."""
    names = list(dict.fromkeys(keys))
    # By the tree's own name: for each line that names a branch, git reads the branch anew.
    tree = git.run("rev-parse", f"{BRANCH}^{{tree}}").strip()
    asked = b"".join(b"%s:%s\n" % (tree, log_place(name).encode()) for name in names)
    return dict(zip(names, read_objects(git, asked, len(names)), strict=True))


def read_objects(git: Git, asked: bytes, count: int) -> list[bytes]:
    """Return the contents of objects, each empty where there is none.

    Args:
        git: The repository's git.
        asked: One object's name per line.
        count: How many lines these are.
    """
    printed = git.run("cat-file", "--batch", "--buffer", feed=asked)
    found, at = [], 0
    for _ in range(count):
        end = printed.index(b"\n", at)
        header = printed[at:end].split()
        at = end + 1
        if header[-1] == b"missing":
            found.append(b"")
            continue
        size = int(header[-1])
        found.append(printed[at : at + size])
        at += size + 1
    if at != len(printed):
        raise Corrupt("git told more than it was asked for")
    return found


@contextmanager
def _journal(git: Git) -> Iterator[None]:
    """Keep git-annex from writing to its branch; what it has not committed yet is committed first."""
    annex = git.root / ".git/annex"
    with (annex / "journal.lck").open("wb") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        if any((annex / "journal").iterdir()):
            fcntl.lockf(lock, fcntl.LOCK_UN)
            from branchline.project.git.annex import Annex

            Annex(git).run("merge", "--quiet")
            fcntl.lockf(lock, fcntl.LOCK_EX)
        yield


def _blob_id(target: str) -> str:
    raw = os.fsencode(target)
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()
