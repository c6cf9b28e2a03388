"""Large parcels on their way in: named as they are written, durable before they are acknowledged."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from branchline.foundation.blobs import FolderBlobs
from branchline.foundation.digest import Bytes, Digest, PayloadNaming
from branchline.foundation.durable import EarlySync, make_folder
from branchline.foundation.errors import Corrupt, NotAllowed, Refused, Unavailable
from branchline.foundation.http.large import take_over
from branchline.foundation.http.signing import parcel_digest_field

PARCEL_LIMIT = 1 << 30
"""The most bytes of one parcel."""
_PIECE = 2 << 20
"""Bytes taken at once: few hops to a thread, and still in the processor's cache when hashed."""


class IncomingParcels:
    """Take sealed parcels from requests into the store of blobs.

    Args:
        folder: For files that are not whole yet; none of them is ever read.
        blobs: Where parcels are kept.
    """

    def __init__(self, folder: Path, blobs: FolderBlobs) -> None:
        self._folder, self._blobs = make_folder(folder), blobs

    async def receive(self, request: web.Request, digest: Digest) -> int:
        """Receive a request's body as the parcel of a digest and return its size.

        The bytes are hashed once, here: whoever reads the parcel opens it, which notices changes.

        Raises:
            Refused: It is too large, or does not say how large it is.
            Corrupt, NotAllowed: It is not the one announced, or signed.
            Unavailable: It cannot be written.
        """
        if request.content_length is None:
            raise Refused("A parcel's request says its length")
        if request.content_length > PARCEL_LIMIT:
            raise Refused(f"A parcel has at most {PARCEL_LIMIT} bytes")
        temporary = self._folder / f"{os.urandom(8).hex()}.part"
        try:
            with temporary.open("wb", buffering=0) as file:
                named = await _write(request, file.fileno())
            if named != digest:
                raise Corrupt(f"The bytes that came do not have the digest {digest}")
            if request.headers.get("Content-Digest") != parcel_digest_field(named):
                raise NotAllowed("The parcel does not match its signed Content-Digest")
            await asyncio.to_thread(self._blobs.adopt, digest, temporary)
        except ConnectionError:
            raise
        except OSError as error:
            raise Unavailable(
                f"The parcel cannot be written: {error.strerror}", advice="Try again later"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        return request.content_length


async def _write(request: web.Request, descriptor: int) -> Digest:
    """Write a body as it comes and return its name."""
    naming = PayloadNaming(request.content_length or 0)
    with EarlySync(descriptor) as early:
        async for piece in _pieces(request):
            await asyncio.to_thread(_take, descriptor, naming, piece, early)
        await asyncio.to_thread(early.finish)
    return naming.digest()


async def _pieces(request: web.Request) -> AsyncIterator[Bytes]:
    """Yield the body in order; each piece is valid until the next is asked for."""
    if (request.content_length or 0) <= _PIECE:
        async for early in request.content.iter_any():
            yield early
        return
    body = take_over(request)
    buffer = memoryview(bytearray(_PIECE))
    try:
        while body.left:
            yield buffer[: await body.fill(buffer)]
    finally:
        body.close()


def _take(descriptor: int, naming: PayloadNaming, piece: Bytes, early: EarlySync) -> None:
    naming.update(piece)
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]
    early.wrote(len(piece))
