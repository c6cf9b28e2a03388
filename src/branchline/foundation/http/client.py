"""Call a signed API: sign, send, retry what is temporary, turn problems back into errors."""

from __future__ import annotations

import asyncio
import random
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from io import FileIO
from pathlib import Path
from typing import Any, NoReturn, TypeVar, overload
from urllib.parse import urlsplit

import aiohttp
import msgspec

from branchline.foundation.buffers import Room, fresh
from branchline.foundation.clock import Clock, SystemClock
from branchline.foundation.decoding import decode_json
from branchline.foundation.digest import Bytes, Digest
from branchline.foundation.errors import (
    BY_CODE,
    BranchlineError,
    Conflict,
    Corrupt,
    NotAllowed,
    NotFound,
    Refused,
    Unavailable,
)
from branchline.foundation.http.events import read_events
from branchline.foundation.http.large import FileBody, take_over
from branchline.foundation.http.server import READ_BUFFER
from branchline.foundation.http.signing import (
    RequestSigner,
    StaleSignature,
    content_digest,
    content_digest_field,
    parcel_digest_field,
)
from branchline.foundation.keys import Identity

T = TypeVar("T")

PIECE = 1 << 20
_RESIGNED = 3
_UNPACKED = 64 << 20
"""The most octets of an answer that came compressed."""
_EITHER = 32 + zlib.MAX_WBITS
"""Tells zlib to look for itself whether it is given gzip's or its own format."""
SILENCE = 45.0
"""Seconds without a keep-alive after which a line of events counts as dead."""


_Reader = Callable[[aiohttp.ClientResponse], Awaitable[T]]
"""Reads what was answered, once it is known that nothing was refused."""


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    data: Bytes | Path | None = None
    kind: str = ""
    key: str | None = None
    digest: str | None = None
    named: bool = False


