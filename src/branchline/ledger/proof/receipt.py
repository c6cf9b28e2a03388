"""Receipts: an offline proof that an entry is in the ledger (C2SP tlog-proof)."""

from __future__ import annotations

import msgspec

from branchline.foundation.errors import Corrupt
from branchline.ledger.proof.checkpoint import Checkpoint, open_checkpoint, parse_decimal
from branchline.ledger.proof.merkle import HASH_SIZE, check_inclusion, leaf_hash
from branchline.ledger.proof.note import MAX_NOTE, from_base64, parse_key, to_base64

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


def verify_receipt(receipt: Receipt, leaf: bytes, log_vkey: str) -> Checkpoint:
    """Check, offline, that a leaf is in the ledger with a key; return the checkpoint that says so.

    1. The checkpoint is well formed, of this ledger, and its signature holds.
    2. The path leads from the leaf at the position named to the checkpoint's root.

    Args:
        receipt: The proof.
        leaf: The entry's bytes, as they were appended.
        log_vkey: The ledger's verifier key, from a source that is trusted.

    Raises:
        Corrupt: A step fails; the sentence says which.
        Refused: The verifier key itself is malformed.
    """
    checkpoint = open_checkpoint(receipt.checkpoint.encode(errors="replace"), parse_key(log_vkey))
    hashed = leaf_hash(leaf)
    check_inclusion(hashed, receipt.index, checkpoint.size, receipt.path, checkpoint.root)
    return checkpoint
