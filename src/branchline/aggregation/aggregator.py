"""Run one journey's aggregator: open the updates, combine them in the sandbox, seal the outcome."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from branchline.foundation.digest import Bytes
from branchline.foundation.errors import BranchlineError
from branchline.foundation.sealing import Opening, Sealed, seal_into, seal_named, unseal
from branchline.foundation.spares import Spares
from branchline.journey.custody import recipient_of
from branchline.sandbox.engine import (
    Engine,
    EnvironmentMount,
    Failed,
    JobSpec,
    RoundRequest,
    Session,
)
from branchline.sandbox.limits import Limits
from branchline.train.bundle import OpenBundle, unpack
from branchline.train.entry import as_dict

SMALL = 1 << 16
"""Below this many bytes sealing is done at once; above, in a thread."""


class AggregationFailed(BranchlineError):
    """The aggregator could not combine a round; the reason is one of the sandbox's fixed list."""

    code = "aggregation-failed"


@dataclass(frozen=True)
class Combination:
    """What came out of one round, sealed.

    Args:
        state: The next state, sealed to the stations and to the aggregator itself; None at the end.
        result: The result, sealed to the requester; None to go on.
    """

    state: Sealed | None
    result: Sealed | None

    @property
    def parcel(self) -> Sealed:
        """The one of the two that there is."""
        parcel = self.state or self.result
        assert parcel is not None, "a combined round has one or the other"
        return parcel


class Aggregator:
    """One journey's aggregator, its sandbox kept alive from round to round.

    Args:
        engine: Where it runs.
        mount: The environment it sees.
        opened: The train.
        parameters: The journey's parameters, checked.
        key: The journey's own key; only ever in memory.
        folder: A folder of its own for the train's code; removed at the end.
        limits: What it may use.
        spares: Files that large parcels are made from.
    """

    def __init__(
        self,
        engine: Engine,
        mount: EnvironmentMount,
        opened: OpenBundle,
        parameters: dict[str, Any],
        key: X25519PrivateKey,
        folder: Path,
        limits: Limits,
        spares: Spares | None = None,
    ) -> None:
        self._engine, self._mount, self._opened = engine, mount, opened
        self._parameters, self._key, self._folder = parameters, key, folder
        self._limits, self._spares = limits, spares
        self._session: Session | None = None
        self._starting = asyncio.Lock()
        self._closed = False
        self._state: tuple[int, Bytes] | None = None

    @property
    def recipient(self) -> str:
        """To whom the stations seal their updates."""
        return recipient_of(self._key)

    async def start(self) -> None:
        """Start the sandbox ahead of the first round; starting twice is harmless."""
        async with self._starting:
            if self._closed:
                raise AggregationFailed("The journey has ended", detail={"reason": "killed"})
            if self._session is None:
                self._session = await self._start()

    async def combine(
        self,
        round_: int,
        updates: Sequence[Bytes],
        state: Bytes | None,
        stations: Sequence[str],
        requester: str,
    ) -> Combination:
        """Combine one round.

        Args:
            round_: Which, from 1.
            updates: The stations' parcels, in the route's order.
            state: The parcel with the state of the round before; None in the first.
            stations: Recipients of the next state.
            requester: Recipient of the result.

        Raises:
            AggregationFailed: The train's code failed, or broke a limit.
            Corrupt: A parcel cannot be opened.
        """
        opened = [self._open(parcel) for parcel in updates]
        before = self._state_before(round_, state)
        await self.start()
        assert self._session is not None
        outcome = await self._session.run(RoundRequest(round_, self._parameters, before, opened))
        if isinstance(outcome, Failed):
            raise AggregationFailed(
                f"The train's aggregator failed in round {round_}: {outcome.reason.value}",
                advice="Try it with 'branchline train try'",
                detail={"reason": outcome.reason.value},
            )
        if outcome.result is not None:
            return Combination(None, await self._seal(outcome.result, [requester]))
        if outcome.state is None:
            raise AggregationFailed(
                "The train's aggregator gave neither a state nor a result",
                advice="Return (state, None) to go on, or (None, result) at the end",
                detail={"reason": "bad-output"},
            )
        self._state = (round_, outcome.state)
        return Combination(await self._seal(outcome.state, [*stations, self.recipient]), None)

    async def close(self) -> None:
        """End the sandbox and remove the code."""
        self._closed = True
        # A sandbox that is just starting is ended, too, and not left behind.
        async with self._starting:
            if self._session is not None:
                await self._session.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _start(self) -> Session:
        entry = self._opened.manifest.aggregator
        if entry is None:
            raise AggregationFailed("The train has no aggregator", detail={"reason": "train-error"})
        shutil.rmtree(self._folder, ignore_errors=True)
        unpack(self._opened, self._folder)
        spec = JobSpec(
            self._mount, self._folder, {}, as_dict(entry), self._limits, purpose="aggregator"
        )
        return await self._engine.start(spec)

    def _open(self, parcel: Bytes) -> Bytes | Opening:
        # A large one is opened while it is written to the sandbox's memory, not before.
        return unseal(parcel, self._key) if len(parcel) <= SMALL else Opening(parcel, self._key)

    def _state_before(self, round_: int, parcel: Bytes | None) -> Bytes | Opening | None:
        if self._state is not None and self._state[0] == round_ - 1:
            return self._state[1]
        return None if parcel is None else self._open(parcel)

    async def _seal(self, payload: Bytes, recipients: Sequence[str]) -> Sealed:
        if len(payload) <= SMALL:
            return seal_named(payload, recipients)
        file = self._folder.with_name(f"{self._folder.name}.{secrets.token_hex(4)}.parcel")
        return await asyncio.to_thread(
            seal_into, file, payload, recipients, to_disk=True, spares=self._spares
        )
