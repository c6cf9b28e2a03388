"""Content-addressed bytes: a small interface, a folder now, object storage later.

Every store promises: ``put`` returns only when the bytes are durable; putting the same bytes twice
is harmless; ``get`` gives back exactly the bytes named or raises; calls may come from any thread.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Protocol

from branchline.foundation.digest import (
    Bytes,
    Digest,
    digest_of,
    file_name,
    is_named,
    parse_payload_digest,
    short,
)
from branchline.foundation.durable import make_folder, sync_file, sync_folder, write_durably
from branchline.foundation.errors import Corrupt, NotFound


class BlobStore(Protocol):
    """Keep bytes under the digest of their content."""

    def put(self, data: Bytes) -> Digest:
        """Store bytes durably and return their digest."""
        ...

    def get(self, digest: Digest) -> bytes:
        """Return the bytes of a digest.

        Raises:
            NotFound: Nothing is stored under it.
            Corrupt: What is stored under it has another digest.
        """
        ...

    def has(self, digest: Digest) -> bool:
        """Tell whether something is stored under a digest."""
        ...

    def remove(self, digest: Digest) -> None:
        """Forget a digest; one that is not stored is no error."""
        ...


class MemoryBlobs:
    """Blobs in memory, for tests and trials."""

    def __init__(self) -> None:
        self._kept: dict[Digest, bytes] = {}

    def put(self, data: Bytes) -> Digest:
        """Store bytes and return their digest."""
        digest = digest_of(data)
        self._kept[digest] = bytes(data)
        return digest

    def get(self, digest: Digest) -> bytes:
        """Return the bytes of a digest."""
        try:
            return self._kept[digest]
        except KeyError:
            raise NotFound(f"No bytes are stored under {digest}") from None

    def has(self, digest: Digest) -> bool:
        """Tell whether something is stored under a digest."""
        return digest in self._kept

    def remove(self, digest: Digest) -> None:
        """Forget a digest."""
        self._kept.pop(digest, None)


class FolderBlobs:
    """Blobs as files in a folder, two levels deep.

    Args:
        folder: Where they are kept; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = make_folder(folder)

    def path(self, digest: Digest) -> Path:
        """Return where a digest's bytes are or would be."""
        named = parse_payload_digest(digest)
        return self._folder / short(named)[:2] / file_name(named)

    def put(self, data: Bytes) -> Digest:
        """Store bytes durably and return their digest."""
        digest = digest_of(data)
        self.put_named(digest, data)
        return digest

    def put_named(self, digest: Digest, data: Bytes) -> None:
        """Store bytes whose digest the caller has just computed."""
        target = self.path(digest)
        if not target.exists():
            make_folder(target.parent)
            write_durably(target, data, mode=0o600)

    def adopt(self, digest: Digest, file: Path) -> None:
        """Take a file in whose digest the caller has just computed, durably."""
        target = self.path(digest)
        make_folder(target.parent)
        sync_file(file)
        os.replace(file, target)
        sync_folder(target.parent)

    def get(self, digest: Digest) -> bytes:
        """Return the bytes of a digest, checked against it."""
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"No bytes are stored under {digest}") from None
        if not is_named(data, digest):
            raise Corrupt(f"The bytes stored under {digest} have changed")
        return data

    def mapped(self, digest: Digest) -> memoryview:
        """Return the bytes of a digest without reading or checking them; the caller checks.

        Raises:
            NotFound: Nothing is stored under it.
        """
        try:
            with self.path(digest).open("rb") as file:
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (FileNotFoundError, ValueError):
            raise NotFound(f"No bytes are stored under {digest}") from None

    def has(self, digest: Digest) -> bool:
        """Tell whether something is stored under a digest."""
        return self.path(digest).exists()

    def remove(self, digest: Digest) -> None:
        """Forget a digest."""
        self.path(digest).unlink(missing_ok=True)
