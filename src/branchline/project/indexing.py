"""What a project's search index holds: its records, and the texts in git; only what is new is read.

The index may be asked while somebody else brings it up to date: what is new goes in by small steps,
each whole. A month of records, or git's index, that has not changed since it was looked at last is not
looked at again.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from branchline.foundation.digest import Digest
from branchline.foundation.errors import BranchlineError
from branchline.project.activity.files import FOLDER, RECORD, read_blob
from branchline.project.activity.record import LARGEST, Detail, Record, read_record
from branchline.project.git.keys import key_in_pointer
from branchline.project.git.objects import read_objects
from branchline.project.place import Project

VERSION = 2
_TABLES = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=OFF;
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY, kind TEXT, name TEXT, at TEXT, version TEXT, UNIQUE (kind, name));
CREATE TABLE IF NOT EXISTS looked (place TEXT PRIMARY KEY, stamp TEXT);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(title, body, tokenize='unicode61');
"""
_LONGEST = 1 << 20
_TEXTS = ("text/", "application/json", "application/vnd.jupyter")
_BATCH = 500
_PATIENCE = 60.0
_REGULAR = "100"
_INDEX = ".git/index"
_SETTLED = int(0.1 * 1e9)
"""Nanoseconds after which the time of a folder tells a later change from an earlier one."""

Breathe = Callable[[], object]


def open_index(file: Path) -> sqlite3.Connection:
    """Open an index; one that is not there is made.

    Raises:
        sqlite3.DatabaseError: It is damaged, or of another version.
    """
    index = sqlite3.connect(file, timeout=_PATIENCE, isolation_level=None)
    index.executescript(_TABLES)
    (version,) = index.execute("PRAGMA user_version").fetchone()
    if version not in (0, VERSION):
        index.close()
        raise sqlite3.DatabaseError("of another version")
    index.execute(f"PRAGMA user_version={VERSION}")
    return index


def refresh(project: Project, index: sqlite3.Connection, breathe: Breathe = lambda: None) -> None:
    """Take in what is new, and let go of what is gone.

    Args:
        project: The project.
        index: Its index.
        breathe: Called between two steps: who works aside lets others go first.
    """
    _take_records(project, index, breathe)
    _take_files(project, index, breathe)


def _take_records(project: Project, index: sqlite3.Connection, breathe: Breathe) -> None:
    """Take new records in; one that is not here any more goes: its branch is not checked out."""
    base = project.root / FOLDER
    months = [f"{c}/{m}" for c in _entries(base) if c != "blobs" for m in _entries(base / c)]
    looked = dict(index.execute("SELECT place, stamp FROM looked"))
    for month in sorted({*months, *(place for place in looked if place != _INDEX)}):
        stamp, settled = _stamp(base / month)
        if stamp and looked.get(month) == stamp:
            continue
        names = {f"{month}/{n}" for n in _entries(base / month) if RECORD.match(f"{month}/{n}")}
        known = {
            name
            for (name,) in index.execute(
                # Folders and their names are plain: no mark in them means anything to GLOB.
                "SELECT name FROM entries WHERE kind = 'record' AND name GLOB ?",
                (f"{month}/*",),
            )
        }
        _in_steps(
            index, sorted(known - names), lambda name: _forget(index, "record", name), breathe
        )
        new = sorted(names - known)
        _in_steps(index, new, lambda name: _take_record(project, index, name), breathe)
        _keep_stamp(index, month, stamp if settled else "")


def _take_record(project: Project, index: sqlite3.Connection, name: str) -> None:
    try:
        file = f"{project.root}/{FOLDER}/{name}"
        with open(file, "rb") as source:
            signed = read_record(source.read(LARGEST + 1), f"record {name}")
    except (BranchlineError, OSError):
        return  # 'branchline log --verify' says so; here it has no words
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


