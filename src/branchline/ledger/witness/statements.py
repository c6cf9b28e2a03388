"""What a mirror does before its witness vouches for a statement: it makes the tag tree anew.

A light reader believes a tag tree because those who hold the whole ledger cosigned it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock

from branchline.foundation.errors import Corrupt
from branchline.ledger.proof.note import VerifierKey
from branchline.ledger.statements import check_statement, stated_in
from branchline.ledger.tagtree import NewTags, TagTree
from branchline.ledger.tiles import TILE_WIDTH, bundle_name, decode_bundle


class Statements:
    """Judge the statements in a mirror.

    Memory is 24 bytes a tag, from the first statement on; without one, nothing.

    Args:
        read: Gives a file of the mirror.
        log: The ledger's key.
    """

    def __init__(self, read: Callable[[str], bytes], log: VerifierKey) -> None:
        self._read, self._log, self._lock = read, log, Lock()
        self._tags = NewTags()

    def check(self, first: int, size: int) -> None:
        """Check every statement among the entries from a position on.

        Args:
            first: Those before it were checked.
            size: How many entries the mirror holds.

        Raises:
            Corrupt: A statement names another head than that of the tree over these entries.
            NotFound: The mirror has fewer entries.
        """
        for position, leaf in self._leaves(first, size):
            covered = stated_in(leaf, position, self._log)
            if covered is not None:
                self._judge(leaf, position, covered, size)

    def _judge(self, leaf: bytes, position: int, covered: int, size: int) -> None:
        with self._lock:
            if covered < self._tags.covered:
                self._tags = NewTags()  # an earlier tree is stated again: begin anew
            for at, entry in self._leaves(self._tags.covered, size, end=covered):
                self._tags.take(at, [entry])
            head = TagTree(bytes(self._tags.records), covered).head
        try:
            check_statement(leaf, position, head, self._log)
        except Corrupt as error:
            raise Corrupt(
                f"The entry {position} states another tag tree than that of the {covered} entries "
                "it covers",
                advice="Show the ledger to everybody who relies on it: it was signed by its own key",
                detail={"position": position},
            ) from error

    def _leaves(self, first: int, size: int, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield the entries of the mirror, which holds so many, with their positions."""
        end = size if end is None else end
        for index in range(first // TILE_WIDTH, -(-end // TILE_WIDTH)):
            leaves, _ = decode_bundle(self._read(bundle_name(index, size).path))
            for position, leaf in enumerate(leaves, index * TILE_WIDTH):
                if first <= position < end:
                    yield position, leaf
