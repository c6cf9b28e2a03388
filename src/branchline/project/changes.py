"""What differs between the last save, the index and the folder; pure.

Source: git-status(1), "Porcelain Format Version 2".
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

WORDS = ("status", "--porcelain=v2", "-z", "--no-renames", "--ignore-submodules=all")
"""The call of git whose answer `read_changes` reads."""

LINK = 0o120000
MODULE = 0o160000


@dataclass(frozen=True)
class Change:
    """One path that differs.

    Args:
        path: Relative to the project; a folder that is new as a whole ends with ``/``.
        staged: What the index holds against the last save: ``.ADMT``, ``?`` new, ``U`` in conflict.
        unstaged: What the folder holds against the index, likewise.
        was: The content that the index names; empty for a new path.
        mode: The mode in the index; 0 for a new path.
    """

    path: str
    staged: str
    unstaged: str
    was: str = ""
    mode: int = 0

    @property
    def may_be_unlocked(self) -> bool:
        """Whether it may be a file of git-annex that is no link, and not changed at all.

        Git compares it with what it stores of such files, unless git-annex is called for each.
        """
        return self.unstaged == "M" and self.mode not in (LINK, MODULE)

    @property
    def kind(self) -> str:
        """One word for people: new, changed, removed or in conflict."""
        if self.staged == "U":
            return "in conflict"
        if self.staged == "?":
            return "new"
        if "D" in (self.unstaged, self.staged) and self.unstaged in "D.":
            return "removed"
        return "new" if self.staged == "A" else "changed"


def read_changes(printed: bytes) -> list[Change]:
    """Read git's answer to `WORDS`."""
    return list(_changes(printed.split(b"\0")))


def _changes(lines: Iterable[bytes]) -> Iterator[Change]:
    for line in lines:
        if line.startswith(b"? "):
            yield Change(os.fsdecode(line[2:]), "?", "?")
        elif line.startswith(b"1 "):
            parts = line.split(b" ", 8)
            state = parts[1].decode()
            yield Change(
                os.fsdecode(parts[8]), state[0], state[1], parts[7].decode(), int(parts[4], 8)
            )
        elif line.startswith(b"u "):
            yield Change(os.fsdecode(line.split(b" ", 10)[10]), "U", "U")
