"""Images at a service that keeps them: what is said there, and what is fetched and brought.

An image goes by its manifest (OCI image-spec), and its blobs one by one, compressed on their way
(``packed``). Whoever takes one in checks every byte against the digests it was asked for by.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import msgspec

from branchline.environment.packed import compress, expand
from branchline.foundation.decoding import decode_json
from branchline.foundation.digest import Digest, WireDigest, digest_of, digest_of_file
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.http.client import ApiClient
from branchline.foundation.tasks import leave_off

if TYPE_CHECKING:
    from branchline.environment.image.image import Documents, LayerOf
    from branchline.environment.image.store import Store

Progress = Callable[[str], None]
"""Told, in a few words, what is done now."""

MOST_BLOBS = 128
"""The most blobs of one image; container engines stop at 127 layers."""
_SPARE = 1 << 20
"""What zstd may add to content that cannot be compressed, with plenty to spare."""
_LANES = 2
LARGEST = 16 << 30
"""The most bytes of one image, expanded, unless somebody says otherwise."""


class ImageState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Say which blobs of an image a service still lacks; none when it has it whole."""

    missing: tuple[WireDigest, ...]


class _Descriptor(msgspec.Struct, frozen=True):
    digest: WireDigest
    size: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]


class _Manifest(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int
    config: _Descriptor
    layers: Annotated[tuple[_Descriptor, ...], msgspec.Meta(min_length=1, max_length=MOST_BLOBS)]


def blobs_of(manifest: bytes) -> dict[Digest, int]:
    """Return the blobs that a manifest names, each with its bytes: configuration, then layers.

    Raises:
        Refused: It is no manifest of an image.
    """
    try:
        read = decode_json(manifest, _Manifest)
    except msgspec.DecodeError as error:
        raise Refused(f"The image's manifest is not acceptable: {error}") from error
    return {each.digest: each.size for each in (read.config, *read.layers)}


def compressed_limit(size: int) -> int:
    """Return the most bytes that content of a size may take, compressed."""
    return size + size // 16 + _SPARE


class Supplier(Protocol):
    """Give an image's manifest and compressed blobs."""

    @property
    def name(self) -> str:
        """Return what the supplier is called in a sentence."""
        ...

    async def manifest(self, digest: Digest) -> bytes:
        """Return the bytes that are to be an image's manifest.

        Raises:
            NotFound: The image is not there, whole.
        """
        ...

    async def blob(self, image: Digest, blob: Digest, size: int, scratch: Path) -> Path:
        """Return a file with what is to be a blob, compressed: one in `scratch`, or its own."""
        ...


async def fetch_image(
    supplier: Supplier, digest: Digest, store: Store, progress: Progress, limit: int = LARGEST
) -> None:
    """Bring an image into the store; layers that are there are not fetched.

    Args:
        supplier: Who has it; not believed.
        digest: The image.
        store: Where it goes.
        progress: Told what is done.
        limit: The most bytes it may have, expanded.

    Raises:
        NotFound: The supplier does not have it, whole.
        Unavailable: The supplier cannot be reached, or the disk is full.
        Corrupt: What came is not the image.
        Refused: It is too large, or of another form than images are built in here.
    """
    from branchline.environment.image.image import read_image
    from branchline.environment.image.intake import missing_layers, take_image, take_layer

    async def take(number: int, layer: LayerOf) -> None:
        async with lanes:
            progress(f"{supplier.name}: {number} of {len(layers)}, {layer.title}")
            file = await supplier.blob(digest, layer.digest, layer.size, scratch)
            content = expand(file, layer.digest, layer.size)
            await asyncio.to_thread(take_layer, store, layer.digest, layer.title, content)
            if file.parent == scratch:
                file.unlink()

    async with _scratch(store, "fetch") as scratch:
        found = await _documents(supplier, digest, scratch)
        image = await asyncio.to_thread(read_image, found, digest)
        if image.size > limit:
            raise Refused(
                f"The image {digest} has {image.size} bytes; up to {limit} are taken here"
            )
        lacking = set(await asyncio.to_thread(missing_layers, store, image))
        layers = [layer for layer in image.layers if layer.digest in lacking]
        # One unpacks while the next one comes.
        lanes = asyncio.Semaphore(_LANES)
        tasks = [asyncio.create_task(take(n, layer)) for n, layer in enumerate(layers, 1)]
        try:
            await asyncio.gather(*tasks)
        finally:
            await leave_off(tasks)
        await asyncio.to_thread(take_image, store, found, digest)


async def _documents(supplier: Supplier, digest: Digest, scratch: Path) -> Documents:
    from branchline.environment.image.image import Documents

    manifest = await supplier.manifest(digest)
    if digest_of(manifest) != digest:
        raise Corrupt(f"The manifest that came is not that of the image {digest}")
    (config, size), *_ = blobs_of(manifest).items()
    file = await supplier.blob(digest, config, size, scratch)
    content = await asyncio.to_thread(lambda: b"".join(expand(file, config, size)))
    return Documents(manifest, content)


class ImageService:
    """The images of a service, for one who may bring and fetch them.

    Args:
        client: Calls it.
        name: What it is called in a sentence.
    """

    def __init__(self, client: ApiClient, name: str = "central") -> None:
        self._client, self.name = client, name

    async def has(self, digest: Digest) -> bool:
        """Tell whether the service has an image, whole."""
        return await self._client.has(f"/v1/images/{digest}")

    async def manifest(self, digest: Digest) -> bytes:
        """Fetch an image's manifest."""
        return bytes(await self._client.get_bytes(f"/v1/images/{digest}"))

    async def blob(self, image: Digest, blob: Digest, size: int, scratch: Path) -> Path:
        """Fetch a compressed blob into a folder."""
        file = scratch / blob.removeprefix("sha256:")
        path = f"/v1/images/{image}/blobs/{blob}"
        await self._client.save(path, file, compressed_limit(size))
        return file

    async def push(self, digest: Digest, store: Store, progress: Progress) -> int:
        """Bring an image of the store to the service; blobs that are there are not sent.

        Returns:
            How many blobs were sent.

        Raises:
            NotFound: The image is not in the store.
            Corrupt: It is damaged.
            Refused: It is larger than the service takes.
        """
        from branchline.environment.image.images import documents_of, open_image

        image = await asyncio.to_thread(open_image, store, digest)
        found = await asyncio.to_thread(documents_of, store, digest)
        answer = await self._client.put_bytes(f"/v1/images/{digest}", found.manifest)
        missing = decode_json(answer, ImageState).missing
        titles = {layer.digest: layer.title for layer in image.layers}
        async with _scratch(store, "push") as scratch:
            for number, blob in enumerate(missing, 1):
                progress(f"{number} of {len(missing)}, {titles.get(blob, 'configuration')}")
                file = scratch / "blob"
                packed = await asyncio.to_thread(_pack, store, found, blob, file)
                await self._client.put_file(f"/v1/images/{digest}/blobs/{blob}", file, packed)
        return len(missing)


@asynccontextmanager
async def _scratch(store: Store, what: str) -> AsyncIterator[Path]:
    """Give a folder in the store; entering may wait for one who collects garbage."""
    folder = store.temporary(what)
    scratch = await asyncio.to_thread(folder.__enter__)
    try:
        yield scratch
    finally:
        folder.__exit__(None, None, None)


def _pack(store: Store, found: Documents, blob: Digest, file: Path) -> Digest:
    """Write a blob compressed; return the digest of what was written."""
    from branchline.environment.image.oci import layer_tar

    if blob == digest_of(found.config):
        compress([found.config], file)
    else:
        compress(layer_tar(store, blob), file)
    return digest_of_file(file)
