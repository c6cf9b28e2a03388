"""Fields about people at central: encrypted wherever they are stored, and erased on their actor's word.

In the history an act stands without them. They lie in a table of their own, encrypted under a key
that is in no database; what the actor encrypted for others lies in another. An erasure deletes from
both, in the very transaction in which the act that asks for it becomes durable.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, delete, insert, select, update

from branchline.central import tables
from branchline.foundation.database import reading, writing
from branchline.foundation.decoding import decode_json
from branchline.foundation.errors import Conflict, NotAllowed, NotFound, Refused
from branchline.foundation.keys import kept_secret
from branchline.journey.acts import CLASSES, PEOPLE, EntryErased
from branchline.ledger.beside import Beside, decrypt_class, derive, encrypt_class, parse_beside
from branchline.ledger.entry import Entry

_KEY = b"bl/v1/central"
_BATCH = 500


class People:
    """What central keeps beside the history.

    Args:
        keys: The folder of central's keys; one for this is made there when it is first needed.
    """

    def __init__(self, keys: Path) -> None:
        self._file = keys / "people"

    def keep(
        self, connection: Connection, position: int, entry: Entry, beside: Beside | None
    ) -> Entry:
        """Keep what an act says of people and what lies beside it; return the rest of its entry.

        Inside the caller's transaction: an act is durable together with these.
        """
        rest, personal = CLASSES.parted(entry)
        connection.execute(
            insert(tables.beside).values(
                position=position, entry=entry.id, data=None if beside is None else beside.data
            )
        )
        if personal:
            data = encrypt_class(self._key(entry), entry, PEOPLE, personal)
            connection.execute(insert(tables.people).values(position=position, data=data))
        return rest

    def whole(self, entry: Entry, data: bytes | None) -> Entry:
        """Return an entry with its fields about people, unless they were erased.

        Raises:
            Corrupt: What was kept was changed.
        """
        if data is None:
            return entry
        texts = decrypt_class(self._key(entry), entry, PEOPLE, data)
        return Entry(entry.jws, (*entry.disclosures, *texts))

    def erase(
        self, connection: Connection, position: int, act: EntryErased, party: str
    ) -> str | None:
        """Delete an entry's fields about people; inside the transaction that stores the act.

        Args:
            connection: Of that transaction.
            position: Where the act that erases stands.
            act: The act.
            party: Who did it.

        Returns:
            The journey that the entry is about.

        Raises:
            NotFound: There is no such entry, or it says nothing of people.
            NotAllowed: Somebody else signed it.
            Refused: Fields of this class cannot be erased.
            Conflict: They were erased before, or the entry is about something else.
        """
        table = tables.acts
        found = connection.execute(
            select(table, tables.beside.c.data.label("beside"))
            .join(tables.beside, tables.beside.c.position == table.c.position)
            .where(tables.beside.c.entry == act.entry)
        ).first()
        if found is None:
            raise NotFound(f"No entry {act.entry} stands in the ledger")
        if found.party != party:
            raise NotAllowed(
                "Fields of an entry are erased by whoever signed it",
                advice=f"Ask {found.party} to erase them",
            )
        if act.part not in CLASSES.personal:
            raise Refused(
                f"The class {act.part!r} of an entry cannot be erased",
                advice=f"Only fields about people can: the class {PEOPLE!r}",
            )
        if (found.journey, found.study) != (act.journey, act.study):
            raise Conflict("The entry is about another journey or study than the erasure says")
        self._delete(connection, found)
        values = {"position": position, "entry": act.entry}
        connection.execute(insert(tables.erasures).values(values))
        journey: str | None = found.journey
        return journey

    def _delete(self, connection: Connection, found: Any) -> None:
        at = tables.erasures.c.entry == decode_json(found.entry, Entry).id
        if connection.execute(select(tables.erasures).where(at)).first() is not None:
            raise Conflict("These fields of the entry were erased before")
        here = tables.people.c.position == found.position
        if not connection.execute(delete(tables.people).where(here)).rowcount:
            raise NotFound(f"The entry has no fields of the class {PEOPLE!r}")
        if found.beside is not None:
            left = parse_beside(bytes(found.beside)).erased(PEOPLE).data
            row = tables.beside.c.position == found.position
            connection.execute(update(tables.beside).where(row).values(data=left))

    def part_older(self, engine: Engine) -> int:
        """Part what an earlier version kept in one piece; return how many acts there were."""
        table, parted = tables.acts, 0
        older = (
            select(table.c.position, table.c.entry)
            .outerjoin(tables.beside, tables.beside.c.position == table.c.position)
            .where(tables.beside.c.position.is_(None))
            .order_by(table.c.position)
            .limit(_BATCH)
        )
        while True:
            with reading(engine) as connection:
                rows = connection.execute(older).all()
            if not rows:
                return parted
            with writing(engine) as connection:
                for row in rows:
                    rest = self.keep(connection, row.position, decode_json(row.entry, Entry), None)
                    at = table.c.position == row.position
                    changed = msgspec.json.encode(rest)
                    connection.execute(update(table).where(at).values(entry=changed))
            parted += len(rows)

    @cached_property
    def _secret(self) -> bytes:
        return kept_secret(self._file)

    def _key(self, entry: Entry) -> bytes:
        return derive(self._secret, _KEY + hashlib.sha256(entry.leaf).digest())
