"""Find words in what was done and in what stands in the project.

The index is a file of this clone's own, made from the records and from git's index, and never
committed: it may be deleted at any time. Each search first brings it up to date, with what is new alone.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import Literal

import msgspec

from branchline.foundation.durable import make_folder
from branchline.foundation.errors import Refused, Unavailable
from branchline.project.indexing import Breathe, open_index, refresh
from branchline.project.place import Project

_FILE = "search.sqlite"
_WORD = re.compile(r"\w+")


class Hit(msgspec.Struct, frozen=True):
    """One thing that has all the words.

    Args:
        kind: A record, or a file as it was saved or added last.
        name: The record's file below ``activity``, or the file's path.
        at: When the record was made; empty for a file.
        title: What the record says it is, or the file's path.
        found: The words with what stands around them, marked.
    """

    kind: Literal["record", "file"]
    name: str
    at: str
    title: str
    found: str


def find(
    project: Project,
    wanted: str,
    *,
    most: int = 20,
    kind: str = "",
    marks: tuple[str, str] = ("[", "]"),
) -> list[Hit]:
    """Return what has all of some words, or words that begin with them; best first.

    Args:
        project: The project.
        wanted: The words; case and accents do not matter.
        most: How many hits at most.
        kind: ``record`` or ``file``; both by default.
        marks: What stands before and after a word that was found.

    Raises:
        Refused: There is no word to look for.
    """
    words = _WORD.findall(wanted)
    if not words:
        raise Refused(f"{wanted[:80]!r} has no word to look for", advice="Give letters or digits")
    query = " ".join(f'"{word}"*' for word in words)
    try:
        return _find(project, query, most, kind, marks)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise Unavailable("The search index is being made", advice="Try again") from error
        return _made_anew(project, query, most, kind, marks)
    except sqlite3.DatabaseError:
        return _made_anew(project, query, most, kind, marks)


def _made_anew(
    project: Project, query: str, most: int, kind: str, marks: tuple[str, str]
) -> list[Hit]:
    """Whatever became of the index: everything in it can be had again."""
    for file in project.state.glob(f"{_FILE}*"):
        file.unlink()
    return _find(project, query, most, kind, marks)


def _find(project: Project, query: str, most: int, kind: str, marks: tuple[str, str]) -> list[Hit]:
    with closing(open_index(make_folder(project.state) / _FILE)) as index:
        refresh(project, index)
        rows = index.execute(
            "SELECT e.kind, e.name, e.at, words.title, snippet(words, -1, ?, ?, ' … ', 12)"
            " FROM words JOIN entries e ON e.id = words.rowid"
            " WHERE words MATCH ? AND (? = '' OR e.kind = ?)"
            " ORDER BY bm25(words, 4.0, 1.0), e.at DESC, e.name LIMIT ?",
            (*marks, query, kind, kind, most),
        )
        return [Hit(*row) for row in rows]


def take_in(project: Project, breathe: Breathe) -> None:
    """Bring the index up to date aside, so that the next search need not.

    Args:
        project: The project.
        breathe: Called between two steps; what it raises ends the work, and loses nothing.
    """
    try:
        with closing(open_index(make_folder(project.state) / _FILE)) as index:
            refresh(project, index, breathe)
    except sqlite3.Error:
        pass  # the next search sees to it
