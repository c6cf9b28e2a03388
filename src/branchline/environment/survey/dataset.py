"""The Binder launch dataset ("Software Environments in Binder Containers"): one SQLite file.

``ls`` is read first: it says from which folder the files came, and which files there are that the
dataset has no column for. The file is opened read-only and never changed, so it is not opened as
one of our own databases, which begin by switching the journal's mode.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from branchline.environment.spec.names import ALL, FOLDERS
from branchline.environment.spec.tree import MAX_FILE, MAX_LOCK_FILE, Tree
from branchline.foundation.decoding import decode_json
from branchline.foundation.errors import Refused, Unavailable

MAX_LISTING = 16 << 20
"""The most bytes of a repository's listing; a longer one is taken as missing."""

MAX_VALUE = 256 << 20
"""The most bytes of any one value; a file with a longer one is refused."""

_COLUMNS = {
    "runtime": ("runtime.txt",),
    "apt": ("apt.txt",),
    "conda": ("environment.yml",),
    "pip": ("requirements.txt",),
    "pipfile": ("Pipfile.lock", "Pipfile"),
    "julia": ("Project.toml", "REQUIRE"),
    "r": ("install.R",),
    "nix": ("default.nix",),
    "docker": ("Dockerfile",),
    "setup": ("setup.py",),
    "postbuild": ("postBuild",),
    "start": ("start",),
}
"""Each column, and the files it may hold: the first of them that is there."""

_YEAR = "substr(timestamp, 1, 4)"
_HAS_YEAR = f"{_YEAR} GLOB '[0-9][0-9][0-9][0-9]'"

# These had no effect in the dataset's time, or only on the version of the server's Python.
_NO_MATTER = frozenset(("pyproject.toml", "requirements3.txt"))

_FILES = tuple(_COLUMNS.values())
_ROOT_ALONE = frozenset(("setup.py", "DESCRIPTION"))
_NONE: frozenset[str] = frozenset()


class Row(msgspec.Struct, frozen=True):
    """One environment of the dataset.

    Args:
        tree: Its spec files.
        faults: Why a file's content is not in the tree, though the file is there, by its name.
        years: Launches by year, as ``2019``; empty without events.
        clean: The dataset's own list of requirements for pip, as JSON; None where it has none.
    """

    tree: Tree
    faults: Mapping[str, str]
    years: dict[str, int]
    clean: bytes | None


