"""Blobs on their way: zstd-compressed, named by the digest of what is inside.

Source: RFC 8878. Compressed bytes differ with the library's version, so no name depends on them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from branchline.foundation.digest import Bytes, Digest, digest_from, short
from branchline.foundation.errors import Corrupt

_PIECE = 1 << 20


def compress(pieces: Iterable[Bytes], file: Path) -> None:
    """Write pieces, joined and compressed, into a file; not made durable."""
    # pyarrow comes with the first image, not with an idle program.
    import pyarrow as pa

    with pa.OSFile(str(file), "wb") as raw, pa.CompressedOutputStream(raw, "zstd") as target:
        for piece in pieces:
            target.write(piece)


def expand(file: Path, digest: Digest, size: int) -> Iterator[bytes]:
    """Yield what a compressed blob holds, piece by piece.

    The last piece is followed by the check of size and digest: whoever takes pieces earlier must
    not use them before the end is reached.

    Args:
        file: The compressed blob.
        digest: What the content must be.
        size: How many bytes it must have; not one more is ever expanded.

    Raises:
        Corrupt: It is another content, or none.
    """
    import pyarrow as pa

    state, done = hashlib.sha256(), 0
    try:
        with pa.OSFile(str(file)) as raw, pa.CompressedInputStream(raw, "zstd") as source:
            while piece := source.read(min(_PIECE, size - done + 1)):
                done += len(piece)
                if done > size:
                    raise Corrupt(f"Blob {short(digest)} has more than the {size} bytes announced")
                state.update(piece)
                yield piece
    except OSError as error:
        raise Corrupt(f"Blob {short(digest)} is not zstd-compressed, or was cut") from error
    if done != size or digest_from(state.digest()) != digest:
        raise Corrupt(f"The bytes that came are not those of blob {digest}")


def check(file: Path, digest: Digest, size: int) -> None:
    """Check that a compressed blob holds what it must.

    Raises:
        Corrupt: It does not.
    """
    for _ in expand(file, digest, size):
        pass
