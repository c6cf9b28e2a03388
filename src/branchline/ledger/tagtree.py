"""The tag tree of a ledger, built and proved from: all tags of its first entries, sorted.

A million tags take 24 MB, and half a megabyte of hashes: of the tree only the roots of each 64
leaves and what is above them are held; what is below is hashed again for each proof.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property

from branchline.foundation.encoding import from_base64url
from branchline.foundation.errors import Corrupt
from branchline.ledger.entry import leaf_tags
from branchline.ledger.proof.merkle import leaf_hash, node_hash, tree_root
from branchline.ledger.tagproof import RECORD_BYTES, TagLeaf, TagProof, TagTreeHead, middle_of
from branchline.ledger.topics import TAG_BYTES

_HELD = 6
"""Roots of complete subtrees are held from this level up."""

_BLOCK = RECORD_BYTES << _HELD


class TagTree:
    """All tags of a ledger's first entries, sorted, with the Merkle tree over them.

    It never changes; ``grown`` makes a new one.

    Args:
        records: Each tag (16 bytes) with its entry's position (8 bytes, big-endian), in any order,
            none twice.
        covered: How many entries of the ledger were looked at.
    """

    def __init__(self, records: bytes = b"", covered: int = 0) -> None:
        self.records, self.covered = _sorted(records), covered

    @cached_property
    def _rows(self) -> list[list[bytes]]:
        """The roots held, level by level; not made for whoever only looks tags up."""
        rows = [_block_roots(self.records)]
        while len(rows[-1]) > 1:
            rows.append(_level_above(rows[-1]))
        return rows

    @property
    def size(self) -> int:
        """Tags in the tree."""
        return len(self.records) // RECORD_BYTES

    @property
    def head(self) -> TagTreeHead:
        """What the tree is named by, to be stated in an entry."""
        return TagTreeHead(self.size, tree_root(self._subtree, self.size), self.covered)

    def grown(self, added: NewTags) -> TagTree:
        """Return the tree that also covers the entries that came after.

        Most places shift, so nearly all of it is hashed anew: about as long as building it.

        Raises:
            Corrupt: What is added does not begin where the tree ends.
        """
        if added.first != self.covered:
            raise Corrupt(
                f"A tag tree covers {self.covered} entries; it cannot go on from {added.first}"
            )
        return TagTree(self.records + bytes(added.records), added.covered)

    def positions(self, tag: str) -> list[int]:
        """Return where in the ledger the entries stand that bear a tag, ascending."""
        first, end = self._run(tag)
        return [self._leaf(place).position for place in range(first, end)]

    def prove(self, tags: Iterable[str]) -> TagProof:
        """Prove where each tag stands, or that it does not; ``tagproof.check_tags`` checks it."""
        wanted: set[int] = set()
        for tag in tags:
            first, end = self._run(tag)
            wanted.update(range(max(first - 1, 0), min(end + 1, self.size)))
        places = sorted(wanted)
        hashes: list[bytes] = []
        if self.size:
            self._collect(0, self.size, places, hashes)
        return TagProof(tuple(map(self._leaf, places)), tuple(hashes))

    def _run(self, tag: str) -> tuple[int, int]:
        """Return the places from the first leaf that bears a tag to the one after the last."""
        wanted, places = from_base64url(tag), range(self.size)
        first = bisect_left(places, wanted, key=self._tag)
        return first, bisect_right(places, wanted, lo=first, key=self._tag)

    def _tag(self, place: int) -> bytes:
        at = place * RECORD_BYTES
        return self.records[at : at + TAG_BYTES]

    def _leaf(self, place: int) -> TagLeaf:
        at = place * RECORD_BYTES
        return TagLeaf(place, self.records[at : at + RECORD_BYTES])

    def _collect(self, low: int, high: int, places: Sequence[int], hashes: list[bytes]) -> None:
        """Gather the roots of the largest parts, from low to high, without any of the places."""
        if not places:
            hashes.append(self._range_root(low, high))
        elif high - low > 1:
            middle = middle_of(low, high)
            cut = bisect_left(places, middle)
            self._collect(low, middle, places[:cut], hashes)
            self._collect(middle, high, places[cut:], hashes)

    def _range_root(self, low: int, high: int) -> bytes:
        level = (high - low).bit_length() - 1
        if high - low == 1 << level:
            return self._subtree(level, low >> level)
        middle = middle_of(low, high)
        return node_hash(self._range_root(low, middle), self._range_root(middle, high))

    def _subtree(self, level: int, index: int) -> bytes:
        """Return the root of a complete subtree, as ``merkle.Subtrees`` does."""
        if level >= _HELD:
            return self._rows[level - _HELD][index]
        size = RECORD_BYTES << level
        return _root(self.records[index * size : (index + 1) * size])


class NewTags:
    """The tags of entries that came one after another, on their way into a tag tree.

    Args:
        first: The position of the first entry.
    """

    def __init__(self, first: int = 0) -> None:
        self.first = self.covered = first
        self.records = bytearray()

    def take(self, first: int, leaves: Iterable[bytes]) -> None:
        """Take in the leaves from a position on; fits ``audit`` and ``replay`` as ``seen``.

        Leaves that are no entries bear no tags. Entries that were taken already are passed over.

        Raises:
            Corrupt: Entries are left out between those taken and these.
        """
        if first > self.covered:
            raise Corrupt(f"Entries from {first} on do not continue those up to {self.covered}")
        for position, leaf in enumerate(leaves, first):
            if position >= self.covered:
                for tag in leaf_tags(leaf):
                    self.records += from_base64url(tag) + position.to_bytes(8)
                self.covered = position + 1

    def first_of(self, covered: int) -> bytes:
        """Return the records of the entries before a position."""
        places = range(len(self.records) // RECORD_BYTES)
        return bytes(
            self.records[: bisect_left(places, covered, key=self._position) * RECORD_BYTES]
        )

    def _position(self, place: int) -> int:
        at = place * RECORD_BYTES
        return int.from_bytes(self.records[at + TAG_BYTES : at + RECORD_BYTES])


def _sorted(records: bytes) -> bytes:
    import numpy as np  # an idle station is spared it until there are tags to sort

    numbers = np.frombuffer(records, dtype=">u8").reshape(-1, RECORD_BYTES // 8)
    order = np.lexsort((numbers[:, 2], numbers[:, 1], numbers[:, 0]))
    return numbers[order].tobytes()


def _block_roots(records: bytes) -> list[bytes]:
    """Return the root of each complete block of 64 leaves."""
    whole = len(records) // _BLOCK * _BLOCK
    return [_root(records[at : at + _BLOCK]) for at in range(0, whole, _BLOCK)]


def _root(records: bytes) -> bytes:
    """Return the root over a power of two of leaves."""
    starts = range(0, len(records), RECORD_BYTES)
    row = [leaf_hash(records[at : at + RECORD_BYTES]) for at in starts]
    while len(row) > 1:
        row = _level_above(row)
    return row[0]


def _level_above(row: Sequence[bytes]) -> list[bytes]:
    return [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=False)]
