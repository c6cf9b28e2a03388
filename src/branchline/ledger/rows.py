"""The order of entries: one SQL table, positions dense from 0."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    bindparam,
    func,
    insert,
    select,
)

from branchline.foundation.database import reading
from branchline.foundation.errors import Corrupt

metadata = MetaData()
ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("leaf", LargeBinary, nullable=False),
)

_next_position = select(func.coalesce(func.max(ledger_entries.c.position) + 1, 0))
_append = (
    insert(ledger_entries)
    .values(position=_next_position.scalar_subquery(), leaf=bindparam("leaf"))
    .returning(ledger_entries.c.position)
)
_from = (
    select(ledger_entries.c.position, ledger_entries.c.leaf)
    .where(ledger_entries.c.position >= bindparam("first"))
    .order_by(ledger_entries.c.position)
    .limit(bindparam("most"))
)


def append_row(connection: Connection, leaf: bytes) -> int:
    """Store a leaf at the next position, within the caller's transaction."""
    position: int = connection.execute(_append, {"leaf": leaf}).scalar_one()
    return position


def read_rows(engine: Engine, first: int, most: int) -> list[bytes]:
    """Return committed leaves from a position on.

    Raises:
        Corrupt: A position is missing though later ones are there.
    """
    with reading(engine) as connection:
        rows = connection.execute(_from, {"first": first, "most": most}).all()
    for expected, (position, _) in enumerate(rows, first):
        if position != expected:
            raise Corrupt(
                f"The database has no row {expected} of the ledger, but later ones",
                advice="Restore the database from a backup",
                detail={"position": expected},
            )
    return [leaf for _, leaf in rows]