def _take_files(project: Project, index: sqlite3.Connection, breathe: Breathe) -> None:
    """Take the texts in that git's index holds anew or otherwise than before."""
    stamp, settled = _stamp(project.root / _INDEX)
    looked = index.execute("SELECT stamp FROM looked WHERE place = ?", (_INDEX,)).fetchone()
    if stamp and looked == (stamp,):
        return
    present: dict[str, str] = {}
    for line in project.git.lines("ls-files", "-z", "--stage"):
        head, _, path = line.partition("\t")
        mode, blob, _ = head.split(" ")
        if mode.startswith(_REGULAR) and not path.startswith(f"{FOLDER}/"):
            present[path] = blob
    rows = index.execute("SELECT name, version FROM entries WHERE kind = 'file'")
    known: dict[str, str] = dict(rows)
    gone = [path for path in known if present.get(path) != known[path]]
    _in_steps(index, gone, lambda path: _forget(index, "file", path), breathe)
    todo = [path for path, blob in present.items() if known.get(path) != blob]
    for start in range(0, len(todo), _BATCH):
        paths = todo[start : start + _BATCH]
        texts = dict(_texts(project, paths, present))

        def take(path: str, texts: dict[str, str] = texts) -> None:
            _add(index, "file", path, "", present[path], path, texts.get(path, ""))

        _in_steps(index, paths, take, breathe)
    _keep_stamp(index, _INDEX, stamp if settled else "")


def _texts(
    project: Project, paths: Sequence[str], blobs: dict[str, str]
) -> Iterator[tuple[str, str]]:
    asked = "".join(f"{blobs[path]}\n" for path in paths).encode()
    said = project.git.run("cat-file", "--batch-check=%(objectsize)", "--buffer", feed=asked)
    sizes = zip(paths, map(int, said.split()), strict=True)
    small = [path for path, size in sizes if size <= _LONGEST]
    asked = "".join(f"{blobs[path]}\n" for path in small).encode()
    for path, content in zip(small, read_objects(project.git, asked, len(small)), strict=True):
        # Bytes have no words, nor has what only points into git-annex.
        if b"\0" not in content and not key_in_pointer(content):
            yield path, content.decode(errors="replace")


def _in_steps(
    index: sqlite3.Connection, names: Sequence[str], work: Callable[[str], None], breathe: Breathe
) -> None:
    """Do something for each name, a few hundred at a time as one whole."""
    for start in range(0, len(names), _BATCH):
        index.execute("BEGIN IMMEDIATE")
        try:
            for name in names[start : start + _BATCH]:
                work(name)
        except BaseException:
            index.execute("ROLLBACK")
            raise
        index.execute("COMMIT")
        breathe()


def _forget(index: sqlite3.Connection, kind: str, name: str) -> None:
    where = (kind, name)
    row = index.execute("SELECT id FROM entries WHERE kind = ? AND name = ?", where).fetchone()
    if row is not None:
        index.execute("DELETE FROM words WHERE rowid = ?", row)
        index.execute("DELETE FROM entries WHERE id = ?", row)


def _add(
    index: sqlite3.Connection, kind: str, name: str, at: str, version: str, title: str, body: str
) -> None:
    row = index.execute(
        "INSERT OR IGNORE INTO entries (kind, name, at, version) VALUES (?, ?, ?, ?)",
        (kind, name, at, version),
    )
    if row.rowcount == 0:
        return  # somebody else took it in meanwhile
    words = (row.lastrowid, title, body[:LARGEST])
    index.execute("INSERT INTO words (rowid, title, body) VALUES (?, ?, ?)", words)


def _keep_stamp(index: sqlite3.Connection, place: str, stamp: str) -> None:
    index.execute("INSERT OR REPLACE INTO looked (place, stamp) VALUES (?, ?)", (place, stamp))


def _stamp(place: Path) -> tuple[str, bool]:
    """Return what tells a folder or file from what it is later, and whether that is sure yet."""
    try:
        found = os.stat(place)
    except OSError:
        return "", False
    settled = time.time_ns() - found.st_mtime_ns > _SETTLED
    return f"{found.st_mtime_ns} {found.st_ino} {found.st_size}", settled


def _entries(folder: Path) -> Iterable[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return ()
