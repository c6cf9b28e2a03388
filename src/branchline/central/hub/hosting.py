"""Acts upon hosted projects: checked, recorded, and carried out."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

from sqlalchemy import Connection

from branchline.central.desk import Desk
from branchline.central.hub.contents import Contents
from branchline.central.hub.p2phttp import Servers
from branchline.central.hub.repositories import Repositories
from branchline.central.hub.rights import Standing, require
from branchline.central.hub.store import HubStore
from branchline.central.hub.tokens import Tokens
from branchline.central.store import Store
from branchline.foundation.errors import Conflict, NotAllowed, Refused
from branchline.foundation.http.api import Caller
from branchline.journey import acts, hosting
from branchline.journey.messages import Recorded
from branchline.ledger.beside import Beside
from branchline.ledger.entry import Entry

_Change = Callable[[Connection, int], None]


class Hub:
    """The hosted projects of one central service.

    Args:
        desk: Makes acts durable.
        parties: Who is enrolled.
        store: What is kept of hosted projects.
        repositories: Their git repositories.
        tokens: What git clients show.
        contents: Judges their content.
        servers: Git-annex, serving it.
    """

    def __init__(
        self,
        desk: Desk,
        parties: Store,
        store: HubStore,
        repositories: Repositories,
        tokens: Tokens,
        contents: Contents,
        servers: Servers,
    ) -> None:
        self.desk, self.store = desk, store
        self.repositories, self.tokens = repositories, tokens
        self.contents, self.servers = contents, servers
        self._parties = parties

    async def resume(self) -> None:
        """Finish what a crash left undone."""
        every = {each.hosted: each for each in self.store.all()}
        await asyncio.to_thread(self.repositories.sweep, set(every))
        for made in every.values():
            if made.source in every:
                await asyncio.to_thread(self.repositories.copy, every[made.source], made)

    async def close(self) -> None:
        """End what runs for it."""
        await self.servers.close()

    async def take(
        self, entry: Entry, act: acts.HostedAct, caller: Caller, beside: Beside | None
    ) -> Recorded:
        """Take an act upon a hosted project in; sent again, it has no second effect.

        Raises:
            NotFound: There is no such project, or not for this caller.
            NotAllowed: The caller may not do this.
            Conflict: It does not fit what there is.
            Refused: It is an act of central's own.
        """
        if caller.kind != "person":
            raise NotAllowed("Projects are hosted for persons", advice="Enrol as a person")
        if isinstance(act, acts.ProjectDeleted):
            return await self._delete(entry, act, caller, beside)
        change = self._change(act, caller)
        if isinstance(act, acts.ProjectShown | acts.ProjectCopied):
            about = act.source if isinstance(act, acts.ProjectCopied) else act.hosted
            shown = self._own(about, caller, "read")
            await asyncio.to_thread(self.contents.check_audience, shown, act.visibility)
        if not isinstance(act, acts.ProjectCopied):
            return await self.desk.record(entry, act, caller, change, beside)
        # What is known of the original, and its branches, are copied as they are at one moment.
        async with self.repositories.alone(act.source):
            recorded = await self.desk.record(entry, act, caller, change, beside)
            source, made = self.store.standing(act.source), self.store.standing(act.hosted)
            await asyncio.to_thread(self.repositories.copy, source, made)
        return recorded

    def _change(self, act: acts.HostedAct, caller: Caller) -> _Change:
        if isinstance(act, acts.ProjectPublished):
            made = _made(act, caller, act.project)
            return lambda connection, position: self.store.add(connection, made, position)
        if isinstance(act, acts.ProjectCopied):
            source = self._own(act.source, caller, "read")
            copy = _made(act, caller, source.project, act.source)

            def change(connection: Connection, position: int) -> None:
                self.store.add(connection, copy, position)
                self.store.copy_known(connection, source.hosted, copy.hosted)

            return change
        if isinstance(act, acts.ProjectShown):
            return self._shown(act, caller)
        if isinstance(act, acts.ProjectShared | acts.ProjectUnshared):
            return self._shared(act, caller)
        raise Refused("This act is central's own")

    def _shown(self, act: acts.ProjectShown, caller: Caller) -> _Change:
        def change(connection: Connection, _: int) -> None:
            self._own(act.hosted, caller, "own", connection)
            self.store.show(connection, act.hosted, act.visibility)

        return change

    def _shared(self, act: acts.ProjectShared | acts.ProjectUnshared, caller: Caller) -> _Change:
        def change(connection: Connection, _: int) -> None:
            leaves = isinstance(act, acts.ProjectUnshared) and act.party == caller.name
            standing = self._own(act.hosted, caller, "read" if leaves else "own", connection)
            if act.party == standing.owner:
                raise Conflict(
                    f"{standing.place} is {standing.owner}'s, who stays its owner",
                    advice="Somebody else can copy it with 'branchline hub copy'",
                )
            if isinstance(act, acts.ProjectUnshared):
                if act.party not in standing.roles:
                    raise Conflict(f"{act.party} is no collaborator of {standing.place}")
                self.store.set_role(connection, act.hosted, act.party, None)
                return
            if self._parties.party(act.party).kind != "person":
                raise Refused(f"{act.party} is no person", advice="Share with persons")
            self.store.set_role(connection, act.hosted, act.party, act.role)

        return change

    async def _delete(
        self, entry: Entry, act: acts.ProjectDeleted, caller: Caller, beside: Beside | None
    ) -> Recorded:
        async with self.repositories.alone(act.hosted):
            heads = await asyncio.to_thread(self.repositories.heads, act.hosted)

            def change(connection: Connection, _: int) -> None:
                self._own(act.hosted, caller, "own", connection)
                if hosting.digest_of_heads(heads) != act.heads:
                    raise Conflict(
                        "Something was pushed since you looked at it", advice="Look at it again"
                    )
                self.store.forget(connection, act.hosted)

            recorded = await self.desk.record(entry, act, caller, change, beside)
            await self.servers.stop(act.hosted)
            # Killed here, the folder goes at the next start.
            await asyncio.to_thread(self.repositories.remove, act.hosted)
        return recorded

    def _own(
        self,
        hosted: str,
        caller: Caller,
        needed: acts.Role,
        connection: Connection | None = None,
    ) -> Standing:
        standing = self.store.standing(hosted, connection)
        require(standing, caller.name, caller.kind, needed)
        return standing

    # Looking

    def view(self, standing: Standing, caller: Caller) -> hosting.HostedProject:
        """Return a hosted project as one party may see it.

        Raises:
            NotFound: It may not.
        """
        role = require(standing, caller.name, caller.kind, "read")
        among = caller.name in standing.roles
        return hosting.HostedProject(
            hosted=standing.hosted,
            project=standing.project,
            owner=standing.owner,
            name=standing.name,
            visibility=standing.visibility,
            role=role,
            collaborators=_collaborators(standing) if among else (),
            source=standing.source if among else "",
            annex=standing.annex,
            heads=self.repositories.heads(standing.hosted),
        )

    def listed(self, caller: Caller) -> list[hosting.HostedProject]:
        """Return the hosted projects that a party may read, without their branches."""
        found = []
        for each in self.store.all():
            role = each.role_of(caller.name, caller.kind)
            if role is not None:
                found.append(
                    hosting.HostedProject(
                        hosted=each.hosted,
                        project=each.project,
                        owner=each.owner,
                        name=each.name,
                        visibility=each.visibility,
                        role=role,
                    )
                )
        return found

    def token(
        self, standing: Standing, caller: Caller, wanted: hosting.Right | None
    ) -> hosting.Token:
        """Make a token for a party at a hosted project.

        Raises:
            NotFound, NotAllowed: It may not do that there.
        """
        role = require(standing, caller.name, caller.kind, wanted or "read")
        right: hosting.Right = wanted or ("read" if role == "read" else "write")
        token = self.tokens.make(caller, standing.hosted, right)
        return hosting.Token(
            token=token, right=right, seconds=int(self.tokens.life.total_seconds())
        )


def _made(
    act: acts.ProjectPublished | acts.ProjectCopied, caller: Caller, project: str, source: str = ""
) -> Standing:
    return Standing(
        hosted=act.hosted,
        project=project,
        owner=caller.name,
        name=act.name,
        visibility=act.visibility,
        annex=str(uuid.uuid4()),
        source=source,
    )


def _collaborators(standing: Standing) -> tuple[hosting.Collaborator, ...]:
    names = sorted(standing.roles, key=lambda name: (name != standing.owner, name))
    return tuple(hosting.Collaborator(name=n, role=standing.roles[n]) for n in names)
