"""Small logs in memory that may lie: every checkpoint of a history, signed, and every proof."""

from __future__ import annotations

from collections.abc import Sequence

from tests.ledger.vectors import ORIGIN, entries, log_identity

from branchline.ledger.proof.checkpoint import Checkpoint, sign_checkpoint
from branchline.ledger.proof.merkle import (
    EMPTY_ROOT,
    growth_path,
    inclusion_path,
    leaf_hash,
    node_hash,
)
from branchline.ledger.proof.receipt import Receipt
from branchline.ledger.witness.wire import Request


class History:
    """One history of a log; two of them that differ are a fork.

    Args:
        leaves: All entries there will ever be.
        origin: The log's name; its key is that of the vectors.
    """

    def __init__(self, leaves: Sequence[bytes], origin: str = ORIGIN) -> None:
        self.leaves, self.origin = list(leaves), origin
        self.hashes = [leaf_hash(leaf) for leaf in leaves]

    def subtree(self, level: int, index: int) -> bytes:
        """Give the root of a complete subtree."""
        return self.root_over(index << level, (index + 1) << level)

    def root_over(self, low: int, high: int) -> bytes:
        """Compute a root by the recursive definition."""
        if high - low == 0:
            return EMPTY_ROOT
        if high - low == 1:
            return self.hashes[low]
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        return node_hash(self.root_over(low, middle), self.root_over(middle, high))

    def checkpoint(self, size: int) -> Checkpoint:
        """Return the checkpoint of a size."""
        return Checkpoint(self.origin, size, self.root_over(0, size))

    def note(self, size: int) -> str:
        """Return the checkpoint of a size as the log signs it."""
        return sign_checkpoint(self.checkpoint(size), log_identity()).full_text

    def path(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the consistency path between two sizes; from 0 it is empty."""
        return growth_path(self.subtree, old, new) if old else ()

    def request(self, old: int, new: int) -> Request:
        """Ask a witness that has the one size to cosign the other."""
        return Request(old, self.path(old, new), self.note(new).encode())

    def receipt(self, position: int, size: int, note: str | None = None) -> Receipt:
        """Prove an entry at a size."""
        path = inclusion_path(self.subtree, position, size)
        return Receipt(position, path, note or self.note(size))


def fork(shared: int, size: int) -> tuple[History, History]:
    """Make two histories that share their first entries and nothing after them."""
    common = entries(shared)
    others = [b"forged %d" % number for number in range(shared, size)]
    return History(entries(size)), History(common + others)
