"""Hashes of a published ledger's complete subtrees, of which every proof is made."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from branchline.foundation.errors import Corrupt
from branchline.ledger.edge import Edge, Tile
from branchline.ledger.proof.merkle import HASH_SIZE, Subtrees
from branchline.ledger.tiles import TILE_HEIGHT, TILE_WIDTH, TileName, split_hashes

_CACHED_TILES = 128


class StoredTiles:
    """Full tiles, read from their files when they are first needed.

    Full tiles never change, so what was read once is kept (at most 128 tiles, about 5 MB). What
    they hold is not checked here but by whoever sees the proof.

    Args:
        read: Gives a file's content by its path.
    """

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self._tile = lru_cache(_CACHED_TILES)(self._read_tile)

    def subtrees(self, edge: Edge) -> Subtrees:
        """Give the hashes of complete subtrees of the tree with this right edge."""

        def subtree(level: int, index: int) -> bytes:
            tile_level, height = divmod(level, TILE_HEIGHT)
            number, offset = divmod(index << height, TILE_WIDTH)
            at_edge = number == edge.size >> TILE_HEIGHT * (tile_level + 1)
            tile = edge.tiles[tile_level] if at_edge else self._tile(tile_level, number)
            return tile.rows[height][offset >> height]

        return subtree

    def _read_tile(self, level: int, number: int) -> Tile:
        name = TileName(level, number)
        data = self._read(name.path)
        if len(data) != TILE_WIDTH * HASH_SIZE:
            raise Corrupt(
                f"The ledger's file {name.path} does not have {TILE_WIDTH} hashes",
                advice="Restore it from a backup",
                detail={"file": name.path},
            )
        return Tile(split_hashes(data))
