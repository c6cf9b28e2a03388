"""SQL through SQLAlchemy: SQLite in WAL mode with full durability, or a server named by a URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from branchline.foundation.durable import make_folder


def open_database(where: str | Path) -> Engine:
    """Open a database: a path makes or opens an SQLite file, a URL names a server.

    SQLite is set so that a committed transaction survives a power cut (WAL, ``synchronous=FULL``),
    foreign keys hold, what is deleted is overwritten, and a second process waits up to ten seconds for the lock.
    """
    if isinstance(where, Path):
        make_folder(where.parent)
        where = f"sqlite:///{where}"
    engine = create_engine(where)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Read one consistent state of the database without keeping writers waiting."""
    with engine.connect() as connection:
        yield connection.execution_options(reading=True)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Write in one transaction: durable when the block ends, undone when it raises."""
    with engine.begin() as connection:
        yield connection


def compact(engine: Engine, *, rebuild: bool = False) -> bool:
    """Let nothing that was deleted or replaced stay in the files of an SQLite database.

    Deleted content is overwritten in the database at once (``secure_delete``); what is left of it
    stands in the write-ahead log, which this empties. Of a server's files nothing is known here.

    Args:
        engine: The database.
        rebuild: Write the whole database anew, for one that was written without overwriting.

    Returns:
        Whether it was done; false if others still read after ten seconds.
    """
    if engine.dialect.name != "sqlite":
        return True
    connection = engine.raw_connection()
    try:
        if rebuild:
            connection.cursor().execute("VACUUM")
        busy, *_ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.close()
    return not busy


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # SQLAlchemy begins transactions itself (see _begin_sqlite); the driver must not.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        "busy_timeout=10000",
        "cache_size=-4000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: two writers queue at the start instead of failing in the middle.
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
