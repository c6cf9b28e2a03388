"""A witness: decides, remembers, cosigns; whoever brings the bytes may be HTTP or anything else.

The order of one request, and what a crash in between leaves:

1. It is decided on what is remembered, and the cosignature is made, in memory.
2. The mirror, where there is one, already holds the data of that checkpoint durably.
3. The checkpoint takes the place of the one that the decision was made on, durably, or, if that
   has changed meanwhile, everything begins anew. A crash before: nothing was cosigned. A crash
   after: the log asks again, and the same checkpoint is cosigned again.
4. Only now is the cosignature given out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from branchline.foundation.clock import Clock
from branchline.foundation.errors import NotFound, Refused
from branchline.ledger.proof.checkpoint import Checkpoint, parse_checkpoint
from branchline.ledger.proof.cosignature import (
    cosign,
    cosign_ml_dsa,
    cosigner_key,
    ml_dsa_key,
)
from branchline.ledger.proof.evidence import Evidence, find_evidence_in
from branchline.ledger.proof.merkle import Subtrees
from branchline.ledger.proof.note import Note, Signer, VerifierKey, parse_note
from branchline.ledger.witness.decision import Accepted, Declined, Known, consider
from branchline.ledger.witness.store import WitnessStore
from branchline.ledger.witness.wire import SIZE, Answer, Request, parse_request

_ATTEMPTS = 8


class Holding(Protocol):
    """A mirror, as its witness sees it."""

    def holds(self, checkpoint: Checkpoint) -> bool:
        """Tell whether the data of exactly this checkpoint are held durably."""
        ...

    def subtrees(self, size: int) -> Subtrees | None:
        """Give the hashes of the first so many entries, if that many are held."""
        ...


class Witness:
    """Answer logs that ask for a cosignature.

    Args:
        store: Its memory.
        name: Its name, as in the policies that count on it.
        signer: Its key, which signs nothing but cosignatures.
        clock: Gives the time that its cosignatures bear.
        logs: By origin, the keys of the logs it watches.
        mirrors: By origin, the mirrors that must hold the data first; without one for a log, the
            witness cosigns growth alone.
        post_quantum: A second key; then every answer has a second line.
    """

    def __init__(
        self,
        store: WitnessStore,
        name: str,
        signer: Signer,
        clock: Clock,
        *,
        logs: Mapping[str, Collection[VerifierKey]],
        mirrors: Mapping[str, Holding] | None = None,
        post_quantum: MLDSA44PrivateKey | None = None,
    ) -> None:
        self._store, self._name, self._signer, self._clock = store, name, signer, clock
        self._logs, self._mirrors, self._post_quantum = logs, mirrors or {}, post_quantum

    @property
    def keys(self) -> list[VerifierKey]:
        """The keys that verify its cosignatures, the Ed25519 one first."""
        keys = [cosigner_key(self._name, self._signer.public)]
        if self._post_quantum:
            keys.append(ml_dsa_key(self._name, self._post_quantum))
        return keys

    def size_of(self, origin: str) -> int:
        """Return the size cosigned last of a log, 0 if nothing ever was."""
        known = self._store.latest(origin)
        return known.checkpoint.size if known else 0

    def latest(self, origin: str) -> bytes:
        """Return the note cosigned last of a log, with the log's signature and our own.

        Raises:
            NotFound: Nothing of this log was ever cosigned.
        """
        known = self._store.latest(origin)
        if known is None:
            raise NotFound(f"This witness has cosigned nothing of {origin[:80]!r}")
        return known.note.encode()

    def latest_by_hash(self, origin_hash: str) -> bytes:
        """Do as ``latest`` does, for ``GET <monitoring>/<hex sha256 of the origin>/checkpoint``."""
        for origin in self._store.origins():
            if sha256(origin.encode()).hexdigest() == origin_hash:
                return self.latest(origin)
        raise NotFound("This witness has cosigned nothing of a log of this hash")

    def evidence(self) -> list[Evidence]:
        """Return what convicts logs, as far as this witness came across it."""
        return self._store.evidence()

    def consider(self, body: bytes) -> Accepted | Declined:
        """Decide on a request without cosigning it, so that a mirror can fetch what it lacks."""
        try:
            request = parse_request(body)
        except Refused as error:
            return Declined(400, error.refused)
        return self._decide(request, self._store.latest(request.origin))

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer ``POST add-checkpoint``; what is answered with 200 is durable.

        Status 503 (not of tlog-witness) says that the mirror has to fetch the data first.
        """
        try:
            request = parse_request(body)
        except Refused as error:
            return Answer(400, f"{error.refused}\n")
        for _ in range(_ATTEMPTS):
            known = self._store.latest(request.origin)
            decision = self._decide(request, known)
            if isinstance(decision, Declined):
                return self._decline(decision, known)
            mirror = self._mirrors.get(request.origin)
            if mirror and not mirror.holds(decision.checkpoint):
                return Answer(503, "The mirror does not hold these entries yet\n")
            try:
                cosigned = self._cosign(decision.note)
            except Refused as error:
                return Answer(503, f"{error.refused}\n")
            new = Known(decision.checkpoint, decision.note.full_text + cosigned)
            if self._store.advance(known, new):
                return Answer(200, cosigned)
        return Answer(503, "Too many requests at once; ask again\n")

    def _decide(self, request: Request, known: Known | None) -> Accepted | Declined:
        return consider(request, self._logs.get(request.origin, ()), known)

    def _cosign(self, note: Note) -> str:
        at = int(self._clock.now().timestamp())
        lines = [cosign(note.text, self._name, self._signer, at)]
        if self._post_quantum:
            lines.append(cosign_ml_dsa(note.text, self._name, self._post_quantum, at))
        return "".join(line.line for line in lines)

    def _decline(self, declined: Declined, known: Known | None) -> Answer:
        evidence = declined.evidence or self._evidence_of_mirror(declined, known)
        if evidence:
            self._store.keep(evidence)
        if declined.size is not None:
            return Answer(declined.status, f"{declined.size}\n", SIZE)
        return Answer(declined.status, f"{declined.reason}\n")

    def _evidence_of_mirror(self, declined: Declined, known: Known | None) -> Evidence | None:
        """Compare an earlier size that a log signs anew with what its mirror holds of that size.

        A log that was put back to a backup asks for a size that was cosigned long ago. If it only
        lags, the roots are equal; if it has gone on differently, it convicts itself.
        """
        if known is None or declined.note is None:
            return None
        mirror = self._mirrors.get(known.checkpoint.origin)
        asked = parse_checkpoint(parse_note(declined.note.encode()).text)
        if mirror is None or asked.size > known.checkpoint.size:
            return None
        subtree = mirror.subtrees(known.checkpoint.size)
        return find_evidence_in(subtree, known.note, declined.note) if subtree else None
