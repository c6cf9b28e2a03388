"""Check a ledger's files against themselves, and name the first that is not what it must be.

Everything is computed again from the entries: leaf hashes, every tile, the root. Nothing here
writes, and nothing is believed but the checkpoint's signature.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import zip_longest

import msgspec

from branchline.foundation.errors import Corrupt, NotFound
from branchline.ledger.edge import Edge, Tile
from branchline.ledger.proof.checkpoint import Checkpoint, open_checkpoint
from branchline.ledger.proof.merkle import HASH_SIZE, leaf_hash
from branchline.ledger.proof.note import VerifierKey
from branchline.ledger.tiles import (
    CHECKPOINT,
    TILE_HEIGHT,
    TILE_WIDTH,
    TileName,
    bundle_name,
    decode_bundle,
    edge_names,
    parse_path,
    split_hashes,
)
from branchline.ledger.vouched import check_vouched

Read = Callable[[str], bytes]
"""Return a file's content by its path; NotFound if there is none."""

Seen = Callable[[int, list[bytes]], None]
"""Told of each bundle that was found right: the position of its first entry, and its entries."""


class Audited(msgspec.Struct, frozen=True):
    """A ledger found to be what its checkpoint says, and the right edge it can grow from."""

    checkpoint: Checkpoint
    edge: Edge


def audit(
    read: Read,
    paths: Iterable[str],
    key: VerifierKey,
    seen: Seen | None = None,
    witnesses: Collection[VerifierKey] = (),
) -> Audited:
    """Check all of a ledger's files; one dropped, altered or reordered entry is noticed.

    1. The checkpoint is authentic.
    2. Each entry has the hash that its tile says; each tile has the hashes that those below give.
    3. The entries give the root in the checkpoint.
    4. The cosigned checkpoint is of the same tree, and every cosignature holds.
    5. Partial files of earlier sizes are the beginnings of those that replaced them.

    Files beyond the checkpoint's size are not looked at: nobody signed them, and the next
    integration writes them anew.

    Args:
        read: Gives a file's content.
        paths: All files there are, in any order; those that no ledger has are ignored.
        key: The ledger's key.
        seen: Told of every bundle in order.
        witnesses: Keys of all its witnesses; without any, cosignatures are passed over.

    Raises:
        Corrupt: The first file that is wrong or missing, with the first position concerned
            (``detail`` holds ``file`` and ``position``).
    """
    checkpoint = open_published(_existing(read, CHECKPOINT), key)
    edge = replay(read, Edge(), checkpoint, seen)
    check_vouched(read, checkpoint, edge, key, witnesses)
    for name in filter(None, map(parse_path, paths)):
        if _end(name) <= checkpoint.size:
            _check_earlier(read, name, checkpoint.size)
    return Audited(checkpoint, edge)