class Dataset:
    """An opened dataset."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        tables = {_text(name) for (name,) in self._all("SELECT name FROM sqlite_master")}
        self.has_events = "events" in tables
        self.has_clean = "clean_specs" in tables
        if "spec_files" not in tables:
            raise _refused(path, "has no table spec_files")
        columns = {_text(row[1]) for row in self._all("PRAGMA table_info(spec_files)")}
        if absent := sorted({"ref", "ls", *_COLUMNS} - columns):
            raise _refused(path, f"has no column {absent[0]} in spec_files")

    def count(self) -> int:
        """Return how many environments there are."""
        return int(self._all("SELECT count(*) FROM spec_files")[0][0])

    def launches(self) -> dict[str, int]:
        """Return launches by year; those of repositories that are gone count, too."""
        if not self.has_events:
            return {}
        found = self._all(
            f"SELECT {_YEAR}, count(*) FROM events WHERE {_HAS_YEAR} GROUP BY 1 ORDER BY 1"
        )
        return {_text(year): int(number) for year, number in found}

    def rows(self) -> Iterator[Row]:
        """Yield every environment; a row that cannot be made sense of is yielded as an empty one.

        Raises:
            Refused: The file is damaged.
        """
        years = "NULL"
        if self.has_events:
            self._gather_years()
            years = "(SELECT group_concat(year || ':' || n) FROM launched l WHERE l.ref = s.ref)"
        clean, join = "NULL", ""
        if self.has_clean:
            clean, join = "c.pip_packages", "LEFT JOIN clean_specs c ON c.ref = s.ref"
        limit = {"pipfile": MAX_LOCK_FILE}
        files = ", ".join(_bounded(name, limit.get(name, MAX_FILE)) for name in _COLUMNS)
        query = (
            f"SELECT {_bounded('ls', MAX_LISTING)}, {years}, {clean}, {files} "
            f"FROM spec_files s {join}"
        )
        cursor = self._run(query)
        while batch := self._guarded(lambda: cursor.fetchmany(500)):
            for row in batch:
                yield _row(row)

    def _gather_years(self) -> None:
        """Count launches by commit and year once, on disk rather than in memory."""
        self._run("PRAGMA temp_store = FILE")
        self._run(
            "CREATE TEMP TABLE launched (ref, year, n, PRIMARY KEY (ref, year)) WITHOUT ROWID"
        )
        self._run(
            f"INSERT INTO launched SELECT coalesce(ref, guessed_ref), {_YEAR}, count(*) "
            f"FROM events WHERE {_HAS_YEAR} AND coalesce(ref, guessed_ref) IS NOT NULL GROUP BY 1, 2"
        )

    def _all(self, query: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._guarded(
            lambda: self._connection.execute(query).fetchall()
        )
        return found

    def _run(self, query: str) -> sqlite3.Cursor:
        cursor: sqlite3.Cursor = self._guarded(lambda: self._connection.execute(query))
        return cursor

    def _guarded(self, act: Any) -> Any:
        try:
            return act()
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "full" in str(error):
                raise Unavailable(f"{self.path} cannot be read now: {error}") from error
            raise _refused(self.path, f"is not the Binder dataset: {error}") from error
        except sqlite3.DatabaseError as error:
            raise _refused(self.path, f"is not a whole SQLite file: {error}") from error


@contextmanager
def open_dataset(path: Path) -> Iterator[Dataset]:
    """Open a dataset read-only.

    Raises:
        Refused: It is no SQLite file, or has not the dataset's tables.
    """
    where = f"file:{quote(str(path.resolve()))}?mode=ro"
    try:
        connection = sqlite3.connect(where, uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise _refused(path, f"cannot be opened: {error}") from error
    with closing(connection):
        connection.text_factory = bytes
        # Nothing that a foreign file says about itself may call a function.
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
        yield Dataset(path, connection)


def is_database(path: Path) -> bool:
    """Tell whether a file begins as SQLite files do."""
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def _bounded(name: str, limit: int) -> str:
    return f"CASE WHEN length(s.{name}) > {limit} THEN length(s.{name}) ELSE s.{name} END"


def _row(row: tuple[Any, ...]) -> Row:
    listing, years, clean, *blobs = row
    root = _listing(listing)
    folders = [name for name in FOLDERS if name in root and _is_folder(root[name])]
    files: dict[str, bytes] = {}
    oversized: set[str] = set()
    there = root
    prefix = ""
    if folders:
        there = _listing(bytes(root[folders[0]]))
        prefix = f"{folders[0]}/"
    held: set[str] = set()
    for names, blob in zip(_FILES, blobs, strict=True):
        if blob is None:
            continue
        name = names[0] if len(names) == 1 else _chosen(names, there, blob)
        if isinstance(blob, int):
            oversized.add(name)
        else:
            held.add(name)
            files[prefix + name] = blob if isinstance(blob, bytes) else _bytes(blob)
    specs = ALL.intersection(there) | oversized
    stray = [name for name in specs if name in there and _is_folder(there[name])]
    absent = specs.difference(held, stray, _NO_MATTER)
    faults: dict[str, str] = {}
    if absent:
        if prefix:
            absent -= _ROOT_ALONE
        if "environment.yml" in specs:
            absent -= {"environment.yaml"}
        # An empty stand-in lets the right pack win, though nobody knows what it would have held.
        files.update({prefix + name: b"" for name in absent if name != "runtime.txt"})
        for name in absent:
            faults[name] = "too large" if name in oversized else "not in the dataset"
    where = frozenset((*folders, *(prefix + name for name in stray))) if folders or stray else _NONE
    return Row(Tree(files, where), faults, _years(years), _bytes_or_none(clean))


def _listing(data: Any) -> dict[str, msgspec.Raw]:
    """Return a folder's listing; empty where it is missing or none."""
    if not isinstance(data, (bytes, str)):
        return {}
    try:
        return decode_json(data, dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _is_folder(value: msgspec.Raw) -> bool:
    return bytes(value)[:1] == b"{"


def _bytes_or_none(value: Any) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _chosen(names: tuple[str, ...], there: Mapping[str, object], blob: Any) -> str:
    """Return which of two files a column holds: the first that is listed, or what it looks like."""
    for name in names:
        if name in there:
            return name
    begins = _bytes(blob).lstrip()[:1] if not isinstance(blob, int) else b""
    if names[0] == "Pipfile.lock":
        return names[0] if begins == b"{" else names[1]
    return names[0] if b"=" in _bytes(blob) else names[1]


def _years(text: Any) -> dict[str, int]:
    if text is None:
        return {}
    pairs = (part.split(":") for part in _text(text).split(","))
    return {year: int(number) for year, number in pairs}


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _refused(path: Path, why: str) -> Refused:
    return Refused(
        f"{path} {why}",
        advice="Give the dataset's SQLite file, with its table spec_files, or a folder",
    )
