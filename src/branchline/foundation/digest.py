"""Digests: the names of things by their content (``sha256:`` and 64 hexadecimal digits)."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, NewType

import msgspec

from branchline.foundation.errors import Refused

Bytes = bytes | bytearray | memoryview
"""Anything that holds bytes in one piece; large ones are passed on without copying."""

Digest = NewType("Digest", str)
"""A content's name: ``sha256:`` followed by 64 lower-case hexadecimal digits."""

PATTERN = r"^sha256:[0-9a-f]{64}$(?!\n)"
WireDigest = Annotated[Digest, msgspec.Meta(pattern=PATTERN)]
"""A digest as it stands in messages, checked while parsing."""

_SHAPE = re.compile(PATTERN)
_CHUNK = 1 << 20


def digest_of(data: Bytes) -> Digest:
    """Name bytes by their SHA-256."""
    return digest_from(hashlib.sha256(data).digest())


def digest_from(sha256: bytes) -> Digest:
    """Write a SHA-256 that was computed elsewhere as a digest."""
    return Digest("sha256:" + sha256.hex())


def sha256_of(digest: Digest) -> bytes:
    """Return the SHA-256 that a digest writes."""
    return bytes.fromhex(digest.removeprefix("sha256:"))


def digest_of_file(path: Path) -> Digest:
    """Name a file's content by its SHA-256, reading it in pieces."""
    state = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            state.update(piece)
    return Digest("sha256:" + state.hexdigest())


def parse_digest(text: str) -> Digest:
    """Read a digest from text.

    Raises:
        Refused: The text is not ``sha256:`` and 64 lower-case hexadecimal digits.
    """
    if not _SHAPE.match(text):
        raise Refused(
            f"{text[:80]!r} is not a digest",
            advice="A digest is 'sha256:' followed by 64 lower-case hexadecimal digits",
        )
    return Digest(text)


def short(digest: str) -> str:
    """Return the first twelve hexadecimal digits, for people to compare."""
    return digest.removeprefix("sha256:")[:12]
