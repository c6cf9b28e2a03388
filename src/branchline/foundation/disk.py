"""A full disk: how it is noticed, and what is said of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from branchline.foundation.errors import Unavailable

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LITTLE = 1 << 20
"""So few bytes are no room: what a program had to write was more, and is gone again in part."""


class DiskFull(Unavailable):
    """There is no room for what was to be written."""


def is_full(error: OSError) -> bool:
    """Tell whether an error says that there was no room."""
    return error.errno in _FULL


def has_room(folder: Path) -> bool:
    """Tell whether the disk on which a folder is has room for anything worth writing."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize > _LITTLE


def need_room(folder: Path) -> None:
    """Look for room where another program failed, or does not come to an end.

    Args:
        folder: Where it writes; not tidied up yet.

    Raises:
        OSError: There is none, as the program itself was told.
    """
    if not has_room(folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


@contextmanager
def told_when_full(error: DiskFull) -> Iterator[None]:
    """Let a full disk within be an error that says what to do.

    Raises:
        DiskFull: The one given; something could not be written for want of room.
    """
    try:
        yield
    except OSError as found:
        if is_full(found):
            raise error from found
        raise
