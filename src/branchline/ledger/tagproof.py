"""Proofs by a tag tree: which entries bear some tags, and that no others do.

A tag tree is an RFC 6962 tree whose leaves are all tags of a ledger's first entries, each
with the position of its entry (``tag16 || uint64be(position)``), sorted. Its head (size, root,
number of entries covered) is the content of a ledger entry. So a reader who holds no copy of the
ledger can be shown that a tag is absent: two neighbours stand in the tree between which it would
have to be.

The head is only as good as those who vouch for it: a reader believes that whoever cosigned the
checkpoint that holds it made the tree anew from the entries and found the same root.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from operator import ge
from typing import Annotated, NamedTuple

import msgspec

from branchline.foundation.encoding import from_base64url
from branchline.foundation.errors import Corrupt
from branchline.ledger.proof.checkpoint import LARGEST
from branchline.ledger.proof.merkle import EMPTY_ROOT, HASH_SIZE, leaf_hash, node_hash
from branchline.ledger.topics import TAG_BYTES

RECORD_BYTES = TAG_BYTES + 8
"""The length of a leaf of a tag tree."""

MAX_TAG_PROOF = 1 << 24
"""The most bytes of a proof that are read."""

_HEADER = b"bl-tag-proof/v1\n"
_COUNT_BYTES, _NUMBER_BYTES = 4, 8
_LEAF_BYTES = _NUMBER_BYTES + RECORD_BYTES
_LABEL = b"bl-tag-tree/v1\n"


Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]
"""A number of tags or entries as it stands in messages."""


class TagTreeHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a tag tree is named by; as plain values, the fields of the entry that states it.

    Args:
        size: Tags in the tree.
        root: Its root, 32 bytes.
        covered: The tree holds all tags of the ledger's first ``covered`` entries, and no others.
    """

    size: Count
    root: bytes
    covered: Count


class TagLeaf(NamedTuple):
    """A leaf of a tag tree with its place.

    Args:
        place: Where in the tree it stands.
        record: The tag and the position, 24 bytes.
    """

    place: int
    record: bytes

    @property
    def tag(self) -> bytes:
        """The tag's 16 bytes."""
        return self.record[:TAG_BYTES]

    @property
    def position(self) -> int:
        """The position in the ledger of the entry that bears the tag."""
        return int.from_bytes(self.record[TAG_BYTES:])


class TagProof(msgspec.Struct, frozen=True):
    """Leaves of a tag tree, and the hashes that lead from all of them to its root.

    Args:
        leaves: In the order of their places; for each tag asked for, all leaves that bear it, with
            the neighbours before and after.
        hashes: Roots of the largest parts of the tree without a proven leaf, from left to right.
    """

    leaves: tuple[TagLeaf, ...]
    hashes: tuple[bytes, ...]

    @property
    def data(self) -> bytes:
        """The proof as a file: a header line, the number of leaves, the leaves, the hashes."""
        leaves = (leaf.place.to_bytes(_NUMBER_BYTES) + leaf.record for leaf in self.leaves)
        count = len(self.leaves).to_bytes(_COUNT_BYTES)
        return b"".join((_HEADER, count, *leaves, *self.hashes))


def parse_tag_proof(data: bytes) -> TagProof:
    """Read a proof; nothing is verified.

    Raises:
        Corrupt: Not a proof by a tag tree.
    """
    body = data[len(_HEADER) + _COUNT_BYTES :]
    count = int.from_bytes(data[len(_HEADER) :][:_COUNT_BYTES])
    rest = len(body) - count * _LEAF_BYTES
    shaped = data.startswith(_HEADER) and len(data) >= len(_HEADER) + _COUNT_BYTES
    if not shaped or len(data) > MAX_TAG_PROOF or rest < 0 or rest % HASH_SIZE:
        raise Corrupt("A proof by a tag tree is malformed or cut")
    leaves, hashes = body[: len(body) - rest], body[len(body) - rest :]
    return TagProof(
        tuple(
            TagLeaf(int.from_bytes(part[:_NUMBER_BYTES]), part[_NUMBER_BYTES:])
            for part in _parts(leaves, _LEAF_BYTES)
        ),
        tuple(_parts(hashes, HASH_SIZE)),
    )


