"""A small Binder launch dataset, made by the tests, with the published one's tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_COLUMNS = (
    "runtime",
    "apt",
    "conda",
    "pip",
    "pipfile",
    "julia",
    "r",
    "nix",
    "docker",
    "setup",
    "postbuild",
    "start",
)
SCHEMA = f"""
CREATE TABLE events (version INTEGER, timestamp TEXT, provider TEXT, spec TEXT, origin TEXT,
                     ref TEXT, guessed_ref TEXT);
CREATE INDEX events_timestamp ON events (timestamp);
CREATE TABLE spec_files (ref TEXT PRIMARY KEY, ls TEXT, {", ".join(f"{c} BLOB" for c in _COLUMNS)});
CREATE TABLE clean_specs (ref TEXT PRIMARY KEY, conda_channels TEXT, conda_packages TEXT,
                          pip_packages TEXT, apt_packages TEXT);
CREATE TABLE missing (ref TEXT PRIMARY KEY);
"""


@dataclass(frozen=True)
class Entry:
    """One environment.

    Args:
        blobs: Contents by column.
        listing: The repository's; a text is stored as it is, None as NULL.
        launches: Timestamps, each of one launch.
        guessed: Whether the launches name the commit as guessed.
        clean: The dataset's own list for pip.
    """

    blobs: Mapping[str, Any] = field(default_factory=dict)
    listing: Mapping[str, object] | str | None = None
    launches: Sequence[str] = ()
    guessed: bool = False
    clean: Sequence[str] | None = None


def write_dataset(path: Path, entries: Sequence[Entry], schema: str = SCHEMA) -> Path:
    """Write a dataset and return its path."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(schema)
        for number, entry in enumerate(entries):
            ref = f"{number:040x}"
            listing = entry.listing
            if listing is not None and not isinstance(listing, str):
                listing = json.dumps(listing)
            values = [ref, listing, *(entry.blobs.get(column) for column in _COLUMNS)]
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO spec_files VALUES ({marks})", values)
            for at in entry.launches:
                refs = (None, ref) if entry.guessed else (ref, None)
                event = (4, at, "GitHub", "1/it/main", "here", *refs)
                connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", event)
            if entry.clean is not None:
                row = (ref, None, None, json.dumps(entry.clean), None)
                connection.execute("INSERT INTO clean_specs VALUES (?, ?, ?, ?, ?)", row)
        connection.commit()
    return path
