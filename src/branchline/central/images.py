"""Central's image area: environments' images, brought by parties, held as compressed blobs.

An image is announced by its manifest; its blobs follow, each checked against its digest on the way
in. Nobody is given an image before it is whole. Central unpacks nothing here: what a blob holds is
for those to judge who use it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedWriter
from pathlib import Path

import msgspec
from aiohttp import web

from branchline.environment.packed import check
from branchline.environment.service import ImageState, blobs_of, compressed_limit
from branchline.foundation.blobs import FolderBlobs
from branchline.foundation.canonical import canonical_json
from branchline.foundation.clock import Clock, rfc3339
from branchline.foundation.decoding import decode_json
from branchline.foundation.digest import Digest, digest_from, digest_of
from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.errors import Corrupt, NotAllowed, NotFound, Refused, Unavailable
from branchline.foundation.http.api import Caller
from branchline.foundation.http.signing import content_digest_field

MANIFEST_LIMIT = 1 << 20
"""The most bytes of an image's manifest."""
IMAGE_LIMIT = 16 << 30
"""The most bytes of one image, expanded."""
PARTY_LIMIT = 64 << 30
"""The most bytes, expanded, of all images that one party brought."""


class Brought(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Say who brought an image, when, and how large it is."""

    party: str
    at: str
    size: int


class Images:
    """Take images in and hand them out.

    Args:
        folder: Central's folder; the area is ``images`` in it.
        clock: The time.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._clock = clock
        # Apart: a blob may never stand where another image's manifest is looked for.
        self._manifests = FolderBlobs(folder / "images" / "manifests")
        self._blobs = FolderBlobs(folder / "images" / "blobs")
        self._brought = make_folder(folder / "images" / "brought")
        self._incoming = make_folder(folder / "incoming")

    def require(self, digest: Digest) -> None:
        """Refuse an image that is not here, whole.

        Raises:
            NotFound: It is not.
        """
        if not self._manifests.has(digest) or self.missing(digest):
            raise _unknown(digest)

    def manifest(self, digest: Digest) -> bytes:
        """Return the manifest of an image that is here, whole.

        Raises:
            NotFound: It is not.
        """
        self.require(digest)
        return self._manifests.get(digest)

    def missing(self, digest: Digest) -> tuple[Digest, ...]:
        """Return the blobs that were not brought yet of an image that was announced."""
        blobs = blobs_of(self._manifests.get(digest))
        return tuple(blob for blob in blobs if not self._blobs.has(blob))

    def count_missing(self, digest: Digest) -> int:
        """Return how many blobs of an image are missing, counting its manifest as one."""
        return len(self.missing(digest)) if self._manifests.has(digest) else 1

    def blob(self, digest: Digest, blob: Digest) -> Path:
        """Return the file of an image's compressed blob.

        Raises:
            NotFound: The image has no such blob, or is not here, whole.
        """
        if blob not in blobs_of(self.manifest(digest)):
            raise NotFound(f"The image {digest} has no blob {blob}")
        return self._blobs.path(blob)

    async def announce(self, digest: Digest, request: web.Request, by: Caller) -> ImageState:
        """Take a manifest in and say which of its blobs are still missing.

        Raises:
            Corrupt: It is not the manifest of that digest.
            NotAllowed: The bytes are not those that were signed.
            Refused: It is none, or the image or all that the party brought is too large.
        """
        manifest = b""
        async for piece in request.content.iter_any():
            manifest += piece
            if len(manifest) > MANIFEST_LIMIT:
                raise Refused(f"An image's manifest has up to {MANIFEST_LIMIT} bytes")
        _check_signed(request, hashlib.sha256(manifest).digest())
        if digest_of(manifest) != digest:
            raise Corrupt(f"The bytes that came are not the manifest {digest}")
        await asyncio.to_thread(self._enter, digest, manifest, by)
        return ImageState(missing=self.missing(digest))

    def _enter(self, digest: Digest, manifest: bytes, by: Caller) -> None:
        size = sum(blobs_of(manifest).values())
        if size > IMAGE_LIMIT:
            raise Refused(f"The image has {size} bytes; up to {IMAGE_LIMIT} are accepted")
        if self._manifests.has(digest):
            return
        brought = self.brought_by(by.name)
        if brought + size > PARTY_LIMIT:
            raise Refused(
                f"{by.name} brought images of {brought} bytes, and this one has {size}; "
                f"up to {PARTY_LIMIT} are accepted of one party",
                advice="Ask the central operator to remove images that nobody needs any more",
            )
        told = Brought(by.name, rfc3339(self._clock.now()), size)
        with _written():
            # First: a crash in between leaves an image that is counted, never one that is not.
            write_durably(self._about(digest), canonical_json(told))
            self._manifests.put_named(digest, manifest)

    async def take(self, digest: Digest, blob: Digest, request: web.Request) -> None:
        """Take a blob of an announced image in; durable before it is acknowledged.

        Raises:
            NotFound: No such image was announced, or it has no such blob.
            Corrupt: The bytes are not the blob's.
            NotAllowed: The bytes are not those that were signed.
        """
        if not self._manifests.has(digest):
            raise _unknown(digest)
        size = blobs_of(self._manifests.get(digest)).get(blob)
        if size is None:
            raise NotFound(f"The image {digest} has no blob {blob}")
        temporary = self._incoming / f"{os.urandom(8).hex()}.part"
        try:
            with _written():
                came = await _receive(request, temporary, compressed_limit(size))
                _check_signed(request, came)
                await asyncio.to_thread(check, temporary, blob, size)
                await asyncio.to_thread(self._blobs.adopt, blob, temporary)
        finally:
            temporary.unlink(missing_ok=True)

    def brought_by(self, party: str) -> int:
        """Return how many bytes all images of a party have, expanded."""
        return sum(told.size for _, told in self.all() if told.party == party)

    def all(self) -> Iterator[tuple[Digest, Brought]]:
        """Yield every image that was announced, in the order of digests."""
        for file in sorted(self._brought.iterdir()):
            if file.suffix == ".json":
                yield Digest(f"sha256:{file.stem}"), decode_json(file.read_bytes(), Brought)

    def remove(self, digest: Digest) -> None:
        """Forget an image, and the blobs that no other one needs.

        Raises:
            NotFound: It was never announced.
        """
        if not self._manifests.has(digest):
            raise _unknown(digest)
        blobs = set(blobs_of(self._manifests.get(digest)))
        self._manifests.remove(digest)
        self._about(digest).unlink(missing_ok=True)
        for other, _ in self.all():
            if self._manifests.has(other):
                blobs -= set(blobs_of(self._manifests.get(other)))
        for blob in blobs:
            self._blobs.remove(blob)

    def _about(self, digest: Digest) -> Path:
        return self._brought / f"{digest.removeprefix('sha256:')}.json"


class OwnImages:
    """Central's images for central's own aggregators; see ``environment.service.Supplier``.

    Args:
        images: The area.
    """

    name = "central"

    def __init__(self, images: Images) -> None:
        self._images = images

    async def manifest(self, digest: Digest) -> bytes:
        """Return an image's manifest."""
        return await asyncio.to_thread(self._images.manifest, digest)

    async def blob(self, image: Digest, blob: Digest, size: int, scratch: Path) -> Path:
        """Return the file of a compressed blob."""
        return await asyncio.to_thread(self._images.blob, image, blob)


def _unknown(digest: Digest) -> NotFound:
    return NotFound(
        f"The image {digest} is not here",
        advice="Whoever has it brings it with 'branchline environment push'",
    )


def _check_signed(request: web.Request, sha256: bytes) -> None:
    if request.headers.get("Content-Digest") != content_digest_field(digest_from(sha256)):
        raise NotAllowed("What came does not match its signed Content-Digest")


@contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"The image cannot be written: {error.strerror}", advice="Try again later"
        ) from error


async def _receive(request: web.Request, file: Path, limit: int) -> bytes:
    """Stream a body into a file and return its SHA-256."""
    state, size = hashlib.sha256(), 0
    with file.open("wb") as target:
        async for piece in request.content.iter_any():
            size += len(piece)
            if size > limit:
                raise Refused(f"A blob of this image has at most {limit} bytes, compressed")
            await asyncio.to_thread(_take, target, state, piece)
    return state.digest()


def _take(target: BufferedWriter, state: hashlib._Hash, piece: bytes) -> None:
    state.update(piece)
    target.write(piece)
