"""Give git many small files at once, in one pack.

Git makes a file of its own of each object, and has the system write each out. One stream makes one
file of all. It only comes first: what git has already, it does not write again when it takes the same
files into its index. There it reads them anew, by its own rules. So what changes in between, or
what git keeps in another form than it has in the folder, costs some space, and no more.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from branchline.project.git.command import Git

_MANY = 200
_SMALL = 1 << 20
_MADE_AT_ONCE = 1 << 16


def pack(git: Git, paths: Sequence[str]) -> None:
    """Have git hold the contents of files that it is about to take into its index.

    Args:
        git: The repository's git; neither its index nor any branch is changed.
        paths: The files. Few, large ones, links, and what cannot be read, are left to git alone.

    Raises:
        GitFailed: Git did not take them.
        Unavailable: The disk is full.
    """
    if len(paths) >= _MANY:
        git.pour("fast-import", "--quiet", "--done", feed=_stream(git.root, paths))


def _stream(root: Path, paths: Sequence[str]) -> Iterator[bytes]:
    waiting, length = [b"feature done\n"], 0
    for path in paths:
        content = _content(f"{root}/{path}")
        if content is None or _may_be_converted(content):
            continue
        waiting += (b"blob\ndata %d\n" % len(content), content, b"\n")
        length += len(content)
        if length >= _MADE_AT_ONCE:
            yield b"".join(waiting)
            waiting, length = [], 0
    waiting.append(b"done\n")
    yield b"".join(waiting)


def _content(file: str) -> bytes | None:
    """Return what is in a small regular file; None for anything else."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _SMALL:
            return None
        return os.read(descriptor, found.st_size + 1)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _may_be_converted(content: bytes) -> bool:
    """Tell whether git may keep other line ends than these; of what has a NUL it keeps each byte."""
    return b"\r\n" in content and b"\0" not in content
