"""Large bodies: received straight into memory the receiver owns, sent straight from a file.

aiohttp hands a body over in small pieces, each of them copied several times on its way. Once a request
or an answer is known to carry a large body of stated length, the rest of it is read here by asyncio's
own `BufferedProtocol`, over TLS as well; the connection is closed after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

from aiohttp import ClientResponse, Payload, StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter

PIECE = 1 << 20
POURED = 1 << 20
"""Bytes given away at once: few calls, and still in a processor's cache when they are looked at."""
_READERS = threading.BoundedSemaphore(16)
"""Bodies that are read in threads of their own; any more are read between other things."""
SILENCE = 120.0
"""Seconds without a byte after which a body counts as lost."""
TAKEN_OVER = web.RequestKey("taken_over", bool)
"""Marks a request whose connection cannot be used for another one."""


class LargeBody:
    """The body of a request or an answer, taken over from aiohttp.

    Args:
        transport: The connection; None if it is gone already.
        content: aiohttp's reader, with what came together with the head.
        length: How many bytes the body has.

    Raises:
        ConnectionResetError: The connection is gone.
    """

    def __init__(
        self, transport: asyncio.BaseTransport | None, content: StreamReader, length: int
    ) -> None:
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the connection was lost")
        self._transport = cast(asyncio.Transport, transport)
        self._content = content
        self._before = self._transport.get_protocol()
        self._early = memoryview(self._drained())
        self.left = length
        self._receiving = _Receiving(self._transport, self._before)
        self._transport.set_protocol(self._receiving)

    def _drained(self) -> bytes:
        """Take what aiohttp has read already; afterwards it reads no more."""
        pieces: list[bytes] = []
        while True:
            # Each read may have the parser go on and resume reading.
            self._transport.pause_reading()
            piece = self._content.read_nowait()
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)

    async def fill(self, target: memoryview) -> int:
        """Receive as many bytes as fit, or as are left, and return how many; others wait.

        Raises:
            ConnectionError: The connection was lost before they came, or fell silent.
        """
        target = target[: self.left]
        early = self._early[: len(target)]
        target[: len(early)] = early
        self._early = self._early[len(early) :]
        if len(early) < len(target):
            await self._receiving.fill(target[len(early) :])
        self.left -= len(target)
        return len(target)

    async def pour(self, take: Callable[[memoryview], None]) -> None:
        """Receive all that is left and give it away piece by piece, in a thread.

        A connection that is not encrypted is read in that thread, too: several bodies that come at
        the same time use several processors.

        Args:
            take: Takes a piece, which is valid until it returns; an error of its is raised.

        Raises:
            ConnectionError: The connection was lost before all came, or fell silent.
        """
        room = memoryview(bytearray(POURED))
        plain = self._transport.get_extra_info("sslcontext") is None
        if plain and _READERS.acquire(blocking=False):
            try:
                await self._pour_aside(room, take)
            finally:
                _READERS.release()
        while self.left:
            await asyncio.to_thread(take, room[: await self.fill(room)])

    async def _pour_aside(self, room: memoryview, take: Callable[[memoryview], None]) -> None:
        while self._early:
            await asyncio.to_thread(take, room[: await self.fill(room[: len(self._early)])])
        own = self._transport.get_extra_info("socket")
        with (
            socket.socket(fileno=os.dup(own.fileno())) as end,
            ThreadPoolExecutor(1, "large-body") as thread,
        ):
            try:
                self.left -= await asyncio.wrap_future(
                    thread.submit(_drain, end, self.left, room, take)
                )
            except BaseException:
                # Else the thread would wait for what nobody wants any more.
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                raise

    def close(self) -> None:
        """Give the connection back to aiohttp, for the answer and the end."""
        self._transport.set_protocol(self._before)
        if not self._content.is_eof():
            # Else aiohttp would wait for the body that was read here.
            self._content.feed_eof()


def _drain(
    end: socket.socket, left: int, room: memoryview, take: Callable[[memoryview], None]
) -> int:
    """Read so many bytes from a connection, in a thread; return how many that were."""
    end.settimeout(SILENCE)
    size = left
    while left:
        at, most = 0, min(left, len(room))
        while at < most:
            try:
                came = end.recv_into(room[at:most])
            except TimeoutError:
                raise ConnectionResetError(f"nothing came for {SILENCE:.0f} s") from None
            if not came:
                raise ConnectionResetError("the connection was lost")
            at += came
        take(room[:at])
        left -= at
    return size


def take_over(message: web.Request | ClientResponse) -> LargeBody:
    """Take the body of a request or an answer over; its length must be known.

    Raises:
        ConnectionResetError: The connection is gone.
    """
    assert message.content_length is not None, "asked before"
    if isinstance(message, web.Request):
        transport: asyncio.BaseTransport | None = message.transport
        message[TAKEN_OVER] = True
    else:
        transport = None if message.connection is None else message.connection.transport
    return LargeBody(transport, message.content, message.content_length)


class _Receiving(asyncio.BufferedProtocol):
    """Fill one buffer after another; everything else is told to the protocol before."""

    def __init__(self, transport: asyncio.Transport, before: asyncio.BaseProtocol) -> None:
        self._transport, self._before = transport, before
        self._room = memoryview(b"")
        self._full: asyncio.Future[None] | None = None
        self._lost = False

    async def fill(self, target: memoryview) -> None:
        if self._lost:
            raise ConnectionResetError("the connection was lost")
        self._room, self._full = target, asyncio.get_running_loop().create_future()
        self._transport.resume_reading()
        try:
            await self._wait(self._full)
        finally:
            self._transport.pause_reading()
            self._room, self._full = memoryview(b""), None

    async def _wait(self, full: asyncio.Future[None]) -> None:
        while not full.done():
            room = len(self._room)
            await asyncio.wait({full}, timeout=SILENCE)
            if not full.done() and len(self._room) == room:
                raise ConnectionResetError(f"nothing came for {SILENCE:.0f} s")
        full.result()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self._room = self._room[nbytes:]
        if not self._room and self._full is not None and not self._full.done():
            # At once: what comes next has no room yet.
            self._transport.pause_reading()
            self._full.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._full is not None and not self._full.done():
            self._full.set_exception(ConnectionResetError("the connection was lost"))
        self._before.connection_lost(exc)

    def pause_writing(self) -> None:
        self._before.pause_writing()

    def resume_writing(self) -> None:
        self._before.resume_writing()


class FileBody(Payload):
    """A file as a request's body, sent by the kernel where the connection is not encrypted.

    Args:
        file: Where the bytes are.
        size: How many there are.
    """

    _autoclose = True

    def __init__(self, file: Path, size: int) -> None:
        super().__init__(file)
        self._file = file
        self._size = size

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the file as text, as the base class demands."""
        return self._file.read_text(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the file."""
        assert isinstance(writer, StreamWriter), "aiohttp's clients write to these"
        transport = writer.transport
        with self._file.open("rb", buffering=0) as file:
            if transport is not None and transport.get_extra_info("sslcontext") is None:
                writer.send_headers()
                await asyncio.get_running_loop().sendfile(transport, file, fallback=False)
                return
            while piece := await asyncio.to_thread(file.read, PIECE):
                await writer.write(piece)
