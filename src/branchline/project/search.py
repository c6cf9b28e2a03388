"""Find words in what was done and in what stands in the project.

The index is a file of this clone's own, made from the records and from git's index, and never
committed: it may be deleted at any time. Each search first brings it up to date, with what is new alone.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import msgspec

from branchline.foundation.digest import Digest
from branchline.foundation.durable import make_folder
from branchline.foundation.errors import BranchlineError, Refused
from branchline.project.activity.files import FOLDER, read_blob, record_names
from branchline.project.activity.record import LARGEST, Detail, Record, read_record
from branchline.project.git.intake import read_objects
from branchline.project.git.keys import key_in_pointer
from branchline.project.place import Project

_FILE = "search.sqlite"
_VERSION = 1
_TABLES = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=OFF;
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY, kind TEXT, name TEXT, at TEXT, version TEXT, UNIQUE (kind, name));
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(title, body, tokenize='unicode61');
"""
_LONGEST = 1 << 20
_TEXTS = ("text/", "application/json", "application/vnd.jupyter")
_WORD = re.compile(r"\w+")
_BATCH = 2000
_REGULAR = "100"


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
    except sqlite3.DatabaseError:
        # Whatever became of the index: everything in it can be had again.
        for file in project.state.glob(f"{_FILE}*"):
            file.unlink()
        return _find(project, query, most, kind, marks)


def _find(project: Project, query: str, most: int, kind: str, marks: tuple[str, str]) -> list[Hit]:
    with closing(_open(make_folder(project.state) / _FILE)) as index:
        with index:
            _take_records(project, index)
            _take_files(project, index)
        rows = index.execute(
            "SELECT e.kind, e.name, e.at, words.title, snippet(words, -1, ?, ?, ' … ', 12)"
            " FROM words JOIN entries e ON e.id = words.rowid"
            " WHERE words MATCH ? AND (? = '' OR e.kind = ?)"
            " ORDER BY bm25(words, 4.0, 1.0), e.at DESC, e.name LIMIT ?",
            (*marks, query, kind, kind, most),
        )
        return [Hit(*row) for row in rows]


def _open(file: Path) -> sqlite3.Connection:
    index = sqlite3.connect(file)
    index.executescript(_TABLES)
    (version,) = index.execute("PRAGMA user_version").fetchone()
    if version not in (0, _VERSION):
        index.close()
        raise sqlite3.DatabaseError("of another version")
    index.execute(f"PRAGMA user_version={_VERSION}")
    return index


def _take_records(project: Project, index: sqlite3.Connection) -> None:
    """Take new records in; one that is not here any more goes: its branch is not checked out."""
    known = _known(index, "record")
    names = record_names(project.root)
    _forget(index, "record", known.keys() - set(names))
    for name in names:
        if name in known:
            continue
        try:
            signed = read_record((project.root / FOLDER / name).read_bytes(), f"record {name}")
        except (BranchlineError, OSError):
            continue  # 'branchline log --verify' says so; here it has no words
        record = signed.record
        title = f"{record.type} {record.action}: {record.message}"
        _add(index, "record", name, record.at, "", title, "\n".join(_said(project, record)))


def _said(project: Project, record: Record) -> Iterator[str]:
    yield from record.tags
    for detail in record.details:
        if detail.digest is None:
            yield from _strings(detail.value)
        elif text := _blob(project, detail, detail.digest):
            yield text


def _blob(project: Project, detail: Detail, digest: Digest) -> str:
    if not detail.media.startswith(_TEXTS) or (detail.size or 0) > _LONGEST:
        return ""
    try:
        return read_blob(project, digest).decode(errors="replace")
    except BranchlineError:
        return ""  # its content is not in this clone


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield str(name)
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _take_files(project: Project, index: sqlite3.Connection) -> None:
    """Take the texts in that git's index holds anew or otherwise than before."""
    present: dict[str, str] = {}
    for line in project.git.lines("ls-files", "-z", "--stage"):
        head, _, path = line.partition("\t")
        mode, blob, _ = head.split(" ")
        if mode.startswith(_REGULAR) and not path.startswith(f"{FOLDER}/"):
            present[path] = blob
    known = _known(index, "file")
    _forget(index, "file", [path for path in known if present.get(path) != known[path]])
    todo = [path for path, blob in present.items() if known.get(path) != blob]
    for start in range(0, len(todo), _BATCH):
        paths = todo[start : start + _BATCH]
        small = [path for path, size in _sizes(project, paths, present) if size <= _LONGEST]
        asked = "".join(f"{present[path]}\n" for path in small).encode()
        texts = dict(zip(small, read_objects(project.git, asked, len(small)), strict=True))
        for path in paths:
            _add(index, "file", path, "", present[path], path, _text(texts.get(path, b"")))


def _sizes(
    project: Project, paths: Sequence[str], blobs: dict[str, str]
) -> Iterable[tuple[str, int]]:
    asked = "".join(f"{blobs[path]}\n" for path in paths).encode()
    said = project.git.run("cat-file", "--batch-check=%(objectsize)", "--buffer", feed=asked)
    return zip(paths, map(int, said.split()), strict=True)


def _text(content: bytes) -> str:
    """Return a file's text; none for bytes, and for what only points into git-annex."""
    if b"\0" in content or key_in_pointer(content):
        return ""
    return content.decode(errors="replace")


def _known(index: sqlite3.Connection, kind: str) -> dict[str, str]:
    return dict(index.execute("SELECT name, version FROM entries WHERE kind = ?", (kind,)))


def _forget(index: sqlite3.Connection, kind: str, names: Iterable[str]) -> None:
    for name in names:
        where = (kind, name)
        row = index.execute("SELECT id FROM entries WHERE kind = ? AND name = ?", where).fetchone()
        index.execute("DELETE FROM words WHERE rowid = ?", row)
        index.execute("DELETE FROM entries WHERE id = ?", row)


def _add(
    index: sqlite3.Connection, kind: str, name: str, at: str, version: str, title: str, body: str
) -> None:
    row = index.execute(
        "INSERT INTO entries (kind, name, at, version) VALUES (?, ?, ?, ?)",
        (kind, name, at, version),
    )
    words = (row.lastrowid, title, body[:LARGEST])
    index.execute("INSERT INTO words (rowid, title, body) VALUES (?, ?, ?)", words)
