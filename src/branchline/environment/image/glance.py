"""Look at every file of a tree, without reading any: what each start of a command waits for.

No objects, no paths, one system call for each file. A large tree is shared between this process and
a copy of it made for the purpose, since one interpreter looks at one file at a time.
"""

from __future__ import annotations

import os
import threading
from array import array
from collections.abc import Sequence
from pathlib import Path

import msgspec

WIDTH = 3
"""Numbers for each folder and file: inode, time of last content, time of last change."""

_NOTHING = (0,) * WIDTH
_WORTH_A_PROCESS = 4000


class Plan(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One folder of a tree and the regular files in it, in the order they are looked at."""

    path: str
    files: tuple[str, ...]


def look(root: Path, plan: Sequence[Plan]) -> array[int]:
    """Return (inode, mtime, ctime) of each folder and file in turn; zeros where there is none.

    Args:
        root: The folder that holds the tree.
        plan: What to look at.
    """
    if not _may_share():
        return _look(root, plan)
    half = _half(plan)
    return _look_with_another(root, plan, half) if half else _look(root, plan)


def _may_share() -> bool:
    """Tell whether a copy of this process helps, and is safe: other threads would be cut short."""
    return threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1


def _half(plan: Sequence[Plan]) -> int:
    """Return where the second half of the files begins; 0 where there are too few to share."""
    total = sum(1 + len(part.files) for part in plan)
    if total < _WORTH_A_PROCESS:
        return 0
    seen = 0
    for at, part in enumerate(plan):
        if 2 * seen >= total:
            return at
        seen += 1 + len(part.files)
    return 0


def _look_with_another(root: Path, plan: Sequence[Plan], half: int) -> array[int]:
    """Look at the first half here and at the second in a copy of this process.

    Whatever becomes of the copy: if its half does not come back whole, it is looked at here.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with open(writing, "wb") as out:
                out.write(_look(root, plan[half:]).tobytes())
        finally:
            os._exit(0)  # nothing of the copied process may run, not even its clean-up
    os.close(writing)
    try:
        stats = _look(root, plan[:half])
        with open(reading, "rb") as back:
            rest = back.read()
    finally:
        os.waitpid(child, 0)
    if len(rest) != 8 * WIDTH * sum(1 + len(part.files) for part in plan[half:]):
        return stats + _look(root, plan[half:])
    stats.frombytes(rest)
    return stats


def _look(root: Path, plan: Sequence[Plan]) -> array[int]:
    stats = array("q")
    lstat, top = os.stat, os.open(root, os.O_PATH | os.O_DIRECTORY)
    extend = stats.extend
    try:
        for part in plan:
            try:
                folder = os.open(
                    part.path or ".", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top
                )
            except OSError:
                extend(_NOTHING * (1 + len(part.files)))
                continue
            try:
                found = lstat(folder)
                extend((found.st_ino, found.st_mtime_ns, found.st_ctime_ns))
                for name in part.files:
                    try:
                        found = lstat(name, dir_fd=folder, follow_symlinks=False)
                    except OSError:
                        extend(_NOTHING)
                        continue
                    extend((found.st_ino, found.st_mtime_ns, found.st_ctime_ns))
            finally:
                os.close(folder)
    finally:
        os.close(top)
    return stats
