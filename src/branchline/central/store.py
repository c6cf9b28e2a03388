"""What central keeps: acts in the ledger, and the parties, studies, trains and parcels they name."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection, Engine, delete, insert, select, update

from branchline.central import tables
from branchline.central.people import People
from branchline.foundation.blobs import FolderBlobs
from branchline.foundation.clock import parse_time, rfc3339
from branchline.foundation.database import open_database, reading, writing
from branchline.foundation.decoding import decode_json
from branchline.foundation.digest import Digest
from branchline.foundation.errors import (
    BranchlineError,
    Conflict,
    Corrupt,
    NotAllowed,
    NotFound,
    Unavailable,
)
from branchline.foundation.http.api import Caller
from branchline.foundation.keys import PublicKeys
from branchline.journey.acts import Act
from branchline.ledger.beside import Beside, parse_beside
from branchline.ledger.entry import Entry

if TYPE_CHECKING:
    from branchline.ledger.log import Log


_INCIDENTS_KEPT = 10_000
_ACTS = select(tables.acts, tables.people.c.data.label("people")).outerjoin_from(
    tables.acts, tables.people, tables.people.c.position == tables.acts.c.position
)


@dataclass(frozen=True)
class StoredAct:
    """An act as it stands in the history."""

    position: int
    party: str
    entry: Entry


@dataclass(frozen=True)
class Witness:
    """A party that cosigns the ledger.

    Args:
        party: Its name.
        vkey: The key it cosigns with, as a verifier key's text.
        entity: The legal entity that runs it; None for one of its own.
    """

    party: str
    vkey: str
    entity: str | None


class Store:
    """Central's database and folders.

    Args:
        folder: Central's data folder.
        database: SQLAlchemy URL of a server; None for SQLite in the folder.
    """

    def __init__(self, folder: Path, database: str | None = None) -> None:
        self.engine: Engine = open_database(database or folder / "central.sqlite")
        self.blobs = FolderBlobs(folder / "blobs")
        self.people = People(folder / "keys")
        tables.metadata.create_all(self.engine)
        self._callers: dict[str, Caller] = {}

    # Parties and invitations

    def caller(self, key_id: str) -> Caller | None:
        """Return the enrolled party of a key id."""
        if key_id not in self._callers:
            row = self._first(select(tables.parties).where(tables.parties.c.key_id == key_id))
            if row is None:
                return None
            self._callers[key_id] = _caller(row)
        return self._callers[key_id]

    def party(self, name: str) -> Caller:
        """Return the party of a name.

        Raises:
            NotFound: Nobody of that name is enrolled.
        """
        row = self._first(select(tables.parties).where(tables.parties.c.name == name))
        if row is None:
            raise NotFound(f"No party named {name!r} is enrolled here")
        return _caller(row)

    def parties(self) -> list[Caller]:
        """Return all enrolled parties, by name."""
        with reading(self.engine) as connection:
            rows = connection.execute(select(tables.parties).order_by("name")).all()
        return [_caller(row) for row in rows]

    def invite(self, token: str, name: str, kind: str, expires: datetime) -> None:
        """Keep an invitation by the digest of its token."""
        with writing(self.engine) as connection:
            if connection.execute(
                select(tables.parties).where(tables.parties.c.name == name)
            ).first():
                raise Conflict(f"A party named {name!r} is enrolled already")
            connection.execute(
                insert(tables.invitations).values(
                    token_digest=_token_digest(token),
                    name=name,
                    kind=kind,
                    expires=rfc3339(expires),
                )
            )

    def enrol(self, connection: Connection, token: str, caller: Caller, now: datetime) -> None:
        """Use an invitation up and keep the party; inside the caller's transaction.

        Raises:
            NotAllowed: Unknown, expired, used, or meant for somebody else.
            Conflict: The name is taken.
        """
        table = tables.invitations
        key = table.c.token_digest == _token_digest(token)
        row = connection.execute(select(table).where(key)).first()
        advice = "Ask the central operator for a new one"
        if row is None:
            raise NotAllowed("The invitation is not known here", advice=advice)
        if row.used_by is not None:
            raise NotAllowed("The invitation was used already", advice=advice)
        if parse_time(row.expires) < now:
            raise NotAllowed(f"The invitation expired at {row.expires}", advice=advice)
        if (row.name, row.kind) != (caller.name, caller.kind):
            raise NotAllowed(f"The invitation is for the {row.kind} {row.name!r}", advice=advice)
        taken = select(tables.parties).where(tables.parties.c.name == caller.name)
        if connection.execute(taken).first():
            raise Conflict(f"A party named {caller.name!r} is enrolled already")
        connection.execute(update(table).where(key).values(used_by=caller.keys.id))
        self.add_party(connection, caller)

    def add_party(self, connection: Connection, caller: Caller) -> None:
        """Keep a party; inside the caller's transaction."""
        connection.execute(
            insert(tables.parties).values(
                name=caller.name,
                kind=caller.kind,
                key_id=caller.keys.id,
                sign=caller.keys.sign,
                seal=caller.keys.seal,
            )
        )

    # Witnesses

    def add_witness(
        self, connection: Connection, party: str, vkey: str, entity: str | None
    ) -> None:
        """Keep the key with which a party cosigns the ledger; inside the caller's transaction.

        Raises:
            Conflict: Another party has that key.
        """
        table = tables.witnesses
        taken = select(table.c.party).where(table.c.vkey == vkey)
        if connection.execute(taken).first():
            raise Conflict("This witness key is another party's already")
        connection.execute(insert(table).values(party=party, vkey=vkey, entity=entity))

    def witness(self, party: str) -> Witness | None:
        """Return what a party announced of itself as a witness; None if it is none."""
        table = tables.witnesses
        row = self._first(select(table).where(table.c.party == party))
        return None if row is None else Witness(row.party, row.vkey, row.entity)

    def witnesses(self) -> list[Witness]:
        """Return all witnesses."""
        with reading(self.engine) as connection:
            rows = connection.execute(select(tables.witnesses)).all()
        return [Witness(row.party, row.vkey, row.entity) for row in rows]

    # Acts

    def append(
        self,
        connection: Connection,
        ledger: Log,
        entry: Entry,
        act: Act,
        party: str,
        beside: Beside | None = None,
    ) -> int:
        """Append an act to the ledger and the history; inside the caller's transaction.

        What lies beside its entry, and what it says of people, becomes durable with it.

        Raises:
            Conflict: A tag of it stands in the ledger already; ``detail`` says which and where.
            Unavailable: The ledger must not go on.
        """
        try:
            position = ledger.append(connection, entry.leaf)
        except (Conflict, Corrupt) as error:
            if "tag" in error.detail:
                raise self._taken(connection, error, party) from error
            raise Unavailable(error.refused, advice=error.advice) from error
        rest = self.people.keep(connection, position, entry, beside)
        connection.execute(
            insert(tables.acts).values(
                position=position,
                id=act.id,
                kind=str(type(act).__struct_config__.tag),
                party=party,
                journey=getattr(act, "journey", None),
                study=getattr(act, "study", None),
                entry=msgspec.json.encode(rest),
            )
        )
        return position

    def _taken(self, connection: Connection, error: BranchlineError, party: str) -> Conflict:
        """Say whose a tag is that stands in the ledger already."""
        at = tables.acts.c.position == error.detail.get("position")
        row = connection.execute(select(tables.acts.c.party).where(at)).first()
        whose = "" if row is None or row.party == party else f", put there by {row.party}"
        return Conflict(f"{error.refused}{whose}", advice=error.advice, detail=error.detail)

    def known(self, connection: Connection, act_id: str) -> StoredAct | None:
        """Return the act of an id if it was recorded before."""
        row = connection.execute(_ACTS.where(tables.acts.c.id == act_id)).first()
        return None if row is None else self._stored(row)

    def position(self, act_id: str) -> int:
        """Return where an act stands in the ledger.

        Raises:
            NotFound: No such act was recorded.
        """
        row = self._first(select(tables.acts.c.position).where(tables.acts.c.id == act_id))
        if row is None:
            raise NotFound(f"No act {act_id} was recorded here")
        return int(row.position)

    def acts(self, **where: Any) -> list[StoredAct]:
        """Return the acts of a journey or study, in order; erased fields are not among theirs."""
        query = _ACTS.order_by(tables.acts.c.position)
        for column, value in where.items():
            query = query.where(tables.acts.c[column] == value)
        with reading(self.engine) as connection:
            return [self._stored(row) for row in connection.execute(query)]

    def _stored(self, row: Any) -> StoredAct:
        entry = self.people.whole(decode_json(row.entry, Entry), row.people)
        return StoredAct(row.position, row.party, entry)

    # What lies beside, and what was erased

    def beside(self, entries: Collection[str]) -> dict[Digest, Beside]:
        """Return what lies beside entries, of those of which anything does, by their digests."""
        table = tables.beside
        query = select(table).where(table.c.entry.in_(entries), table.c.data.is_not(None))
        with reading(self.engine) as connection:
            rows = connection.execute(query).all()
        return {row.entry: parse_beside(bytes(row.data)) for row in rows}

    def erasures(self, first: int = 0, most: int | None = None) -> list[StoredAct]:
        """Return the acts by which fields were erased, in order.

        Args:
            first: Only those from this position on.
            most: How many at most; None for all.
        """
        at = tables.erasures.c.position
        query = _ACTS.join(tables.erasures, at == tables.acts.c.position).where(at >= first)
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(at).limit(most)).all()
        return [self._stored(row) for row in rows]

    def erased(self) -> set[Digest]:
        """Return the entries whose fields about people were erased."""
        with reading(self.engine) as connection:
            return {row.entry for row in connection.execute(select(tables.erasures))}

    def journeys(self) -> list[str]:
        """Return the ids of all journeys."""
        with reading(self.engine) as connection:
            return [row.id for row in connection.execute(select(tables.journeys.c.id))]

    def open_journeys(self) -> list[str]:
        """Return the ids of all journeys that anybody still has something to do for."""
        table = tables.journeys
        with reading(self.engine) as connection:
            query = select(table.c.id).where(table.c.finished == 0)
            return [row.id for row in connection.execute(query)]

    def lately_finished(self, most: int) -> list[str]:
        """Return the ids of finished journeys that the newest acts speak of.

        Args:
            most: How many acts count as the newest.
        """
        acts_, table = tables.acts, tables.journeys
        newest = select(acts_.c.journey).order_by(acts_.c.position.desc()).limit(most).subquery()
        query = select(table.c.id).where(table.c.finished == 1, table.c.id.in_(select(newest)))
        with reading(self.engine) as connection:
            return [row.id for row in connection.execute(query)]

    def journeys_of(self, requester: str, most: int) -> list[str]:
        """Return the ids of a requester's newest journeys, newest first."""
        acts_, table = tables.acts, tables.journeys
        query = (
            select(table.c.id)
            .join(acts_, (acts_.c.journey == table.c.id) & (acts_.c.kind == "journey.requested"))
            .where(table.c.requester == requester)
            .order_by(acts_.c.position.desc())
            .limit(most)
        )
        with reading(self.engine) as connection:
            return [row.id for row in connection.execute(query)]

    def begin_journey(self, connection: Connection, journey: str, requester: str) -> None:
        """Note a new journey; inside the caller's transaction."""
        connection.execute(
            insert(tables.journeys).values(id=journey, requester=requester, finished=0)
        )

    def finish_journey(self, connection: Connection, journey: str) -> None:
        """Note that nobody has anything left to do for a journey; in the caller's transaction."""
        table = tables.journeys
        connection.execute(update(table).where(table.c.id == journey).values(finished=1))

    # Studies and trains

    def add_study(
        self, connection: Connection, digest: Digest, name: str, document: bytes, position: int
    ) -> None:
        """Keep a study's revision; inside the caller's transaction."""
        connection.execute(
            insert(tables.studies).values(
                digest=digest, name=name, document=document, position=position
            )
        )

    def study(self, name: str) -> bytes:
        """Return the newest revision of a study.

        Raises:
            NotFound: There is no study of that name.
        """
        table = tables.studies
        row = self._first(
            select(table).where(table.c.name == name).order_by(table.c.position.desc())
        )
        if row is None:
            raise NotFound(f"No study named {name!r} is known here")
        return bytes(row.document)

    def study_revision(self, digest: str) -> bytes:
        """Return one revision of a study.

        Raises:
            NotFound: It was never put forward here.
        """
        row = self._first(select(tables.studies).where(tables.studies.c.digest == digest))
        if row is None:
            raise NotFound(f"No study {digest} is known here")
        return bytes(row.document)

    def revisions(self) -> list[bytes]:
        """Return every revision of every study, oldest first."""
        query = select(tables.studies.c.document).order_by(tables.studies.c.position)
        with reading(self.engine) as connection:
            return [bytes(row.document) for row in connection.execute(query)]

    def studies(self) -> list[str]:
        """Return the names of all studies."""
        query = select(tables.studies.c.name).distinct().order_by(tables.studies.c.name)
        with reading(self.engine) as connection:
            return [row.name for row in connection.execute(query)]

    def add_train(self, connection: Connection, digest: Digest, author: str, party: str) -> None:
        """Keep a bundle's signature; inside the caller's transaction."""
        known = select(tables.trains).where(tables.trains.c.digest == digest)
        if connection.execute(known).first() is None:
            connection.execute(
                insert(tables.trains).values(digest=digest, author=author, party=party)
            )

    def has_train(self, digest: str) -> bool:
        """Tell whether a bundle was sent here."""
        query = select(tables.trains).where(tables.trains.c.digest == digest)
        return self._first(query) is not None

    # Parcels

    def add_parcel(
        self, connection: Connection, digest: Digest, party: str, size: int, data: bytes | None
    ) -> None:
        """Keep a parcel (its bytes only when they are few); inside the caller's transaction."""
        known = select(tables.parcels.c.digest).where(tables.parcels.c.digest == digest)
        if connection.execute(known).first() is None:
            connection.execute(
                insert(tables.parcels).values(digest=digest, party=party, size=size, data=data)
            )

    def has_parcel(self, connection: Connection, digest: Digest, party: str) -> bool:
        """Tell whether a party has brought a parcel."""
        table = tables.parcels
        query = select(table.c.digest).where(table.c.digest == digest, table.c.party == party)
        return connection.execute(query).first() is not None

    def parcel(self, digest: Digest) -> bytes:
        """Return a parcel's bytes.

        Raises:
            NotFound: No such parcel was brought.
            Corrupt: Its bytes on disk have changed.
        """
        small = self.small_parcel(digest)
        return small if small is not None else self.blobs.get(digest)

    def small_parcel(self, digest: Digest) -> bytes | None:
        """Return a parcel's bytes if they are few enough to be kept in the database."""
        table = tables.parcels
        row = self._first(select(table.c.data).where(table.c.digest == digest))
        if row is None:
            raise NotFound(f"No parcel {digest} was brought here")
        return None if row.data is None else bytes(row.data)

    # Incidents

    def record_incident(self, at: datetime, path: str, key_id: str, sentence: str) -> None:
        """Keep a refused request for the operator to see."""
        with writing(self.engine) as connection:
            number = connection.execute(
                insert(tables.incidents).values(
                    at=rfc3339(at), path=path, key_id=key_id, sentence=sentence[:500]
                )
            ).inserted_primary_key
            assert number is not None
            oldest = number[0] - _INCIDENTS_KEPT
            connection.execute(delete(tables.incidents).where(tables.incidents.c.id <= oldest))

    def incidents(self) -> Iterator[dict[str, str]]:
        """Return the refused requests, oldest first."""
        with reading(self.engine) as connection:
            for row in connection.execute(select(tables.incidents).order_by("id")):
                yield {
                    "at": row.at,
                    "path": row.path,
                    "key_id": row.key_id,
                    "sentence": row.sentence,
                }

    def _first(self, query: Any) -> Any:
        with reading(self.engine) as connection:
            return connection.execute(query).first()


def _caller(row: Any) -> Caller:
    return Caller(row.name, row.kind, PublicKeys(sign=row.sign, seal=row.seal))


def _token_digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
