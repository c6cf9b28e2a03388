"""What the hub keeps in central's database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, update

from branchline.central.hub import tables
from branchline.central.hub.rights import Standing, unknown
from branchline.foundation.database import reading
from branchline.foundation.errors import Conflict
from branchline.journey.acts import Role, Visibility
from branchline.project.activity.record import Signed

_HOSTED, _ROLES, _CLONES, _RECORDS = tables.hosted, tables.roles, tables.clones, tables.records


class HubStore:
    """Hosted projects and what belongs to them.

    Args:
        engine: Central's database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        tables.metadata.create_all(engine)

    # Projects

    def add(self, connection: Connection, made: Standing, position: int) -> None:
        """Keep a new hosted project and its owner; inside the caller's transaction.

        Raises:
            Conflict: The owner has one of this name, or this identifier is taken.
        """
        same = (_HOSTED.c.owner == made.owner) & (_HOSTED.c.name == made.name)
        if connection.execute(select(_HOSTED.c.id).where(same)).first():
            raise Conflict(
                f"{made.owner} has a project named {made.name!r} here already",
                advice="Choose another --name",
            )
        if connection.execute(select(_HOSTED.c.id).where(_HOSTED.c.id == made.hosted)).first():
            raise Conflict("A project is hosted under this identifier already")
        connection.execute(
            insert(_HOSTED).values(
                id=made.hosted,
                project=made.project,
                owner=made.owner,
                name=made.name,
                visibility=made.visibility,
                source=made.source,
                annex=made.annex,
                position=position,
            )
        )
        self.set_role(connection, made.hosted, made.owner, "own")

    def show(self, connection: Connection, hosted: str, visibility: Visibility) -> None:
        """Say who may read; inside the caller's transaction."""
        at = _HOSTED.c.id == hosted
        connection.execute(update(_HOSTED).where(at).values(visibility=visibility))

    def set_role(self, connection: Connection, hosted: str, party: str, role: Role | None) -> None:
        """Give a party a role, or none; inside the caller's transaction."""
        at = (_ROLES.c.hosted == hosted) & (_ROLES.c.party == party)
        connection.execute(delete(_ROLES).where(at))
        if role is not None:
            connection.execute(insert(_ROLES).values(hosted=hosted, party=party, role=role))

    def forget(self, connection: Connection, hosted: str) -> None:
        """Let a hosted project be gone; its name is free again; inside the caller's transaction."""
        at = _HOSTED.c.id == hosted
        connection.execute(update(_HOSTED).where(at).values(name=None, visibility="private"))
        for table in (_ROLES, _CLONES, _RECORDS):
            connection.execute(delete(table).where(table.c.hosted == hosted))

    def standing(self, hosted: str, connection: Connection | None = None) -> Standing:
        """Return a hosted project.

        Raises:
            NotFound: There is none, or no more.
        """
        return self._one(_HOSTED.c.id == hosted, hosted, connection)

    def at(self, owner: str, name: str) -> Standing:
        """Return the hosted project of an owner and a name.

        Raises:
            NotFound: There is none.
        """
        here = (_HOSTED.c.owner == owner) & (_HOSTED.c.name == name)
        return self._one(here, f"{owner[:80]}/{name[:80]}", None)

    def all(self) -> list[Standing]:
        """Return every hosted project, by owner and name."""
        query = select(_HOSTED).where(_HOSTED.c.name.is_not(None))
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(_HOSTED.c.owner, _HOSTED.c.name)).all()
            roles = self._roles(connection, {row.id for row in rows})
        return [_standing(row, roles.get(row.id, {})) for row in rows]

    def _one(self, where: Any, shown: str, connection: Connection | None) -> Standing:
        if connection is None:
            with reading(self._engine) as own:
                return self._one(where, shown, own)
        row = connection.execute(select(_HOSTED).where(where, _HOSTED.c.name.is_not(None))).first()
        if row is None:
            raise unknown(shown)
        return _standing(row, self._roles(connection, {row.id}).get(row.id, {}))

    def _roles(self, connection: Connection, hosted: Collection[str]) -> dict[str, dict[str, Role]]:
        found: dict[str, dict[str, Role]] = {}
        query = select(_ROLES).order_by(_ROLES.c.party)
        if len(hosted) == 1:
            query = query.where(_ROLES.c.hosted == next(iter(hosted)))
        for row in connection.execute(query):
            found.setdefault(row.hosted, {})[row.party] = row.role
        return found

    # Clones and records

    def clones(self, hosted: str) -> dict[str, str]:
        """Return whose each repository is that git-annex's branch tells of."""
        query = select(_CLONES).where(_CLONES.c.hosted == hosted)
        with reading(self._engine) as connection:
            return {row.clone: row.party for row in connection.execute(query)}

    def claim(self, connection: Connection, hosted: str, clones: Iterable[str], party: str) -> None:
        """Note whose repositories these are, now that they are first told of.

        Raises:
            Conflict: One is another one's by now.
        """
        for clone in clones:
            at = (_CLONES.c.hosted == hosted) & (_CLONES.c.clone == clone)
            row = connection.execute(select(_CLONES).where(at)).first()
            if row is None:
                connection.execute(insert(_CLONES).values(hosted=hosted, clone=clone, party=party))
            elif row.party != party:
                raise Conflict(
                    f"The repository {clone} is {row.party}'s", advice="Pull, and push again"
                )

    def chains(self, hosted: str, clones: Collection[str]) -> dict[str, dict[int, Any]]:
        """Return what is known of clones' records of activity: by number, its name and its key."""
        found: dict[str, dict[int, Any]] = {clone: {} for clone in clones}
        with reading(self._engine) as connection:
            for clone in clones:
                at = (_RECORDS.c.hosted == hosted) & (_RECORDS.c.clone == clone)
                for row in connection.execute(select(_RECORDS).where(at)):
                    found[clone][row.seq] = row
        return found

    def copy_known(self, connection: Connection, source: str, made: str) -> None:
        """Have a copy know whose repositories and which records the original knows."""
        for table in (_CLONES, _RECORDS):
            for row in connection.execute(select(table).where(table.c.hosted == source)).all():
                connection.execute(insert(table).values(**dict(row._mapping) | {"hosted": made}))

    def keep_records(self, connection: Connection, hosted: str, records: Iterable[Signed]) -> None:
        """Note records that came; those that are known already change nothing."""
        for signed in records:
            record = signed.record
            at = (
                (_RECORDS.c.hosted == hosted)
                & (_RECORDS.c.clone == record.clone)
                & (_RECORDS.c.seq == record.seq)
            )
            if connection.execute(select(_RECORDS.c.seq).where(at)).first() is None:
                connection.execute(
                    insert(_RECORDS).values(
                        hosted=hosted,
                        clone=record.clone,
                        seq=record.seq,
                        digest=signed.digest,
                        key=record.by.key,
                        at=record.at,
                    )
                )


def _standing(row: Any, roles: Mapping[str, Role]) -> Standing:
    return Standing(
        hosted=row.id,
        project=row.project,
        owner=row.owner,
        name=row.name,
        visibility=row.visibility,
        annex=row.annex,
        source=row.source,
        roles=roles,
    )