def replay(read: Read, edge: Edge, goal: Checkpoint, seen: Seen | None = None) -> Edge:
    """Grow an edge to a checkpoint by the entries on disk, comparing with every tile on the way.

    Args:
        read: Gives a file's content.
        edge: Where to begin; it is changed.
        goal: The checkpoint that the entries must lead to; no signature is looked at.
        seen: Told of every bundle in order.

    Raises:
        Corrupt: As for ``audit``.
    """
    while edge.size < goal.size:
        bundle = bundle_name(edge.size // TILE_WIDTH, goal.size)
        leaves = _check_bundle(read, bundle, goal)
        hashes = [leaf_hash(leaf) for leaf in leaves]
        held = edge.tiles[0].rows[0] if edge.tiles else []
        if hashes[: len(held)] != held:
            first = bundle.index * TILE_WIDTH
            raise _bad(bundle, first, "begins with other entries than an earlier checkpoint")
        _check_above(read, edge.extend(hashes[len(held) :]), goal)
        if seen:
            seen(bundle.index * TILE_WIDTH, leaves)
    _check_above(read, edge.partial_tiles(), goal)
    if edge.root() != goal.root:
        raise Corrupt(
            f"The {goal.size} entries do not give the root in the checkpoint",
            advice="Restore the ledger's files from a backup; entries were replaced consistently",
            detail={"file": CHECKPOINT},
        )
    return edge


def read_edge(read: Read, size: int) -> Edge:
    """Read the right edge of a size from its tiles; only their lengths are checked.

    Raises:
        Corrupt: A tile is missing or has another length than its name says.
    """
    names = edge_names(size)
    return _edge(size, {name.level or 0: _read_tile(read, name) for name in names})


def edge_of(read: Read, size: int, goal: Checkpoint) -> Edge:
    """Read the right edge of an earlier size from the tiles of a later one.

    Only lengths are checked: whoever goes on from there to the later root learns whether the edge
    was right, as that root follows from it.

    Args:
        read: Gives a file's content.
        size: The earlier size.
        goal: The later checkpoint, whose tiles are there.

    Raises:
        Corrupt: A tile is missing or has another length than its name says.
    """
    hashes = {}
    for name in edge_names(size):
        level = name.level or 0
        stored = _tile_at(goal.size, level, name.index)
        hashes[level] = _read_tile(read, stored)[: name.width]
    return _edge(size, hashes)


def edge_of_full(read: Read, size: int) -> Edge:
    """Compute the right edge of a size between bundles from full tiles alone.

    Args:
        read: Gives a file's content.
        size: A multiple of 256.

    Raises:
        Corrupt: A tile is missing or has another length than its name says.
    """
    hashes: dict[int, list[bytes]] = {}
    level, count = 1, size >> TILE_HEIGHT
    while count:
        below = range(count // TILE_WIDTH * TILE_WIDTH, count)
        tiles = (Tile(_read_tile(read, TileName(level - 1, index))) for index in below)
        hashes[level] = [tile.rows[TILE_HEIGHT][0] for tile in tiles]
        level, count = level + 1, count // TILE_WIDTH
    return _edge(size, hashes)


def open_published(data: bytes, key: VerifierKey) -> Checkpoint:
    """Return a ledger's published checkpoint.

    Raises:
        Corrupt: It is malformed, not authentic, or of another ledger.
    """
    try:
        return open_checkpoint(data, key)
    except Corrupt as error:
        raise Corrupt(
            f"The ledger's file {CHECKPOINT} is not authentic: {error.refused}",
            advice="Restore it from a backup",
            detail={"file": CHECKPOINT},
        ) from error


def _check_bundle(read: Read, bundle: TileName, goal: Checkpoint) -> list[bytes]:
    """Return a bundle's entries if each has the hash that the tile above says."""
    leaves, whole = decode_bundle(_existing(read, bundle.path))
    tile = TileName(0, bundle.index, bundle.width)
    expected = b"".join(map(leaf_hash, leaves))
    _check_tile(read, tile, expected, goal)
    if not whole or len(leaves) != bundle.width:
        last = bundle.index * TILE_WIDTH + len(leaves) - 1
        raise _bad(bundle, last, f"does not have {bundle.width} whole entries")
    return leaves


def _check_above(read: Read, tiles: Iterable[tuple[TileName, bytes]], goal: Checkpoint) -> None:
    """Compare the tiles above level 0, which was compared with its bundle already."""
    for name, data in tiles:
        if name.level:
            _check_tile(read, name, data, goal)


def _check_tile(read: Read, name: TileName, expected: bytes, goal: Checkpoint) -> None:
    """Compare a tile with the hashes that what lies below it gives; tell which of them is wrong."""
    stored = _existing(read, name.path)
    if stored == expected:
        return
    pairs = zip_longest(split_hashes(stored), split_hashes(expected))
    at = next(index for index, (left, right) in enumerate(pairs) if left != right)
    position = _start(name) + (at << TILE_HEIGHT * (name.level or 0))
    if not _vouched(read, name, stored, goal):
        raise _bad(name, position, f"has a wrong hash {at}")
    bundle = bundle_name(position // TILE_WIDTH if name.level else name.index, goal.size)
    raise _bad(bundle, position, f"does not hold the entry {position} that was signed")


def _edge(size: int, hashes: Mapping[int, list[bytes]]) -> Edge:
    levels = range(max(hashes, default=-1) + 1)
    return Edge(size, [Tile(hashes.get(level, ())) for level in levels])


def _read_tile(read: Read, name: TileName) -> list[bytes]:
    """Return a tile's hashes, as many as its name says."""
    data = _existing(read, name.path)
    if len(data) != name.width * HASH_SIZE:
        raise _bad(name, _start(name), f"does not have {name.width} hashes")
    return split_hashes(data)


def _tile_at(size: int, level: int, index: int) -> TileName:
    """Name a tile as it stands in a ledger of a size."""
    count = size >> TILE_HEIGHT * level
    return TileName(level, index, min(TILE_WIDTH, count - index * TILE_WIDTH))


def _vouched(read: Read, name: TileName, stored: bytes, goal: Checkpoint) -> bool:
    """Tell whether the tile above (or, at the right edge, the root) confirms a stored tile."""
    if len(stored) != name.width * HASH_SIZE:
        return False
    try:
        if name.width < TILE_WIDTH:
            return read_edge(read, goal.size).root() == goal.root
        above = (name.level or 0) + 1
        index, offset = divmod(name.index, TILE_WIDTH)
        hashes = split_hashes(_existing(read, _tile_at(goal.size, above, index).path))
    except Corrupt:
        return False
    return hashes[offset : offset + 1] == Tile(split_hashes(stored)).rows[TILE_HEIGHT]


def _check_earlier(read: Read, name: TileName, size: int) -> None:
    """Check that a partial file of an earlier size begins the file that replaced it."""
    width = _tile_at(size, name.level or 0, name.index).width
    if width == name.width:
        return
    data = _existing(read, name.path)
    now = _existing(read, TileName(name.level, name.index, width).path)
    if name.level is None:
        leaves, whole = decode_bundle(data)
        complete = whole and len(leaves) == name.width
    else:
        complete = len(data) == name.width * HASH_SIZE
    if not complete or not now.startswith(data):
        raise _bad(name, _start(name), "is not the beginning of the file that replaced it")


def _start(name: TileName) -> int:
    """Return the first position below a tile or in a bundle."""
    return name.index << TILE_HEIGHT * ((name.level or 0) + 1)


def _end(name: TileName) -> int:
    """Return the position after the last below a tile or in a bundle."""
    return _start(name) + (name.width << TILE_HEIGHT * (name.level or 0))


def _existing(read: Read, path: str) -> bytes:
    try:
        return read(path)
    except NotFound as error:
        raise Corrupt(
            f"The ledger's file {path} is missing",
            advice="Restore it from a backup",
            detail={"file": path},
        ) from error


def _bad(name: TileName, position: int, why: str) -> Corrupt:
    return Corrupt(
        f"The ledger's file {name.path} {why} (position {position})",
        advice="Restore it from a backup",
        detail={"file": name.path, "position": position},
    )
