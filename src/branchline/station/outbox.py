"""Acts on their way to central: stored before they are sent, sent until they are acknowledged."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from branchline.foundation.digest import Bytes, Digest, file_name, is_named_file
from branchline.foundation.durable import make_folder
from branchline.foundation.errors import BranchlineError, Unavailable
from branchline.foundation.http.client import ApiClient
from branchline.foundation.ids import new_id
from branchline.foundation.sealing import Sealed as Parcel
from branchline.foundation.sealing import seal_into, seal_named
from branchline.foundation.spares import Spares
from branchline.foundation.tasks import leave_off
from branchline.journey import acts
from branchline.journey.messages import INLINE, ActMessage, Recorded
from branchline.ledger.classes import Sealed
from branchline.ledger.epochs import Epochs
from branchline.station.store import Queued, StationStore

log = logging.getLogger("branchline.station")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
RECORDED = "recorded"
"""What became of an act that central has taken in."""

_VOIDED = str(acts.ActVoided.__struct_config__.tag)
_LOST = "Its parcel was lost in a crash; the round was run again"

LARGE = INLINE - 8192
"""Payloads up to this many bytes ride, sealed, in their act's message."""


class Outbox:
    """Send stored acts in the order they were stored, until central has acknowledged each.

    Args:
        client: Central's API.
        store: Where acts wait.
        epochs: The station's secrets, with which acts are sealed anew.
        folder: Where large parcels wait. They are not forced to disk: after a power cut a parcel
            that is missing or torn is forgotten with its act, and its round is run again.
        stands: Tells whether a tag stands at a position of the ledger, as the mirror has it.
    """

    def __init__(
        self,
        client: ApiClient,
        store: StationStore,
        epochs: Epochs,
        folder: Path,
        stands: Callable[[str, int], bool] = lambda tag, position: False,
    ) -> None:
        self._client, self._store, self._stands = client, store, stands
        self._epochs = epochs
        self._folder = make_folder(folder)
        # One file at a time is sealed, and it comes back once its act is acknowledged.
        self.spares = Spares(self._folder / "spares")
        self._catching_up: asyncio.Task[None] | None = None

    async def seal(self, payload: Bytes, recipients: Sequence[str]) -> Parcel:
        """Seal a payload; a large parcel lies in a file until its act is acknowledged."""
        if len(payload) <= LARGE:
            return seal_named(payload, recipients)
        file = self._folder / f"{secrets.token_hex(8)}.part"
        parcel = await asyncio.to_thread(seal_into, file, payload, recipients, spares=self.spares)
        self.lay_down(parcel)
        return parcel

    def lay_down(self, parcel: Parcel) -> None:
        """Keep a large parcel that lies in a file until its act is acknowledged."""
        assert parcel.file is not None, "large parcels are sealed into files"
        os.replace(parcel.file, self._path(parcel.digest))

    def forget_lost(self) -> None:
        """Forget waiting acts whose large parcel did not survive a crash: they are done again."""
        for queued in self._store.waiting():
            if queued.parcel is not None and queued.data is None and not self._whole(queued.parcel):
                log.warning(
                    "a parcel of %s was lost in a crash; its round runs again", queued.journey
                )
                self._store.void(queued, self._voided(queued, _LOST), self._sign)

    async def send(self, queued: Queued) -> None:
        """Send one act now, or leave it to be sent in its turn once central is back."""
        if self._catching_up is not None:
            return
        try:
            await self._send(queued)
        except Unavailable as error:
            log.warning("an act waits for central: %s", error.refused)
            self.catch_up()

    def catch_up(self) -> None:
        """Send everything that waits, in order, in the background."""
        if self._catching_up is None:
            self._catching_up = asyncio.create_task(self._send_waiting(), name="outbox")

    async def close(self) -> None:
        """Leave off; what waits is sent after the next start."""
        if self._catching_up is not None:
            await leave_off([self._catching_up])
        self._store.write_settled()
        self.spares.clear()

    async def _send_waiting(self) -> None:
        pause = _FIRST_PAUSE
        while waiting := self._store.waiting():
            try:
                for queued in waiting:
                    await self._send(queued)
                    pause = _FIRST_PAUSE
            except Unavailable:
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
        self._catching_up = None

    async def _send(self, queued: Queued) -> None:
        parcels: dict[Digest, bytes] = {}
        if queued.parcel is not None and queued.data is not None:
            parcels[queued.parcel] = queued.data
        elif queued.parcel is not None:
            path, file = f"/v1/parcels/{queued.parcel}", self._path(queued.parcel)
            await self._client.put_file(path, file, queued.parcel)
        await self._record(queued, parcels)
        if queued.parcel is not None and queued.data is None:
            # The note comes first: a parcel that is gone while its act still waits counts as lost.
            self._store.write_settled()
            self.spares.keep(self._path(queued.parcel))

    async def _record(self, queued: Queued, parcels: dict[Digest, bytes]) -> None:
        """Have an act recorded, under other tags if need be, or note that it was refused."""
        while True:
            message = ActMessage(entry=queued.entry, beside=queued.beside, parcels=parcels)
            try:
                recorded = await self._client.call(
                    "POST", "/v1/acts", body=message, answer=Recorded, key=queued.act
                )
                return self._store.settle(queued.row, RECORDED, recorded.position)
            except Unavailable:
                raise
            except BranchlineError as error:
                if (tag := error.detail.get("tag")) in queued.entry.tags:
                    queued = self._pass_over(queued, str(tag), error)
                    continue
                return self._refused(queued, error.refused)

    def _pass_over(self, queued: Queued, tag: str, error: BranchlineError) -> Queued:
        """Sign an act anew under the next number, if its own really stands in the ledger.

        This station was restored from a backup and counts anew what it counted; or somebody put
        the tag there. Central's word for it is not enough: a number passed over for nothing would
        be a gap.
        """
        position = error.detail.get("position")
        if not isinstance(position, int) or not self._stands(tag, position):
            raise Unavailable(
                f"{error.refused}, says central, but this station's mirror does not show it yet"
            )
        log.warning("%s, at %s; the act takes the next one", error.refused, position)
        act = acts.read_act(queued.entry, self._client.identity.public)
        return self._store.retag(queued, tag, act, self._sign)

    def _refused(self, queued: Queued, reason: str) -> None:
        # Central says no for good: the journey was cancelled meanwhile, say. The act stays in the
        # station's own history with the reason, and the ledger is told that it was voided.
        log.warning("central did not take an act: %s", reason)
        if self._kind(queued) == _VOIDED:
            # What it speaks of was recorded after all.
            self._store.settle(queued.row, reason)
        else:
            self._store.refused(queued, reason, self._voided(queued, reason), self._sign)
            self.catch_up()

    def _voided(self, queued: Queued, reason: str) -> acts.ActVoided:
        return acts.ActVoided(
            id=new_id("act"),
            at=self._store.now(),
            journey=queued.journey or None,
            kind=self._kind(queued),
            reason=reason[:500],
        )

    def _kind(self, queued: Queued) -> str:
        return acts.kind_of(acts.read_act(queued.entry, self._client.identity.public))

    def _sign(self, act: acts.Act, tags: tuple[str, ...]) -> Sealed:
        return acts.seal_act(act, self._client.identity, self._epochs.current(), tags)

    def _whole(self, digest: Digest) -> bool:
        path = self._path(digest)
        return path.exists() and is_named_file(path, digest)

    def _path(self, digest: Digest) -> Path:
        return self._folder / file_name(digest)
