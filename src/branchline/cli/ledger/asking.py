"""What ``ledger`` commands ask central: a party's keys, and what lies beside entries."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from branchline.cli.frame import working
from branchline.cli.ledger.homes import Kind
from branchline.foundation.digest import Digest
from branchline.foundation.errors import NotFound, Refused

if TYPE_CHECKING:
    from branchline.foundation.http.client import ApiClient
    from branchline.foundation.keys import Identity, PublicKeys
    from branchline.journey.holdings import Holdings
    from branchline.ledger.beside import Beside
    from branchline.ledger.epochs import Epochs
    from branchline.ledger.light import LightProof, LightWanted
    from branchline.ledger.proof.policy import Policy

_MOST = 64
_TRIES, _PAUSE = 8, 0.5
"""How often, and after how many seconds, central is asked for what is not cosigned yet."""


class Own:
    """The folder of whoever runs a command: its keys, and its way to central.

    Args:
        folder: The folder.
        kind: Whose it is.
        offline: Ask nobody.
    """

    def __init__(self, folder: Path, kind: Kind, *, offline: bool = False) -> None:
        self._folder, self._kind, self._offline = folder, kind, offline

    @property
    def identity(self) -> Identity:
        """The party's own keys."""
        from branchline.foundation.keys import Identity

        return Identity.load_or_create(self._folder / "keys")

    @property
    def epochs(self) -> Epochs:
        """The secrets with which the party seals its acts."""
        from branchline.ledger.epochs import Epochs

        return Epochs(self._folder / "keys")

    def keys_of(self, held: Holdings, name: str) -> PublicKeys:
        """Return a party's keys: as a study pins them, or else as central says.

        Raises:
            NotFound: Nobody of that name is known.
        """
        if name in held.parties:
            return held.parties[name]
        if self._offline or self._kind == "central":
            raise NotFound(f"No party {name!r} is known here", advice="Ask central: not --offline")
        return asyncio.run(self._party(name))

    def beside(self, entries: Sequence[Digest]) -> dict[Digest, Beside]:
        """Return what lies beside entries, of those of which anything does; nothing offline."""
        if self._offline or not entries:
            return {}
        if self._kind == "central":
            from branchline.central.store import Store

            return Store(self._folder).beside(entries)
        return asyncio.run(self._beside(entries))

    def light(self, wanted: LightWanted, policy: Policy) -> LightProof:
        """Return central's answer to a light reader; nothing of it is checked.

        Where a policy does not accept its checkpoint, witnesses may be about to cosign it: central
        is asked again, for some seconds.

        Raises:
            Refused: The folder is central's own.
            NotFound: Central states no tag tree yet.
        """
        if self._kind == "central":
            raise Refused("Central shows light readers what it holds; here is all of it",
                          advice="Leave out --light")  # fmt: skip
        return asyncio.run(self._light(wanted, policy))

    async def _light(self, wanted: LightWanted, policy: Policy) -> LightProof:
        from branchline.ledger.light import LightProof

        client = self._client()
        try:
            for left in reversed(range(_TRIES)):
                answer = await client.call(
                    "POST", "/v1/ledger/tags", body=wanted, answer=LightProof
                )
                if not left or answer.accepted(policy):
                    break
                await asyncio.sleep(_PAUSE)
            return answer
        finally:
            await client.close()

    async def _party(self, name: str) -> PublicKeys:
        from branchline.foundation.errors import Corrupt
        from branchline.journey.messages import Party

        client = self._client()
        try:
            party = await client.call("GET", f"/v1/parties/{name}", answer=Party)
        finally:
            await client.close()
        if party.name != name:
            raise Corrupt(f"Asked for {name!r}, central answered with {party.name!r}")
        return party.keys

    async def _beside(self, entries: Sequence[Digest]) -> dict[Digest, Beside]:
        from branchline.journey.messages import BesideFound, BesideWanted

        client = self._client()
        found: dict[Digest, Beside] = {}
        try:
            with working("asking central what lies beside"):
                for first in range(0, len(entries), _MOST):
                    wanted = BesideWanted(entries=tuple(entries[first : first + _MOST]))
                    answer = await client.call(
                        "POST", "/v1/beside", body=wanted, answer=BesideFound
                    )
                    found |= answer.found
        finally:
            await client.close()
        return {entry: found[entry] for entry in entries if entry in found}

    def _client(self) -> ApiClient:
        from branchline.foundation.clock import SystemClock
        from branchline.foundation.http.client import ApiClient

        central: Any
        if self._kind == "station":
            from branchline.station.settings import StationHome

            central = StationHome(self._folder).settings().central
        else:
            from branchline.workbench.home import WorkbenchHome

            central = WorkbenchHome(self._folder).central()
        return ApiClient(
            central.url,
            self.identity,
            ca_file=central.ca_file,
            clock=SystemClock(),
            retry_seconds=5,
        )
