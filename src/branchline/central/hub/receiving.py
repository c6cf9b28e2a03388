"""Let a push in, or say why not: judged as a whole, recorded, then git moves the branches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from branchline.central.hub.door import Visitor
from branchline.central.hub.hosting import Hub
from branchline.central.hub.judging import Change, Judgement, Judging, check_stays
from branchline.central.hub.quarantine import Quarantined
from branchline.central.hub.rights import Standing
from branchline.foundation.errors import Refused
from branchline.foundation.ids import new_id
from branchline.journey import acts
from branchline.project.git.command import Git

_MOST_CHANGES = 500


@dataclass(frozen=True)
class Question:
    """What git's hook asks.

    Args:
        quarantine: Where what was pushed is, as long as it is apart.
        changes: Which branches are to end where.
    """

    quarantine: str
    changes: Sequence[Change]

    @classmethod
    def read(cls, lines: Sequence[str]) -> Question:
        """Read the hook's lines: a folder, and git's own."""
        changes = []
        for line in lines[1:]:
            old, new, ref = line.split(" ", 2)
            changes.append(Change(old, new, ref))
        return cls(lines[0], changes)


class Receiving:
    """Judges what is pushed to hosted projects.

    Args:
        hub: The hosted projects.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def let_in(self, standing: Standing, visitor: Visitor, question: Question) -> None:
        """Put a push on the ledger once it is judged; afterwards git moves the branches.

        Raises:
            BranchlineError: It may not come in; nothing changed.
        """
        if len(question.changes) > _MOST_CHANGES:
            raise Refused(f"At most {_MOST_CHANGES} branches are taken in at once")
        judged = await asyncio.to_thread(self._judge, standing, visitor, question)
        await self._hub.desk.own_record(
            acts.ProjectReceived(
                id=new_id("act"),
                at=self._hub.desk.now(),
                hosted=standing.hosted,
                party=visitor.name,
                changes={each.ref: (each.old, each.new) for each in question.changes},
            ),
            lambda connection, _: self._keep(connection, standing, visitor, judged),
        )
        await asyncio.to_thread(self._begin_with, standing, question)

    def _judge(self, standing: Standing, visitor: Visitor, question: Question) -> Judgement:
        place = self._hub.repositories.path(standing.hosted)
        for change in question.changes:
            # Git keeps nothing apart where nothing comes.
            check_stays(change)
        judging = Judging(
            git=Quarantined(place, Path(question.quarantine)),
            standing=standing,
            visitor=visitor,
            store=self._hub.store,
            contents=self._hub.contents,
            present=lambda key: self._hub.repositories.has_content(standing.hosted, key),
            now=self._hub.desk.time(),
            source=self._source(standing),
        )
        return judging.judge(question.changes)

    def _source(self, standing: Standing) -> Git | None:
        there = standing.source and self._hub.repositories.path(standing.source).is_dir()
        return self._hub.repositories.git(standing.source) if there else None

    def _keep(
        self, connection: Connection, standing: Standing, visitor: Visitor, judged: Judgement
    ) -> None:
        self._hub.store.claim(connection, standing.hosted, judged.clones, visitor.name)
        self._hub.store.keep_records(connection, standing.hosted, judged.records)

    def _begin_with(self, standing: Standing, question: Question) -> None:
        """Have a clone begin with a branch that there is, where the usual one never came."""
        git = self._hub.repositories.git(standing.hosted)
        if self._hub.repositories.heads(standing.hosted):
            return
        names = [each.ref for each in question.changes if each.is_work]
        usual = [name for name in names if name in ("refs/heads/main", "refs/heads/master")]
        if names:
            git.run("symbolic-ref", "HEAD", (usual or names)[0])
