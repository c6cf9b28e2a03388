"""Tell git of links, and git-annex where content is: all of one save in one stream.

What git-annex is told of is there already: a kill before the end of the stream tells it nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from branchline.project.git.command import Git, user
from branchline.project.git.intake import Taken
from branchline.project.git.keys import log_place
from branchline.project.git.objects import read_objects

BRANCH = "refs/heads/git-annex"


def register(git: Git, uuid: str, taken: Sequence[Taken]) -> None:
    """Tell git the links, and git-annex that their content is here.

    Args:
        git: The repository's git; nothing is committed on the branch that is checked out.
        uuid: The repository's own name among those that hold content.
        taken: What came in, or was found as links whose content is here.
    """
    if not taken:
        return
    _tell(git, uuid, [each.target for each in taken], [each.key for each in taken])
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
        _tell(git, uuid, (), keys)


def _tell(git: Git, uuid: str, targets: Sequence[str], keys: Sequence[str]) -> None:
    with _journal(git):
        stream = b"".join(_stream(git, uuid, targets, keys))
        git.run("fast-import", "--quiet", "--done", feed=stream)


def _stream(git: Git, uuid: str, targets: Sequence[str], keys: Sequence[str]) -> Iterator[bytes]:
    yield b"feature done\n"
    for target in dict.fromkeys(targets):
        yield b"blob\n" + _data(os.fsencode(target))
    now = time.time()
    ours = f" {uuid}".encode()
    own = f"{now:.6f}s 1 {uuid}\n".encode()
    lines = {}
    for place, text in _told(git, keys).items():
        told = text.splitlines()
        if any(line.endswith(ours) and b"s 1 " in line for line in told):
            continue
        others = [line + b"\n" for line in told if not line.endswith(ours)]
        lines[place] = b"".join((*others, own))
    if lines:
        who = {**user(), **git.own}
        sender = f"{who['user.name']} <{who['user.email']}>".encode()
        yield b"commit %s\ncommitter %s %d +0000\n" % (BRANCH.encode(), sender, int(now))
        yield _data(b"update")
        yield b"from %s^0\n" % BRANCH.encode()
        for place, text in lines.items():
            yield b"M 100644 inline %s\n" % place.encode() + _data(text)
    yield b"done\n"


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _told(git: Git, keys: Sequence[str]) -> dict[str, bytes]:
    """Return what is told of each key's locations so far, by the place where that stands."""
    found = {log_place(key): b"" for key in keys}
    # By the tree's own name: for each line that names a branch, git reads the branch anew.
    tree = git.word("rev-parse", f"{BRANCH}^{{tree}}")
    # Most of few folders are not there yet, and git looks for what is not there in every pack.
    folders = set(git.lines("ls-tree", "-z", "--name-only", tree))
    asked = [place for place in found if place.partition("/")[0] in folders]
    if asked:
        names = "".join(f"{tree}:{place}\n" for place in asked).encode()
        found.update(zip(asked, read_objects(git, names, len(asked)), strict=True))
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
