"""Names and contents of a ledger's static files (C2SP tlog-tiles v0.1.0).

``tile/<L>/<N>`` holds 256 hashes, ``tile/entries/<N>`` the 256 entries below a level-0 tile; the
last of each row is partial and bears its width: ``….p/<W>``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from branchline.foundation.errors import Refused
from branchline.ledger.proof.merkle import HASH_SIZE

TILE_WIDTH = 256
"""Hashes in a full tile, entries in a full bundle."""

TILE_HEIGHT = 8
"""Tree levels in one tile."""

MAX_LEAF = 65_535
"""The most bytes an entry may have: its length stands in two bytes."""

CHECKPOINT = "checkpoint"
"""The name of the file with the latest checkpoint."""

COSIGNED = "cosigned"
"""The name of the file with the latest checkpoint that witnesses have cosigned."""

_NAME = re.compile(
    r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x\d{3}/)*\d{3})(?:\.p/([0-9]{1,3}))?"
)


class TileName(msgspec.Struct, frozen=True):
    """Where a tile or a bundle of entries stands.

    Args:
        level: The tile's level, or None for a bundle of entries.
        index: Its number within the level, from 0.
        width: Hashes or entries in it, 1 to 256.
    """

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The file's path below the ledger's folder (tlog-tiles, "Merkle Tree")."""
        digits = f"{self.index:03d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        number = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{'entries' if self.level is None else self.level}/{number}{partial}"


def parse_path(path: str) -> TileName | None:
    """Read a file's path, or return None if it is not the one spelling of a tile's name."""
    match = _NAME.fullmatch(path)
    if match is None:
        return None
    level, number, width = match.groups()
    name = TileName(
        level=None if level == "entries" else int(level),
        index=int(number.replace("x", "").replace("/", "")),
        width=TILE_WIDTH if width is None else int(width),
    )
    return name if name.path == path and 0 < name.width <= TILE_WIDTH else None


def bundle_name(index: int, size: int) -> TileName:
    """Name the bundle with a number as it stands in a ledger of ``size`` entries."""
    return TileName(None, index, min(TILE_WIDTH, size - index * TILE_WIDTH))


def edge_names(size: int) -> list[TileName]:
    """Name the right edge of a ledger: the partial tiles, at most one a level, from level 0 up."""
    names: list[TileName] = []
    level, count = 0, size
    while count:
        if count % TILE_WIDTH:
            names.append(TileName(level, count // TILE_WIDTH, count % TILE_WIDTH))
        level, count = level + 1, count // TILE_WIDTH
    return names


def check_leaf(leaf: bytes) -> None:
    """Refuse a leaf that does not fit into a bundle.

    Raises:
        Refused: The leaf has more than 65,535 bytes.
    """
    if len(leaf) > MAX_LEAF:
        raise Refused(
            f"An entry has {len(leaf)} bytes; the ledger takes at most {MAX_LEAF}",
            advice="Store the large part elsewhere and enter its digest",
        )


def encode_bundle(leaves: Iterable[bytes]) -> bytes:
    """Write entries as a bundle: for each its length (uint16, big-endian) and its bytes."""
    return b"".join(len(leaf).to_bytes(2) + leaf for leaf in leaves)


def decode_bundle(data: bytes) -> tuple[list[bytes], bool]:
    """Read a bundle's entries, and whether the last one is whole.

    A torn bundle is not refused here: whoever compares it with its tile can say where it differs.
    """
    leaves: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + 2
        at = start + int.from_bytes(data[at:start])
        leaves.append(data[start:at])
    return leaves, at == len(data)


def split_hashes(data: bytes) -> list[bytes]:
    """Cut a tile into its hashes; a torn last hash stays torn."""
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]
