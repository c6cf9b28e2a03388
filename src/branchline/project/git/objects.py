"""Read many of git's objects at once."""

from __future__ import annotations

from branchline.foundation.errors import Corrupt
from branchline.project.git.command import Git


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
