"""Acts on their way to central: stored before they are sent, sent until they are acknowledged."""

from __future__ import annotations

import asyncio
import logging

from branchline.foundation.digest import Bytes, Digest
from branchline.foundation.errors import BranchlineError, Unavailable
from branchline.foundation.http.client import ApiClient
from branchline.journey.messages import INLINE, ActMessage, Recorded
from branchline.station.store import Queued, StationStore

log = logging.getLogger("branchline.station")


class Outbox:
    """Send stored acts, each journey's in order.

    Args:
        client: Central's API.
        store: Where acts wait.
    """

    def __init__(self, client: ApiClient, store: StationStore) -> None:
        self._client, self._store = client, store
        self._large: dict[Digest, Bytes] = {}
        self._sending = asyncio.Lock()

    def attach(self, digest: Digest, data: Bytes) -> None:
        """Keep a large parcel at hand until its act is acknowledged.

        It is not written to disk: if this process dies before, the round is run again.
        """
        self._large[digest] = data

    async def send(self, queued: Queued) -> bool:
        """Send one act now; false if central cannot be reached, and it waits."""
        try:
            await self._send(queued)
        except Unavailable as error:
            log.warning("an act waits for central: %s", error.refused)
            return False
        return True

    async def send_waiting(self) -> None:
        """Send everything that waits, in order.

        Raises:
            Unavailable: Central cannot be reached.
        """
        async with self._sending:
            for queued in self._store.waiting():
                await self._send(queued)

    async def _send(self, queued: Queued) -> None:
        parcels: dict[Digest, bytes] = {}
        if queued.parcel is not None:
            if queued.data is not None:
                parcels[queued.parcel] = queued.data
            elif queued.parcel in self._large:
                await self._client.put_bytes(
                    f"/v1/parcels/{queued.parcel}", self._large[queued.parcel]
                )
        message = ActMessage(entry=queued.entry, parcels=parcels)
        try:
            await self._client.call(
                "POST", "/v1/acts", body=message, answer=Recorded, key=queued.act
            )
            outcome = "recorded"
        except Unavailable:
            raise
        except BranchlineError as error:
            # Central says no for good: the journey was cancelled meanwhile, say. The act stays in
            # the station's own history with the reason.
            log.warning("central did not take an act: %s", error.refused)
            outcome = error.refused
        self._store.settle(queued.row, outcome)
        if queued.parcel is not None:
            self._large.pop(queued.parcel, None)


def rides_along(data: Bytes) -> bool:
    """Tell whether a parcel is small enough to ride in its act's message."""
    return len(data) <= INLINE