class ProvenTags:
    """What a proof says once it was checked.

    Args:
        proof: The proof, from anybody.
        head: From an entry whose receipt and signer were checked.

    Raises:
        Corrupt: The leaves do not stand at their places under the head's root, or are not sorted,
            or are of entries that the tree does not cover.
    """

    def __init__(self, proof: TagProof, head: TagTreeHead) -> None:
        if _root(proof, head.size) != head.root:
            raise Corrupt(f"A proof does not lead to the root of a tag tree of {head.size} tags")
        _check_order(proof.leaves, head.covered)
        self._leaves, self._size = proof.leaves, head.size
        self._tags = [leaf.tag for leaf in proof.leaves]

    def positions(self, tag: str) -> list[int]:
        """Return where in the ledger the entries stand that bear a tag, ascending; maybe none.

        The neighbours before and after them have to be proven too (or the tree ends there): so
        there are no others.

        Raises:
            Corrupt: The proof leaves open where the tag stands.
        """
        wanted = from_base64url(tag)
        first, end = bisect_left(self._tags, wanted), bisect_right(self._tags, wanted)
        before = self._leaves[first - 1].place if first else -1
        after = self._leaves[end].place if end < len(self._leaves) else self._size
        if after - before - 1 != end - first:
            raise Corrupt(f"A proof by a tag tree does not settle where the tag {tag} stands")
        return [leaf.position for leaf in self._leaves[first:end]]


def check_tags(proof: TagProof, head: TagTreeHead, tags: Iterable[str]) -> dict[str, list[int]]:
    """Return where in the ledger each tag stands: all of its entries and no others.

    Raises:
        Corrupt: As ``ProvenTags``.
    """
    proven = ProvenTags(proof, head)
    return {tag: proven.positions(tag) for tag in tags}


def statement_topic(origin: str) -> bytes:
    """Return the secret, known to everybody, of the topic of a ledger's tag tree heads.

    The entries that state the heads of the tag trees are numbered in it, so that anybody finds
    them: ``SHA256("bl-tag-tree/v1\\n" || origin)``.
    """
    return sha256(_LABEL + origin.encode()).digest()


def _check_order(leaves: Sequence[TagLeaf], covered: int) -> None:
    records = [leaf.record for leaf in leaves]
    ordered = not any(map(ge, records, records[1:]))
    if not ordered or any(leaf.position >= covered for leaf in leaves):
        raise Corrupt("A proof by a tag tree has leaves out of order, or of entries not covered")


def _root(proof: TagProof, size: int) -> bytes | None:
    """Compute the root that a proof leads to, or None if it has other parts than it must."""
    places = [leaf.place for leaf in proof.leaves]
    if any(map(ge, places, places[1:])) or (places and places[-1] >= size):
        return None
    hashes = iter(proof.hashes)

    def root(low: int, high: int, first: int, end: int) -> bytes:
        """Return the root over places low to high, among which are the leaves first to end."""
        if first == end:
            return next(hashes)
        if high - low == 1:
            return leaf_hash(proof.leaves[first].record)
        middle = middle_of(low, high)
        cut = bisect_left(places, middle, first, end)
        return node_hash(root(low, middle, first, cut), root(middle, high, cut, end))

    try:
        whole = root(0, size, 0, len(places)) if size else EMPTY_ROOT
    except StopIteration:
        return None
    return whole if next(hashes, None) is None else None


def middle_of(low: int, high: int) -> int:
    """Return where the tree over leaves low to high divides (RFC 6962 §2.1); ``high > low + 1``."""
    return low + (1 << (high - low - 1).bit_length() - 1)


def _parts(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
