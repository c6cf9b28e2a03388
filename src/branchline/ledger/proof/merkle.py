"""Merkle trees: hashes, and proofs of inclusion and growth (RFC 6962 §2.1 = RFC 9162 §2.1, SHA-256).

Making a proof needs hashes of *complete* subtrees only; whoever stores the tree hands them in as
``Subtrees``. Checking a proof needs nothing but the proof.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

from branchline.foundation.errors import Corrupt

Subtrees = Callable[[int, int], bytes]
"""``subtree(level, index)``: the root over leaves ``index * 2**level`` to ``(index+1) * 2**level``."""

EMPTY_ROOT = sha256(b"").digest()
"""The root of the tree without leaves."""

HASH_SIZE = 32
"""Bytes in a hash."""


def leaf_hash(leaf: bytes) -> bytes:
    """Hash a leaf: SHA256(0x00 || leaf) (RFC 9162 §2.1.1)."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node: SHA256(0x01 || left || right) (RFC 9162 §2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


def tree_root(subtree: Subtrees, size: int) -> bytes:
    """Return the root over the first ``size`` leaves."""
    return _range_root(subtree, 0, size) if size else EMPTY_ROOT


def inclusion_path(subtree: Subtrees, index: int, size: int) -> tuple[bytes, ...]:
    """Make the inclusion path of a leaf (RFC 9162 §2.1.3.1), the leaf's sibling first.

    Args:
        subtree: Gives the hashes of complete subtrees.
        index: The leaf's position, ``0 <= index < size``.
        size: Leaves in the tree.
    """
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_range_root(subtree, middle, high))
            high = middle
        else:
            path.append(_range_root(subtree, low, middle))
            low = middle
    return tuple(reversed(path))


def growth_path(subtree: Subtrees, old: int, new: int) -> tuple[bytes, ...]:
    """Make the consistency path between two sizes of one tree (RFC 9162 §2.1.4.1).

    Args:
        subtree: Gives the hashes of complete subtrees.
        old: The smaller size, ``1 <= old <= new``.
        new: The larger size.
    """
    if old == new:
        return ()
    hashes = growth_hashes(subtree, old, new)
    return hashes[1:] if is_power_of_two(old) else hashes


def growth_hashes(subtree: Subtrees, old: int, new: int) -> tuple[bytes, ...]:
    """Return the hashes of which both roots are made (``1 <= old < new``).

    That is the consistency path, but with its first hash even where that is the old root itself.
    """
    path: list[bytes] = []
    low, high = 0, new
    while old < high:
        middle = low + _split(high - low)
        if old <= middle:
            path.append(_range_root(subtree, middle, high))
            high = middle
        else:
            path.append(_range_root(subtree, low, middle))
            low = middle
    path.append(_range_root(subtree, low, high))
    return tuple(reversed(path))


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Compute the root that an inclusion path leads to (RFC 9162 §2.1.3.2).

    Args:
        leaf: The leaf's hash.
        index: The leaf's position.
        size: Leaves in the tree.
        path: The inclusion path, the leaf's sibling first.

    Raises:
        Corrupt: The position is outside the tree, or the path has another length than it must.
    """
    if not 0 <= index < size:
        raise Corrupt(f"Position {index} is outside a ledger of {size} entries")
    inner = (index ^ (size - 1)).bit_length()
    expected = inner + (index >> inner).bit_count()
    if len(path) != expected:
        raise Corrupt(
            f"The proof for position {index} of {size} has {len(path)} hashes; expected {expected}"
        )
    root = leaf
    for level, sibling in enumerate(path):
        from_left = level >= inner or index >> level & 1
        root = node_hash(sibling, root) if from_left else node_hash(root, sibling)
    return root


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf's hash stands at a position under a root.

    Raises:
        Corrupt: It does not.
    """
    if root_from_inclusion(leaf, index, size, path) != root:
        raise Corrupt(f"The proof for position {index} does not lead to the root of {size} entries")


def check_growth(
    old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> None:
    """Check that the tree of size ``new`` begins with the tree of size ``old`` (RFC 9162 §2.1.4.2).

    Raises:
        Corrupt: It does not, or ``old`` is not between 1 and ``new``: a proof from nothing
            proves nothing.
    """
    if not 1 <= old <= new:
        raise Corrupt(f"No proof of growth leads from {old} to {new} entries")
    if old == new:
        holds = not path and old_root == new_root
    else:
        hashes = (old_root, *path) if is_power_of_two(old) else path
        holds = roots_from_growth(old, new, hashes) == (old_root, new_root)
    if not holds:
        raise Corrupt(f"The ledger of {new} entries is not a continuation of the one of {old}")


def roots_from_growth(old: int, new: int, hashes: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """Compute the two roots that the hashes of a growth lead to (RFC 9162 §2.1.4.2).

    The hashes and their order follow from the two sizes. So where the second root is the true one,
    the hashes are those of its tree, and the first root is that of its first leaves.

    Args:
        old: The smaller size, ``1 <= old < new``.
        new: The larger size.
        hashes: As ``growth_hashes`` makes them.

    Returns:
        The roots of both sizes, or None if the number of hashes cannot be right.
    """
    shift = (old & -old).bit_length() - 1  # the trailing ones of old - 1
    first, last = (old - 1) >> shift, (new - 1) >> shift
    if not hashes:
        return None
    old_side = new_side = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return None
        if first & 1 or first == last:
            old_side, new_side = node_hash(sibling, old_side), node_hash(sibling, new_side)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            new_side = node_hash(new_side, sibling)
        first, last = first >> 1, last >> 1
    return (old_side, new_side) if last == 0 else None


def is_power_of_two(number: int) -> bool:
    """Tell whether a positive number is 1, 2, 4, 8 …"""
    return number & (number - 1) == 0


def _range_root(subtree: Subtrees, low: int, high: int) -> bytes:
    """Return the root over leaves low to high; low is aligned as the recursion makes it."""
    size = high - low
    level = size.bit_length() - 1
    if size == 1 << level:
        return subtree(level, low >> level)
    middle = low + (1 << level)
    return node_hash(subtree(level, low >> level), _range_root(subtree, middle, high))


def _split(size: int) -> int:
    """Return the largest power of two below ``size`` (``size > 1``)."""
    return 1 << ((size - 1).bit_length() - 1)
