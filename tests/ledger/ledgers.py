"""A ledger's files in memory, of whatever leaves a sequencer may have put there."""

from __future__ import annotations

from collections.abc import Iterable

from tests.ledger.vectors import ORIGIN

from branchline.foundation.errors import NotFound
from branchline.ledger.edge import Edge
from branchline.ledger.proof.checkpoint import Checkpoint
from branchline.ledger.proof.merkle import inclusion_path, leaf_hash
from branchline.ledger.proof.receipt import Receipt
from branchline.ledger.stored import StoredTiles
from branchline.ledger.tagtree import NewTags, TagTree
from branchline.ledger.tiles import TILE_WIDTH, bundle_name, encode_bundle


class Ledger:
    """A ledger's files in memory, in whatever order a sequencer puts the leaves."""

    def __init__(self, leaves: Iterable[bytes]) -> None:
        self.leaves = list(leaves)
        self.files: dict[str, bytes] = {}
        edge = Edge()
        full = edge.extend(map(leaf_hash, self.leaves))
        for name, data in full + edge.partial_tiles():
            self.files[name.path] = data
        size = len(self.leaves)
        for index in range(-(-size // TILE_WIDTH)):
            part = self.leaves[index * TILE_WIDTH : (index + 1) * TILE_WIDTH]
            self.files[bundle_name(index, size).path] = encode_bundle(part)
        self.checkpoint = Checkpoint(ORIGIN, size, edge.root())
        self._edge = edge

    def read(self, path: str) -> bytes:
        """Return a file."""
        if path not in self.files:
            raise NotFound(f"There is no {path}")
        return self.files[path]

    def receipt(self, position: int, note: str) -> Receipt:
        """Prove an entry by a signed checkpoint."""
        subtree = StoredTiles(self.read).subtrees(self._edge)
        return Receipt(position, inclusion_path(subtree, position, len(self.leaves)), note)

    def tag_tree(self) -> TagTree:
        """Sort all tags."""
        gathered = NewTags()
        gathered.take(0, self.leaves)
        return TagTree().grown(gathered)
