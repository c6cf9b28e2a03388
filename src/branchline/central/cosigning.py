"""The part of central's API that witnesses use, and whoever waits for what they vouch for."""

from __future__ import annotations

from collections.abc import Sequence

from branchline.central.desk import Desk
from branchline.central.registry import Registry
from branchline.central.store import Store
from branchline.central.witnessing import Witnessing
from branchline.foundation.errors import NotAllowed
from branchline.foundation.http.api import Call, Caller, Route
from branchline.journey import messages
from branchline.ledger.proof.note import COSIGNATURE, VerifierKey, parse_key
from branchline.study.witnesses import policy_of

COSIGNATURES_LIMIT = 64 << 10
"""The most bytes of a witness's answer."""


class CosigningApi:
    """Handlers; a part of central's ``Api``, which sets what is used here."""

    _desk: Desk
    _registry: Registry
    _store: Store
    _witnessing: Witnessing

    def cosigning_routes(self) -> Sequence[Route]:
        """Return this part of the table."""
        m = messages
        return [
            Route("POST", "/v1/ledger/seen", self.seen,
                  "Show the latest checkpoint that one has cosigned", body=m.SeenCheckpoint),
            Route("POST", "/v1/ledger/cosignatures", self.cosign, "Answer a call to cosign",
                  body=m.WitnessAnswer, limit=COSIGNATURES_LIMIT),
            Route("POST", "/v1/ledger/receipts", self.receipts,
                  "Receipts that a study's witnesses cosigned; waits for them",
                  body=m.ReceiptsWanted, answer=m.Receipts),
        ]  # fmt: skip

    async def seen(self, call: Call) -> None:
        """Compare the ledger with what a witness cosigned last."""
        message: messages.SeenCheckpoint = call.body
        self._witnessing.confront(call.by.name, self._witness_key(call.by), message.checkpoint)

    async def cosign(self, call: Call) -> None:
        """Take a witness's answer in."""
        self._witness_key(call.by)
        self._witnessing.answered(call.by.name, call.body)

    async def receipts(self, call: Call) -> messages.Receipts:
        """Return receipts of acts at one checkpoint that a study's policy accepts.

        Where the caller is a witness of that study, its own cosignature is among them.
        """
        wanted: messages.ReceiptsWanted = call.body
        policy = policy_of(self._registry.revision(wanted.study))
        known = self._store.witness(call.by.name)
        names = {witness.name for witness in policy.witnesses}
        own = set() if known is None else {known.vkey.partition("+")[0]} & names
        positions = [self._store.position(act) for act in wanted.acts]
        return messages.Receipts(
            receipts=tuple(await self._witnessing.receipts(positions, policy, own))
        )

    def witness_listens(self, caller: Caller) -> bool:
        """Note that a party listens, if it is a witness; tell whether it is one."""
        witness = self._store.witness(caller.name)
        if witness is None:
            return False
        self._witnessing.listens(caller.name, parse_key(witness.vkey, (COSIGNATURE,)))
        return True

    def _witness_key(self, caller: Caller) -> VerifierKey:
        witness = self._store.witness(caller.name)
        if witness is None:
            raise NotAllowed("Only a witness cosigns; this party announced no witness key")
        return parse_key(witness.vkey, (COSIGNATURE,))
