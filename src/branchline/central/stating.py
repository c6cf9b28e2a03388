"""Stating: central says in the ledger which tags are in it, and shows light readers what they ask.

It runs beside everything else and nothing waits for it: acts are taken in and checkpoints signed
as if it were not there. A statement is entered like an act, by the same journal. A crash before it
is durable leaves nothing; one after it leaves a statement that the next start finds.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from branchline.central.journal import Journal
from branchline.central.receipts import Receipts
from branchline.central.witnessing import Witnessing
from branchline.foundation.errors import BranchlineError, Conflict, NotFound
from branchline.foundation.tasks import in_thread
from branchline.ledger.entry import Entry
from branchline.ledger.keeper import TagKeeper, check_reach
from branchline.ledger.light import LightProof, LightWanted, Stated, shown_entry
from branchline.ledger.log import Log
from branchline.ledger.tiles import TILE_WIDTH

log = logging.getLogger("branchline.central")

_AGAIN = 60.0
"""Seconds after which a statement is tried again that could not be entered."""


class Stating:
    """State the ledger's tag tree as it grows, and answer light readers.

    Args:
        keeper: Makes the trees.
        ledger: The log.
        journal: Makes statements durable.
        receipts: Tells of every new checkpoint.
        witnessing: Proves by what witnesses vouched for.
    """

    def __init__(
        self,
        keeper: TagKeeper,
        ledger: Log,
        journal: Journal,
        receipts: Receipts,
        witnessing: Witnessing,
    ) -> None:
        self._keeper, self._ledger, self._journal = keeper, ledger, journal
        self._receipts, self._witnessing = receipts, witnessing

    async def run(self) -> None:
        """State what is due after every checkpoint, for as long as central runs."""
        while True:
            news, patience = self._receipts.integrated, None
            try:
                statement = await in_thread(self._keeper.due)
                if statement is not None:
                    await self._enter(statement)
                patience = self._keeper.rest or None
            except (BranchlineError, OSError, SQLAlchemyError) as error:
                log.error("the ledger's tags cannot be stated now: %s", error)
                patience = _AGAIN
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), patience)

    async def answer(self, wanted: LightWanted) -> LightProof:
        """Show a light reader which entries bear some tags, and that no others do.

        Raises:
            Refused: Something asked for is no tag.
            NotFound: No tag tree is stated yet.
            Unavailable: No checkpoint covers the statement yet.
        """
        wanted.check()
        stated = self._keeper.stated
        if stated is None:
            raise NotFound(
                "This ledger states no tag tree yet",
                advice=f"It does from {TILE_WIDTH} entries on: until then read it whole, without "
                "--light",
            )
        return await in_thread(lambda: self._proof(stated, wanted))

    async def _enter(self, statement: Entry) -> None:
        covered = self._keeper.covered

        def work(connection: Connection) -> int:
            position = self._ledger.append(connection, statement.leaf)
            check_reach(position, covered)
            return position

        try:
            position = await self._journal.commit(work)
        except Conflict:
            # Everybody can compute the statements' tags, so anybody enrolled can occupy one.
            log.warning("the tag of a statement over %s entries is taken already", covered)
            self._keeper.passed_over()
            return
        self._keeper.entered(position)
        self._receipts.wanted()

    def _proof(self, stated: Stated, wanted: LightWanted) -> LightProof:
        tags, positions = stated.prove(wanted.tags)
        receipts = self._witnessing.proven([stated.position, *positions])
        statement, *entries = (
            shown_entry(each, self._ledger.leaf(each.index)) for each in receipts
        )
        note = receipts[0].checkpoint
        return LightProof(note, stated.head, statement, tags.data, tuple(entries))