class ApiClient:
    """Talk to one API as one identity.

    Args:
        base_url: Where the API is; ``https://…``, or ``http://`` on loopback only.
        identity: Whose requests these are.
        ca_file: Certificates to trust in place of the system's.
        clock: This machine's time; the server's is followed for signatures.
        retry_seconds: For how long a call is tried again while the server cannot be reached.
    """

    def __init__(
        self,
        base_url: str,
        identity: Identity,
        *,
        ca_file: str | None = None,
        clock: Clock | None = None,
        retry_seconds: float = 20.0,
    ) -> None:
        self.base_url = check_address(base_url)
        self.identity = identity
        self._signer = RequestSigner(identity)
        self._clock = clock or SystemClock()
        self._offset = timedelta(0)
        self._tls = ssl.create_default_context(cafile=ca_file) if ca_file else None
        self._retry_seconds = retry_seconds
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    @overload
    async def call(
        self, method: str, path: str, *, answer: type[T], body: Any = None, key: str | None = None
    ) -> T: ...
    @overload
    async def call(
        self,
        method: str,
        path: str,
        *,
        answer: None = None,
        body: Any = None,
        key: str | None = None,
    ) -> None: ...
    async def call(
        self,
        method: str,
        path: str,
        *,
        answer: type[T] | None = None,
        body: Any = None,
        key: str | None = None,
    ) -> T | None:
        """Make a call with a JSON body and a typed JSON answer.

        Args:
            method: HTTP method.
            path: Path below the API's address, with its query.
            answer: The type of the answer; None where nothing is expected.
            body: A msgspec struct, or None for no body.
            key: Idempotency key; a repeated call with it has no second effect.

        Raises:
            BranchlineError: As the server answered; Unavailable when it could not be reached.
        """
        data = None if body is None else msgspec.json.encode(body)
        raw = await self._exchange(_Request(method, path, data, "application/json", key), _read)
        if answer is None:
            return None
        try:
            return decode_json(raw, answer)
        except msgspec.DecodeError as error:
            raise Corrupt(f"The answer to {method} {path} is not acceptable: {error}") from error

    async def get_bytes(self, path: str, room: Room | None = None) -> Bytes:
        """Fetch octets.

        Args:
            path: Where from.
            room: Where large ones are put, in place of fresh memory.
        """

        async def read(response: aiohttp.ClientResponse) -> Bytes:
            return await _read(response, room)

        return await self._exchange(_Request("GET", path), read)

    async def put_bytes(self, path: str, data: Bytes, digest: Digest | None = None) -> Bytes:
        """Send octets, in pieces, and return the answer's octets.

        Args:
            path: Where to.
            data: The octets.
            digest: Their digest, if it is known already.
        """
        known = None if digest is None else content_digest_field(digest)
        kind = "application/octet-stream"
        return await self._exchange(_Request("PUT", path, data, kind, digest=known), _read)

    async def put_file(self, path: str, file: Path, digest: Digest) -> None:
        """Send a file's octets.

        Args:
            path: Where to.
            file: The file.
            digest: Its digest; if it is BLAKE3's, the path has to name it.
        """
        known = parcel_digest_field(digest)
        kind = "application/octet-stream"
        request = _Request("PUT", path, file, kind, digest=known, named=path.endswith(digest))
        await self._exchange(request, _read)

    async def save(self, path: str, file: Path, limit: int) -> int:
        """Fetch octets into a file, piece by piece, and return how many there were.

        Args:
            path: Where from.
            file: Where to; written anew at each attempt, and not made durable.
            limit: The most octets that are taken.

        Raises:
            Corrupt: There are more.
        """

        async def read(response: aiohttp.ClientResponse) -> int:
            return await _save(response, file, limit)

        return await self._exchange(_Request("GET", path), read)

    async def has(self, path: str) -> bool:
        """Tell whether there is something at a path."""
        try:
            await self._exchange(_Request("HEAD", path), _read)
        except NotFound:
            return False
        return True

    async def events(
        self, path: str, opened: Callable[[], None] = lambda: None
    ) -> AsyncIterator[bytes]:
        """Yield pushed events until the line breaks.

        Args:
            path: Where events are pushed.
            opened: Called once the line is up.

        Raises:
            Unavailable: The server cannot be reached, or the line broke or fell silent.
        """
        resigned = 0
        while True:
            try:
                async for event in self._listen(path, opened):
                    yield event
                return
            except StaleSignature:
                if resigned == _RESIGNED:
                    raise
                resigned += 1

    async def _listen(self, path: str, opened: Callable[[], None]) -> AsyncIterator[bytes]:
        limits = aiohttp.ClientTimeout(total=None, sock_read=SILENCE, sock_connect=10)
        try:
            async with await self._send(_Request("GET", path), limits) as response:
                if response.status >= 400:
                    self._raise(response, await response.read())
                opened()
                async for event in read_events(response.content):
                    yield event
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(self.base_url, error) from error

    async def _exchange(self, request: _Request, read: _Reader[T]) -> T:
        deadline = asyncio.get_running_loop().time() + self._retry_seconds
        pause, resigned = 0.05, 0
        while True:
            try:
                return await self._once(request, read)
            except StaleSignature:
                # The first such answer tells the server's time; more than a few are final.
                if resigned == _RESIGNED:
                    raise
                resigned += 1
            except Unavailable:
                if asyncio.get_running_loop().time() + pause > deadline:
                    raise
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2.0, pause * 2)

    async def _once(self, request: _Request, read: _Reader[T]) -> T:
        limits = aiohttp.ClientTimeout(total=None, sock_read=120, sock_connect=10)
        try:
            async with await self._send(request, limits) as response:
                if response.status >= 400:
                    self._raise(response, await _read(response))
                return await read(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(self.base_url, error) from error

    async def _send(
        self, request: _Request, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                read_bufsize=READ_BUFFER, auto_decompress=False, trust_env=False
            )
        url, data = self.base_url + request.path, request.data
        headers: dict[str, str] = {}
        if data is not None:
            digest = request.digest
            if digest is None and not request.named:
                assert not isinstance(data, Path), "a file's digest is known"
                digest = (
                    content_digest(data)
                    if len(data) <= PIECE
                    else await asyncio.to_thread(content_digest, data)
                )
            headers["content-type"] = request.kind
            if digest is not None:
                headers["content-digest"] = digest
        if request.key is not None:
            headers["idempotency-key"] = request.key
        self._signer.sign(request.method, url, headers, self._clock.now() + self._offset)
        return await self._session.request(
            request.method,
            url,
            headers=headers | ({"content-length": str(_size(data))} if data is not None else {}),
            data=None if data is None else _body(data),
            timeout=limits,
            ssl=self._tls if self._tls is not None else True,
            allow_redirects=False,
        )

    def _raise(self, response: aiohttp.ClientResponse, raw: Bytes) -> NoReturn:
        try:
            problem = decode_json(raw, _Problem)
        except msgspec.DecodeError:
            problem = _Problem(refused=f"{self.base_url} answered {response.status}")
        if problem.error == StaleSignature.code:
            self._follow(response.headers.get("Date"))
            raise StaleSignature(problem.refused, advice=problem.advice)
        kind = BY_CODE.get(problem.error) or _kind_of(response.status)
        raise kind(problem.refused, advice=problem.advice, detail=problem.detail)

    def _follow(self, date: str | None) -> None:
        if date:
            self._offset = parsedate_to_datetime(date).astimezone(UTC) - self._clock.now()

    @property
    def server_offset(self) -> timedelta:
        """How far the server's clock is ahead of this machine's, as last noticed."""
        return self._offset


_BY_STATUS = {
    400: Refused,
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    422: Corrupt,
}


def _kind_of(status: int) -> type[BranchlineError]:
    """Tell an error by its status alone: a code not known here, or an answer of a proxy.

    What went wrong at the server's own end may pass: an act must not count as refused for it.
    """
    return Unavailable if status >= 500 else _BY_STATUS.get(status, BranchlineError)


class _Problem(msgspec.Struct):
    error: str = ""
    refused: str = "The request was refused"
    advice: str = ""
    detail: dict[str, Any] = {}


def check_address(url: str) -> str:
    """Return an API's address without its final slash.

    Raises:
        Refused: Neither HTTPS nor plain HTTP on loopback.
    """
    parts = urlsplit(url)
    loopback = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme == "https" or (parts.scheme == "http" and loopback):
        return url.rstrip("/")
    raise Refused(
        f"{url!r} is neither https:// nor plain http:// on this machine itself",
        advice="Give the address of the central service as https://…",
    )


def _unreachable(base_url: str, error: BaseException) -> Unavailable:
    reason = str(error) or type(error).__name__
    return Unavailable(
        f"The service at {base_url} cannot be reached: {reason}",
        advice="Check that it is running and try again",
    )


async def _read(response: aiohttp.ClientResponse, room: Room | None = None) -> Bytes:
    """Read an answer whole; a large one of known length goes straight to where it stays."""
    length = response.content_length
    if length is None or length <= PIECE or response.status >= 400:
        return _plain(response.headers.get("Content-Encoding", ""), await response.read())
    whole = fresh(length) if room is None else room.take(length)
    body = take_over(response)
    try:
        await body.fill(whole)
    finally:
        body.close()
    return whole.toreadonly()


def _plain(encoding: str, data: bytes) -> bytes:
    """Return an answer as it was before the server compressed it, if it did."""
    if encoding not in ("gzip", "deflate"):
        return data
    unpacking = zlib.decompressobj(_EITHER)
    try:
        plain = unpacking.decompress(data, _UNPACKED + 1)
    except zlib.error as error:
        raise Corrupt("The answer is not compressed as it says") from error
    if len(plain) > _UNPACKED or not unpacking.eof:
        raise Corrupt(f"The answer is cut, or has more than {_UNPACKED} octets unpacked")
    return plain


async def _save(response: aiohttp.ClientResponse, file: Path, limit: int) -> int:
    size = 0
    with _opened(file) as target:
        async for piece in response.content.iter_any():
            size += len(piece)
            if size > limit:
                raise Corrupt(
                    f"More than the {limit} octets expected came from {response.url.path}"
                )
            await asyncio.to_thread(_write, target, piece)
    if response.content_length not in (None, size):
        raise aiohttp.ClientPayloadError("fewer octets came than were announced")
    return size


def _opened(file: Path) -> FileIO:
    try:
        return file.open("wb", buffering=0)
    except OSError as error:
        raise _unwritable(file, error) from error


def _write(target: FileIO, piece: bytes) -> None:
    view = memoryview(piece)
    try:
        while view:
            view = view[target.write(view) :]
    except OSError as error:
        raise _unwritable(Path(str(target.name)), error) from error


def _unwritable(file: Path, error: OSError) -> Unavailable:
    # Not the service's fault: said so here, before it counts as unreachable.
    return Unavailable(f"{file} cannot be written: {error.strerror}", advice="Try again later")


async def _iterate(data: memoryview) -> AsyncIterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield bytes(data[start : start + PIECE])


def _body(data: Bytes | Path) -> FileBody | AsyncIterator[bytes] | bytes:
    if isinstance(data, Path):
        return FileBody(data, _size(data))
    return bytes(data) if len(data) <= PIECE else _iterate(memoryview(data))


def _size(data: Bytes | Path) -> int:
    return data.stat().st_size if isinstance(data, Path) else len(data)
