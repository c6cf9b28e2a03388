"""Room on the disk of a store, for what locks name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from branchline.foundation.disk import DiskFull, told_when_full


@contextmanager
def room_in(folder: Path) -> Iterator[None]:
    """Let a full disk within be an error that names the store.

    Raises:
        DiskFull: Something could not be written for want of room.
    """
    full = DiskFull(
        f"The disk of the store {folder} is full; what came whole is kept",
        advice="Make room, for example with 'branchline environment gc --packages', or name "
        "another folder in BRANCHLINE_STORE; then do the same again",
    )
    with told_when_full(full):
        yield
