"""Large parcels: named as they are written, durable before they are acknowledged, gone in the end."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from branchline.foundation.blobs import FolderBlobs
from branchline.foundation.digest import Bytes, Digest, PayloadNaming
from branchline.foundation.durable import EarlySync, make_folder
from branchline.foundation.errors import Corrupt, NotAllowed, Refused, Unavailable
from branchline.foundation.http.large import take_over
from branchline.foundation.http.server import READ_BUFFER
from branchline.foundation.http.signing import parcel_digest_field
from branchline.foundation.sealing import Sealed
from branchline.foundation.spares import Spares

PARCEL_LIMIT = 1 << 30
"""The most bytes of one parcel."""
_LARGE = 2 << 20
"""A body of more bytes than this is taken over from aiohttp."""


class Parcels:
    """Keep sealed parcels among the blobs for as long as somebody needs them.

    Args:
        folder: For files that are not whole yet, which nobody ever reads; what is in it goes.
        blobs: Where parcels are kept.
    """

    def __init__(self, folder: Path, blobs: FolderBlobs) -> None:
        self._folder, self._blobs = make_folder(folder), blobs
        for left in self._folder.glob("*.part"):
            left.unlink()
        self.spares = Spares(folder / "spares")
        self._read: Counter[Digest] = Counter()

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
            named = await self._write(request, temporary)
            if named != digest:
                raise Corrupt(f"The bytes that came do not have the digest {digest}")
            if request.headers.get("Content-Digest") != parcel_digest_field(named):
                raise NotAllowed("The parcel does not match its signed Content-Digest")
            await asyncio.to_thread(self._blobs.adopt, digest, temporary)
        except ConnectionError:
            raise
        except OSError as error:
            # Where the disk is full, this is what can be done without.
            self.spares.clear()
            raise Unavailable(
                f"The parcel cannot be written: {error.strerror}", advice="Try again later"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        return request.content_length

    async def _write(self, request: web.Request, temporary: Path) -> Digest:
        """Write a body as it comes and return its name."""
        size = request.content_length or 0
        naming = PayloadNaming(size)
        descriptor = self.spares.open(temporary)
        try:
            with EarlySync(descriptor) as early:
                await _receive(request, partial(_take, descriptor, naming, early))
                await asyncio.to_thread(early.finish)
            os.ftruncate(descriptor, size)
        finally:
            os.close(descriptor)
        return naming.digest()

    def keep(self, parcel: Sealed) -> None:
        """Keep a parcel that was made here, durably."""
        if parcel.file is not None:
            self._blobs.adopt(parcel.digest, parcel.file)
        else:
            self._blobs.put_named(parcel.digest, parcel.data)

    def answer(self, digest: Digest) -> web.StreamResponse:
        """Return the answer to a request for a parcel.

        Raises:
            Corrupt: It should be here, and is not.
        """
        path = self._blobs.path(digest)
        if not path.exists():
            raise Corrupt(f"The parcel {digest} was lost here")
        return _Answer(path, partial(self.reading, [digest]))

    @contextmanager
    def reading(self, digests: Sequence[Digest]) -> Iterator[None]:
        """Keep the files of parcels from becoming others while somebody reads them."""
        self._read += Counter(digests)
        try:
            yield
        finally:
            self._read -= Counter(digests)

    def let_go(self, digests: Collection[Digest]) -> None:
        """Let parcels go that nobody has to fetch any more: their files become the next ones."""
        for digest in digests:
            if self._read[digest]:
                # Whoever is late reads it to its end.
                self._blobs.remove(digest)
            else:
                self.spares.keep(self._blobs.path(digest))

    def close(self) -> None:
        """Give the room of the spare files back."""
        self.spares.clear()


class _Answer(web.FileResponse):
    """A parcel's file, which becomes no other while it is sent."""

    def __init__(self, path: Path, reading: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__(path, chunk_size=READ_BUFFER)
        self._reading = reading

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        with self._reading():
            return await super().prepare(request)


async def _receive(request: web.Request, take: Callable[[Bytes], None]) -> None:
    """Give a body away in order, in threads."""
    if (request.content_length or 0) <= _LARGE:
        async for piece in request.content.iter_any():
            await asyncio.to_thread(take, piece)
        return
    body = take_over(request)
    try:
        await body.pour(take)
    finally:
        body.close()


def _take(descriptor: int, naming: PayloadNaming, early: EarlySync, piece: Bytes) -> None:
    naming.update(piece)
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]
    early.wrote(len(piece))
