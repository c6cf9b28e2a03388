"""Digests: the names of things by their content, ``sha256:`` and 64 hexadecimal digits.

Payloads and parcels of 1 MiB and more are named by BLAKE3 instead, ``blake3:`` and as many digits:
each is named several times on its way, and that costs a third (docs/adr/0014).
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, NewType, Protocol

import msgspec
from blake3 import blake3

from branchline.foundation.errors import Refused

Bytes = bytes | bytearray | memoryview
"""Anything that holds bytes in one piece; large ones are passed on without copying."""

Digest = NewType("Digest", str)
"""A content's name: what it was computed with, a colon, 64 lower-case hexadecimal digits."""

PATTERN = r"^sha256:[0-9a-f]{64}$(?!\n)"
WireDigest = Annotated[Digest, msgspec.Meta(pattern=PATTERN)]
"""A digest as it stands in messages, checked while parsing."""

PAYLOAD_PATTERN = r"^(?:sha256|blake3):[0-9a-f]{64}$(?!\n)"
WirePayloadDigest = Annotated[Digest, msgspec.Meta(pattern=PAYLOAD_PATTERN)]
"""A payload's or a parcel's digest as it stands in messages."""

LARGE = 1 << 20
"""From this many bytes on, payloads and parcels are named by BLAKE3."""

_SHAPE = re.compile(PATTERN)
_PAYLOAD_SHAPE = re.compile(PAYLOAD_PATTERN)
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
    return _name_of_file(path, hashlib.sha256(), "sha256")


class _State(Protocol):
    """What ``hashlib`` and ``blake3`` compute a digest with."""

    def update(self, data: Bytes, /) -> object: ...

    def hexdigest(self) -> str: ...


class PayloadNaming:
    """Name a payload or a parcel piece by piece.

    Args:
        size: How many bytes it will have.
    """

    def __init__(self, size: int) -> None:
        self._kind = "blake3" if size >= LARGE else "sha256"
        self._state: _State = blake3() if size >= LARGE else hashlib.sha256()

    def update(self, data: Bytes) -> None:
        """Take more of it."""
        self._state.update(data)

    def digest(self) -> Digest:
        """Return its name, once all of it was taken."""
        return Digest(f"{self._kind}:{self._state.hexdigest()}")


def payload_digest_of(data: Bytes) -> Digest:
    """Name a payload or a parcel."""
    naming = PayloadNaming(memoryview(data).nbytes)
    naming.update(data)
    return naming.digest()


def is_named(data: Bytes, digest: Digest) -> bool:
    """Tell whether bytes have a digest, computed with what the digest says."""
    if digest.startswith("blake3:"):
        return digest == "blake3:" + blake3(data).hexdigest()
    return digest == digest_of(data)


def is_named_file(path: Path, digest: Digest) -> bool:
    """Tell whether a file's content has a digest, reading it in pieces."""
    if digest.startswith("blake3:"):
        return digest == _name_of_file(path, blake3(), "blake3")
    return digest == digest_of_file(path)


def _name_of_file(path: Path, state: _State, kind: str) -> Digest:
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            state.update(piece)
    return Digest(f"{kind}:{state.hexdigest()}")


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


def parse_payload_digest(text: str) -> Digest:
    """Read a payload's or a parcel's digest from text.

    Raises:
        Refused: The text is not ``sha256:`` or ``blake3:`` and 64 lower-case hexadecimal digits.
    """
    if not _PAYLOAD_SHAPE.match(text):
        raise Refused(
            f"{text[:80]!r} is not a digest",
            advice="A digest is 'sha256:' or 'blake3:' followed by 64 lower-case hexadecimal digits",
        )
    return Digest(text)


def file_name(digest: Digest) -> str:
    """Return a digest as a file's name: its digits, for one of BLAKE3 with ``blake3-`` before."""
    return digest.removeprefix("sha256:").replace(":", "-")


def short(digest: str) -> str:
    """Return the first twelve hexadecimal digits, for people to compare."""
    return digest.partition(":")[2][:12]
