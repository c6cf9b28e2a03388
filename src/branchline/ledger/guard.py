"""The guard: a ledger that others have seen more of, or something else of, signs nothing any more.

A ledger put back to a backup, a copied machine, two programs with one key: each would sign a second
history, and nobody could mend that. Its witnesses remember. So a ledger that has a quorum of
witnesses waits at start until it has heard enough of them that nothing cosigned can be missed, and
stops for good when one of them shows a checkpoint that it does not hold.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.errors import BranchlineError, Conflict, Corrupt, Unavailable
from branchline.ledger.proof.checkpoint import Checkpoint, open_checkpoint
from branchline.ledger.proof.evidence import Evidence
from branchline.ledger.proof.note import VerifierKey
from branchline.ledger.proof.policy import NONE, Policy


class SignedFile:
    """Remembers the last checkpoint that was signed, in a file that no backup brings back.

    Args:
        path: On another volume than database and files, or at least outside of their backups.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> bytes | None:
        """Return the note stored last, or None if none ever was."""
        return self._path.read_bytes() if self._path.exists() else None

    def store(self, note: bytes) -> None:
        """Replace the note, durably."""
        make_folder(self._path.parent)
        write_durably(self._path, note)


class Guard:
    """Remember who was heard, and what forbids to go on.

    Args:
        key: The ledger's key.
        policy: The quorum at start.
        root_at: Gives the ledger's own root at a size, None if it has fewer entries.
        evidence: Makes evidence of a checkpoint that contradicts the ledger's own.
    """

    def __init__(
        self,
        key: VerifierKey,
        policy: Policy,
        root_at: Callable[[int], bytes | None],
        evidence: Callable[[Checkpoint, str], Evidence | None],
    ) -> None:
        self._key, self._policy = key, policy
        self._root_at, self._evidence = root_at, evidence
        self._heard: set[str] = set()
        self._waiting = policy.quorum != NONE
        self._stopped: BranchlineError | None = None

    def check(self, note: bytes) -> None:
        """Compare the ledger with a checkpoint of it that somebody kept.

        Raises:
            Corrupt: This ledger's key did not sign the note: it says nothing of this ledger. Or:
                the ledger holds something else; ``detail`` has the evidence, if there is any.
            Conflict: The ledger holds less than it had signed.
        """
        seen = open_checkpoint(note, self._key)
        own = self._root_at(seen.size)
        if own is None:
            self._stop(
                Conflict(
                    f"The ledger {seen.origin} signed {seen.size} entries before, and now has fewer",
                    advice="It was put back to an earlier state: restore the latest one, or copy "
                    "the missing entries from a mirror",
                    detail={"size": seen.size},
                )
            )
        elif own != seen.root:
            found = self._evidence(seen, note.decode())
            self._stop(
                Corrupt(
                    f"The ledger {seen.origin} signed other {seen.size} entries than it has",
                    advice="Two programs wrote one ledger, or it went on from an old backup: stop "
                    "both, and ask the witnesses which history they hold",
                    detail={"size": seen.size, "evidence": found.text if found else None},
                )
            )

    def heard(self, witness: str) -> None:
        """Note that a witness, known to be the one it says, has shown the last thing it cosigned."""
        self._heard.add(witness)
        if self._waiting and self._policy.sees_all_quorums(self._heard):
            self._waiting = False

    def check_may_sign(self) -> None:
        """Refuse to sign where the ledger must not go on.

        Raises:
            Corrupt, Conflict: What ``check`` found, from then on.
            Unavailable: Not enough witnesses were heard yet since the start.
        """
        self.check_may_append()
        if self._waiting:
            raise Unavailable(
                f"The ledger {self._key.name} waits for its witnesses before it goes on",
                advice="It continues when enough of them have shown what they cosigned last",
            )

    def check_may_append(self) -> None:
        """Refuse entries where the ledger was found to be behind, or another one."""
        if self._stopped:
            raise self._stopped

    def _stop(self, error: BranchlineError) -> None:
        self._stopped = self._stopped or error
        raise self._stopped
