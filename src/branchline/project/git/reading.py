"""Read files to be kept: each once, and noticed if it changes meanwhile."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from branchline.foundation.errors import Conflict, Refused
from branchline.project.git.keyed import DataKey
from branchline.project.names import shown

_PIECE = 1 << 20
LARGE = 4 << 20
"""From so many bytes on, two files are read at a time; below, to take turns costs more than it wins."""
_READERS = 2


class Read(NamedTuple):
    """What was read of a file.

    Args:
        digest: Of its content.
        found: What the system said of it.
    """

    digest: bytes
    found: os.stat_result


def read_in_turn(
    root: str, sizes: Mapping[str, int], secret: DataKey | None, *, durable: bool
) -> Iterator[tuple[str, Read]]:
    """Read files in their order; of the large ones, those that come next are read ahead.

    Args:
        root: The project.
        sizes: The files' paths in it, and about how large each is.
        secret: See `read_file`.
        durable: See `read_file`.

    Raises:
        Conflict: A file changed while it was read.
        Refused: A path is no regular file.
    """

    def read(path: str) -> Read:
        return read_file(f"{root}/{path}", path, secret, durable=durable)

    readers = ThreadPoolExecutor(_READERS, thread_name_prefix="reading")
    try:
        large = [path for path, size in sizes.items() if size >= LARGE]
        ahead = {path: readers.submit(read, path) for path in large}
        for path in sizes:
            yield path, ahead.pop(path).result() if path in ahead else read(path)
    finally:
        readers.shutdown(cancel_futures=True)


def read_file(file: str, path: str, secret: DataKey | None, *, durable: bool) -> Read:
    """Read a regular file, never what a link leads to.

    Args:
        file: Where it is.
        path: What people call it.
        secret: Makes a digest that nobody can guess; by default it is the SHA-256.
        durable: Whether its content is on the disk afterwards.

    Raises:
        Conflict: It changed while it was read.
        Refused: It is no regular file.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise changing(path) from None
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise Refused(f"{shown(path)} is not a file", advice="Name it in .gitignore")
        state = hashlib.sha256() if secret is None else secret.state()
        # What comes in one piece shorter than it was asked for is all there is.
        wanted, size = min(before.st_size + 1, _PIECE), 0
        while piece := os.read(descriptor, wanted):
            state.update(piece)
            size += len(piece)
            if len(piece) < wanted and size == before.st_size:
                break
        if changed(before, os.fstat(descriptor)):
            raise changing(path)
        if durable:
            os.fdatasync(descriptor)
        return Read(state.digest(), before)
    finally:
        os.close(descriptor)


def changed(before: os.stat_result, after: os.stat_result) -> bool:
    """Tell whether a file is another one now, or has other content."""
    return (before.st_ino, before.st_size, before.st_mtime_ns) != (
        after.st_ino,
        after.st_size,
        after.st_mtime_ns,
    )


def changing(path: str) -> Conflict:
    """Return what is raised where a file does not keep still."""
    return Conflict(
        f"{shown(path)} changed while it was read",
        advice="Wait until whatever writes it is done, then do the same again",
    )
