"""Checkpoints: a ledger's size and root, signed (C2SP tlog-checkpoint v1.0.0).

We write no extension lines and refuse them: not every cosignature would cover them.
"""

from __future__ import annotations

import re

import msgspec

from branchline.foundation.errors import Corrupt
from branchline.ledger.proof.merkle import EMPTY_ROOT, HASH_SIZE
from branchline.ledger.proof.note import (
    Note,
    Signer,
    VerifierKey,
    from_base64,
    open_note,
    sign_note,
    to_base64,
)

LARGEST = 2**63 - 1
"""The largest number in any format here: databases and other languages hold no larger one."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


class Checkpoint(msgspec.Struct, frozen=True):
    """What a ledger says of itself at one size.

    Args:
        origin: The ledger's name; its key signs under the same name.
        size: Entries in the ledger.
        root: The Merkle root over them, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The signed text: origin, size and root, each on its line."""
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"


def parse_decimal(text: str, what: str) -> int:
    """Read a number below 2^63 without sign and leading zeros.

    Raises:
        Corrupt: Another spelling, too large, or not a number.
    """
    if not _DECIMAL.fullmatch(text) or int(text) > LARGEST:
        raise Corrupt(f"The {what} is not a plain decimal number below 2^63")
    return int(text)


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint's text; no signature is verified.

    Raises:
        Corrupt: Not exactly three lines, a malformed size or root, or an empty ledger whose root
            is not the empty one.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise Corrupt("A checkpoint does not have exactly three lines: origin, size, root")
    size, root = parse_decimal(lines[1], "size in a checkpoint"), from_base64(lines[2])
    if len(root) != HASH_SIZE or (size == 0 and root != EMPTY_ROOT):
        raise Corrupt(f"The root in a checkpoint cannot be that of {size} entries")
    return Checkpoint(lines[0], size, root)


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> Note:
    """Sign a checkpoint as the ledger: the key's name is the origin."""
    return sign_note(checkpoint.text, checkpoint.origin, signer)


def open_checkpoint(data: bytes, key: VerifierKey) -> Checkpoint:
    """Return the checkpoint in a note that the ledger with this key signed.

    Raises:
        Corrupt: Malformed, not authentic, or of another ledger.
    """
    checkpoint = parse_checkpoint(open_note(data, [key]).text)
    if checkpoint.origin != key.name:
        raise Corrupt(f"A checkpoint is of {checkpoint.origin[:80]}; expected {key.name}")
    return checkpoint
