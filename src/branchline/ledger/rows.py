"""The order of entries: one SQL table, positions dense from 0; and whose tag is whose."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
)

from branchline.foundation.database import reading
from branchline.foundation.errors import Conflict, Corrupt

metadata = MetaData()
ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("leaf", LargeBinary, nullable=False),
)
ledger_tags = Table(
    "ledger_tags",
    metadata,
    Column("tag", String(32), primary_key=True),
    Column("position", Integer, nullable=False),
)

ledger_cosigned = Table(
    "ledger_cosigned",
    metadata,
    Column("size", Integer, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
)

_count = select(func.coalesce(func.max(ledger_entries.c.position) + 1, 0))
_append = insert(ledger_entries)
_tag = insert(ledger_tags)
_tagged = select(ledger_tags.c.tag, ledger_tags.c.position).where(
    ledger_tags.c.tag.in_(bindparam("tags", expanding=True))
)
_from = (
    select(ledger_entries.c.position, ledger_entries.c.leaf)
    .where(ledger_entries.c.position >= bindparam("first"))
    .order_by(ledger_entries.c.position)
    .limit(bindparam("most"))
)
_MOST_TAGS = 500
"""Tags looked up at once; databases limit how many values a statement binds."""


def count_rows(connection: Connection) -> int:
    """Return how many leaves there are, the caller's own uncommitted ones included."""
    count: int = connection.execute(_count).scalar_one()
    return count


def append_rows(
    connection: Connection, leaves: Sequence[bytes], tags: Sequence[Collection[str]]
) -> range:
    """Store leaves at the next positions, within the caller's transaction.

    Args:
        connection: The caller's transaction.
        leaves: The leaves, at least one.
        tags: The tags of each.

    Raises:
        Conflict: A tag stands in the ledger already, or twice among these; nothing was stored.
    """
    flat = [tag for some in tags for tag in some]
    if flat:
        _check_free(connection, flat)
    first = count_rows(connection)
    positions = range(first, first + len(leaves))
    connection.execute(
        _append,
        [{"position": at, "leaf": leaf} for at, leaf in zip(positions, leaves, strict=True)],
    )
    if flat:
        pairs = zip(positions, tags, strict=True)
        connection.execute(
            _tag, [{"tag": tag, "position": at} for at, some in pairs for tag in some]
        )
    return positions


def find_tags(connection: Connection, tags: Sequence[str]) -> dict[str, int]:
    """Return those of these tags that stand in the ledger, each with its entry's position."""
    found: dict[str, int] = {}
    for at in range(0, len(tags), _MOST_TAGS):
        rows = connection.execute(_tagged, {"tags": list(tags[at : at + _MOST_TAGS])})
        found.update((tag, position) for tag, position in rows)
    return found


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


def keep_cosigned(connection: Connection, size: int, note: str) -> None:
    """Keep a checkpoint that a quorum cosigned, in place of the same with fewer cosignatures."""
    connection.execute(delete(ledger_cosigned).where(ledger_cosigned.c.size == size))
    connection.execute(insert(ledger_cosigned).values(size=size, note=note))


def latest_cosigned(connection: Connection) -> str | None:
    """Return the largest checkpoint that a quorum cosigned."""
    table = ledger_cosigned
    return connection.execute(select(table.c.note).order_by(table.c.size.desc()).limit(1)).scalar()


def cosigned_from(connection: Connection, size: int) -> str | None:
    """Return the smallest checkpoint of at least this size that a quorum cosigned."""
    table = ledger_cosigned
    least = select(table.c.note).where(table.c.size >= size).order_by(table.c.size).limit(1)
    return connection.execute(least).scalar()


def cosigned_before(connection: Connection, size: int, most: int) -> list[tuple[int, str]]:
    """Return cosigned checkpoints below a size with their sizes, the largest first."""
    table = ledger_cosigned
    below = select(table.c.size, table.c.note).where(table.c.size < size)
    rows = connection.execute(below.order_by(table.c.size.desc()).limit(most))
    return [(row.size, row.note) for row in rows]


def _check_free(connection: Connection, tags: Sequence[str]) -> None:
    taken = find_tags(connection, tags)
    seen: set[str] = set()
    for tag in tags:
        if tag in taken or tag in seen:
            raise Conflict(
                f"The tag {tag} stands in the ledger already",
                advice="Take the next number of the topic",
                detail={"tag": tag, "position": taken.get(tag)},
            )
        seen.add(tag)
