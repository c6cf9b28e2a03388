"""What new entries add to a ledger's files: a pure step that the log and its mirrors share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from branchline.ledger.edge import Edge
from branchline.ledger.files import Files
from branchline.ledger.proof.merkle import leaf_hash
from branchline.ledger.tiles import TILE_WIDTH, TileName, bundle_name, edge_names, encode_bundle


class Held(msgspec.Struct, frozen=True):
    """What must be in memory of a ledger to let it grow.

    Args:
        edge: The right edge of the tree.
        tail: The entries of the partial bundle, which the next one repeats.
    """

    edge: Edge
    tail: Sequence[bytes] = ()


class Growth(msgspec.Struct, frozen=True):
    """A ledger with new entries, before anything is written.

    Args:
        held: What is in memory from then on.
        files: The new files by path. None replaces another one: names of tiles tell their width.
        full: The tiles that became full; what was partial before them is superseded.
    """

    held: Held
    files: dict[str, bytes]
    full: list[TileName]


def grow(old: Held, leaves: Sequence[bytes], *, partial: bool = True) -> Growth:
    """Add entries to a ledger.

    Args:
        old: What is held; it is not changed.
        leaves: The entries that follow.
        partial: Whether partial tiles are written; without them the ledger cannot be published.
    """
    edge = old.edge.copy()
    full = edge.extend(map(leaf_hash, leaves))
    tiles = list(full)
    if partial:
        known = set(edge_names(old.edge.size))
        tiles += [(name, data) for name, data in edge.partial_tiles() if name not in known]
    pending = [*old.tail, *leaves]
    files = {name.path: data for name, data in tiles} | _bundles(pending, edge.size)
    tail = pending[len(pending) - edge.size % TILE_WIDTH :]
    return Growth(Held(edge, tail), files, [name for name, _ in full])


def drop_partial(files: Files, full: Iterable[TileName]) -> None:
    """Remove the partial forerunners of full tiles and bundles (tlog-tiles, "Partial Tiles").

    A crash leaves some of them: they are still true, and the audit still checks them.
    """
    for name in full:
        files.remove_folder(f"{name.path}.p")
        if name.level == 0:
            files.remove_folder(f"{TileName(None, name.index).path}.p")


def _bundles(leaves: Sequence[bytes], size: int) -> dict[str, bytes]:
    """Return the bundles that end a ledger of ``size``; the first leaf begins one."""
    first = (size - len(leaves)) // TILE_WIDTH
    return {
        bundle_name(first + at // TILE_WIDTH, size).path: encode_bundle(
            leaves[at : at + TILE_WIDTH]
        )
        for at in range(0, len(leaves), TILE_WIDTH)
    }
