"""Receipts: new entries are brought into the ledger's files, and whoever needs a proof waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from branchline.foundation.errors import BranchlineError, Unavailable
from branchline.foundation.tasks import in_thread
from branchline.ledger.log import Log

log = logging.getLogger("branchline.central")

_PATIENCE = 30.0
_COALESCE = 0.1
"""Seconds during which new entries are gathered while nobody waits for a receipt."""


class Receipts:
    """Integrate entries as they come, many at a time, and hand out receipts.

    Args:
        ledger: The log of entries.
    """

    def __init__(self, ledger: Log) -> None:
        self._ledger = ledger
        self._dirty = asyncio.Event()
        self._integrated = asyncio.Event()
        self._awaited = asyncio.Event()

    def wanted(self) -> None:
        """Note that there are new entries."""
        self._dirty.set()

    async def keep_integrated(self) -> None:
        """Bring new entries into the files and sign checkpoints, for as long as central runs."""
        while True:
            await self._dirty.wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._awaited.wait(), _COALESCE)
            self._dirty.clear()
            self._awaited.clear()
            try:
                await in_thread(self._ledger.integrate)
            except (BranchlineError, OSError) as error:
                # A full disk: entries are durable in the database, receipts wait. Or the ledger
                # must not go on, since a witness has shown that it is not what it was.
                log.error("the ledger cannot be integrated now: %s", error)
                await asyncio.sleep(1.0 if isinstance(error, Unavailable | OSError) else 10.0)
                self._dirty.set()
                continue
            done, self._integrated = self._integrated, asyncio.Event()
            done.set()

    @property
    def integrated(self) -> asyncio.Event:
        """What is set when the next checkpoint is there."""
        return self._integrated

    async def cover(self, size: int) -> None:
        """Wait until a checkpoint covers so many entries.

        Raises:
            Unavailable: None did in time.
        """
        await self.at_one_checkpoint([size - 1])

    async def of(self, position: int) -> str:
        """Return an entry's receipt, waiting until a checkpoint covers it.

        Raises:
            Unavailable: No checkpoint covered it in time.
        """
        return (await self.at_one_checkpoint([position]))[0]

    async def at_one_checkpoint(self, positions: Sequence[int]) -> list[str]:
        """Return the receipts of several entries at one and the same checkpoint.

        Raises:
            Unavailable: No checkpoint covered them in time.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE
        while True:
            integrated = self._integrated
            try:
                return [receipt.text for receipt in self._ledger.prove_many(positions)]
            except Unavailable:
                if loop.time() > deadline:
                    raise
            self._dirty.set()
            self._awaited.set()
            try:
                await asyncio.wait_for(integrated.wait(), deadline - loop.time())
            except TimeoutError:
                continue
