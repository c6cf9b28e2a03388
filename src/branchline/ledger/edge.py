"""The right edge of a growing tree: what must be in memory to add leaves and to prove them.

Of every tile level only the last, still partial tile is held: at most 255 hashes a level.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from branchline.ledger.proof.merkle import EMPTY_ROOT, node_hash
from branchline.ledger.tiles import TILE_HEIGHT, TILE_WIDTH, TileName


class Tile:
    """A tile's hashes with the tree built over them.

    Args:
        hashes: The hashes it begins with.

    ``rows[k][i]`` is the root over its hashes ``i * 2**k`` to ``(i+1) * 2**k``.
    """

    __slots__ = ("rows",)

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self.rows: list[list[bytes]] = [list(hashes)]
        for height in range(TILE_HEIGHT):
            below = self.rows[height]
            pairs = zip(below[::2], below[1::2], strict=False)
            self.rows.append([node_hash(left, right) for left, right in pairs])

    @property
    def width(self) -> int:
        """Hashes in it, 0 to 256."""
        return len(self.rows[0])

    @property
    def data(self) -> bytes:
        """The tile as it stands in its file."""
        return b"".join(self.rows[0])

    def append(self, item: bytes) -> None:
        """Add a hash at the right; the tile must not be full."""
        height = 0
        row = self.rows[0]
        row.append(item)
        while not len(row) & 1:
            item = node_hash(row[-2], item)
            height += 1
            row = self.rows[height]
            row.append(item)
            if height == TILE_HEIGHT:
                break

    def copy(self) -> Tile:
        """Return a tile that can grow without changing this one."""
        twin = Tile()
        twin.rows = [row.copy() for row in self.rows]
        return twin


class Edge:
    """The last tile of every level of a tree, each partial or empty.

    Args:
        size: Leaves in the tree.
        tiles: The last tiles, from level 0 up; ``size`` says how wide each must be.
    """

    __slots__ = ("size", "tiles")

    def __init__(self, size: int = 0, tiles: Sequence[Tile] = ()) -> None:
        self.size = size
        self.tiles = list(tiles)

    def extend(self, leaf_hashes: Iterable[bytes]) -> list[tuple[TileName, bytes]]:
        """Add leaves at the right and return the tiles that became full, with their bytes."""
        full: list[tuple[TileName, bytes]] = []
        for item in leaf_hashes:
            self._append(0, item, full)
            self.size += 1
        return full

    def partial_tiles(self) -> list[tuple[TileName, bytes]]:
        """Return the partial tiles with their bytes, from level 0 up; never an empty one."""
        return [
            (TileName(level, self.size >> TILE_HEIGHT * (level + 1), tile.width), tile.data)
            for level, tile in enumerate(self.tiles)
            if tile.width
        ]

    def root(self) -> bytes:
        """Return the root over all leaves."""
        root: bytes | None = None
        for tile in self.tiles:
            for height in range(TILE_HEIGHT):
                if tile.width >> height & 1:
                    peak = tile.rows[height][-1]
                    root = peak if root is None else node_hash(peak, root)
        return EMPTY_ROOT if root is None else root

    def copy(self) -> Edge:
        """Return an edge that can grow without changing this one."""
        return Edge(self.size, [tile.copy() for tile in self.tiles])

    def _append(self, level: int, item: bytes, full: list[tuple[TileName, bytes]]) -> None:
        if level == len(self.tiles):
            self.tiles.append(Tile())
        tile = self.tiles[level]
        tile.append(item)
        if tile.width == TILE_WIDTH:
            index = self.size >> TILE_HEIGHT * (level + 1)
            full.append((TileName(level, index), tile.data))
            self.tiles[level] = Tile()
            self._append(level + 1, tile.rows[TILE_HEIGHT][0], full)
