"""Receipts: an offline proof that an entry is in the ledger (C2SP tlog-proof)."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from branchline.foundation.errors import Corrupt
from branchline.ledger.proof.checkpoint import Checkpoint, parse_decimal
from branchline.ledger.proof.merkle import HASH_SIZE, check_inclusion, leaf_hash
from branchline.ledger.proof.note import MAX_NOTE, from_base64, parse_key, to_base64
from branchline.ledger.proof.policy import Policy, key_policy

_HEADER = "c2sp.org/tlog-proof@v1"
_MAX_PATH = 63


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A position, the path from the entry there to a root, and the checkpoint that signs the root.

    Args:
        index: The entry's position.
        path: Hashes of 32 bytes, the entry's sibling first, the root's child last.
        checkpoint: The signed note, verbatim.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: str

    @property
    def text(self) -> str:
        """The receipt as a file (tlog-proof, "Format")."""
        hashes = "".join(f"{to_base64(item)}\n" for item in self.path)
        return f"{_HEADER}\nindex {self.index}\n{hashes}\n{self.checkpoint}"


def parse_receipt(text: str) -> Receipt:
    """Read a receipt; nothing is verified.

    The optional ``extra`` line of the format is refused: no signature covers it.

    Raises:
        Corrupt: Not a receipt, or not in its one spelling.
    """
    proof, separator, checkpoint = text.partition("\n\n")
    header, *lines = proof.split("\n")
    shaped = len(text) <= MAX_NOTE and separator and lines and lines[0].startswith("index ")
    if header != _HEADER or not shaped:
        raise Corrupt(f"A receipt does not begin with {_HEADER!r} and 'index <position>'")
    index = parse_decimal(lines[0].removeprefix("index "), "position in a receipt")
    path = tuple(map(from_base64, lines[1:]))
    if len(path) > _MAX_PATH or any(len(item) != HASH_SIZE for item in path):
        raise Corrupt(f"A receipt's path has more than {_MAX_PATH} hashes, or one not of 32 bytes")
    return Receipt(index, path, checkpoint)


def verify_receipt(
    receipt: Receipt, leaf: bytes, policy: Policy | str, *, cosigned_by: Collection[str] = ()
) -> Checkpoint:
    """Check, offline, that a leaf is in the ledger; return the checkpoint that says so.

    1. The checkpoint is well formed, of this ledger, and its signature holds.
    2. Every cosignature by a witness of the policy holds, and they are a quorum.
    3. The witnesses that the caller names are among them.
    4. The path leads from the leaf at the position named to the checkpoint's root.

    Args:
        receipt: The proof.
        leaf: The entry's bytes, as they were appended.
        policy: The policy in force, from a source that is trusted; or the ledger's verifier key
            alone, which asks for no witness.
        cosigned_by: Witnesses that must be among the cosigners, by their names in the policy.

    Raises:
        Corrupt: A step fails; the sentence says which.
        Refused: The verifier key itself is malformed.
    """
    trusted = key_policy(parse_key(policy)) if isinstance(policy, str) else policy
    verified = trusted.open(receipt.checkpoint.encode(errors="replace"))
    if missing := sorted(set(cosigned_by) - set(verified.cosigned)):
        raise Corrupt(f"The checkpoint of a receipt is not cosigned by {missing[0]}")
    checkpoint = verified.checkpoint
    hashed = leaf_hash(leaf)
    check_inclusion(hashed, receipt.index, checkpoint.size, receipt.path, checkpoint.root)
    return checkpoint
