"""The host's end of a session's connection; everything that arrives on it is hostile."""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import select
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from branchline.foundation.buffers import Rooms
from branchline.sandbox.inside.frames import (
    FRAME_LIMIT,
    INLINE_LIMIT,
    FrameError,
    Head,
    Incoming,
    Outgoing,
    read_head,
    with_body,
)

_DESCRIPTORS = 4  # one is allowed; room for a few more, so that they arrive and can be closed
_CREDENTIALS = struct.Struct("3i")
_ANCILLARY = socket.CMSG_SPACE(_DESCRIPTORS * 4) + socket.CMSG_SPACE(_CREDENTIALS.size)


@dataclass
class _Message:
    data: bytes
    descriptors: list[int]
    sender: int
    cut: bool


class Channel:
    """Send frames to a session and receive its frames, from one event loop.

    `receive` returns None when the session is gone. Every descriptor that arrives is closed. A
    large payload lies in memory of the host's, which is used again when its view is gone.
    """

    def __init__(self) -> None:
        self._socket, self.remote = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK
        )
        # The runner reads and writes in a plain loop.
        self.remote.setblocking(True)
        self._stream, self.remote_stream = socket.socketpair()
        self._rooms = Rooms()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.sender = 0

    async def send(self, frame: Outgoing) -> bool:
        """Send a frame; return False when the session is gone. Closes the frame's memfd."""
        rights = []
        if frame.descriptor is not None:
            descriptors = array.array("i", [frame.descriptor])
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
        try:
            while True:
                try:
                    self._socket.sendmsg([frame.message], rights)
                    return True
                except BlockingIOError:
                    await self._ready(writing=True)
        except (BrokenPipeError, ConnectionResetError):
            return False
        finally:
            if frame.descriptor is not None:
                os.close(frame.descriptor)

    async def receive(self, limit: int) -> Incoming | None:
        """Receive one frame whose parts have at most `limit` bytes.

        Raises:
            FrameError: the message is not a frame.
        """
        while (message := self._read()) is None:
            await self._ready(writing=False)
        if not message.data:
            return None
        try:
            if message.cut or message.descriptors:
                raise FrameError("the message is more than a frame")
        finally:
            for descriptor in message.descriptors:
                os.close(descriptor)
        self.sender = message.sender
        head = read_head(message.data, limit)
        if head.carried == "inline":
            return with_body(head, head.body)
        # A header beside parts that flow is small, unless someone wants to keep the parser busy.
        if head.carried != "flow" or len(message.data) > INLINE_LIMIT:
            raise FrameError("the message is not a frame of the sandbox's")
        return with_body(head, await self._flowed(head))

    def pending(self) -> bool:
        """Return whether something arrived that nobody asked for; it is thrown away."""
        if select.select([self._stream], [], [], 0)[0]:
            return True
        message = self._read()
        if message is None or not message.data:
            return False
        for descriptor in message.descriptors:
            os.close(descriptor)
        return True

    def started(self) -> None:
        """Close the other end, which the session now holds."""
        self.remote.close()
        self.remote_stream.close()

    def close(self) -> None:
        """Close the host's ends."""
        for end in (self._socket, self.remote, self._stream, self.remote_stream):
            end.close()
        # Whoever still refers to the session, a traceback say, does not keep its memory.
        self._rooms = Rooms()

    async def _flowed(self, head: Head) -> memoryview:
        """Receive what was announced, in a thread: a train that is slow holds up nobody else."""
        body = self._rooms.take(head.total)
        with ThreadPoolExecutor(1, "flow") as thread:
            try:
                await asyncio.wrap_future(thread.submit(_fill, self._stream, body))
            except BaseException:
                # Wakes the thread up. Whatever else would come belongs to no frame any more.
                with contextlib.suppress(OSError):
                    self._stream.shutdown(socket.SHUT_RDWR)
                raise
        return body.toreadonly()

    def _read(self) -> _Message | None:
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(
                FRAME_LIMIT, _ANCILLARY, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        except ConnectionResetError:
            data, ancillary, flags = b"", [], 0
        descriptors, sender = array.array("i"), 0
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(content[: len(content) - len(content) % 4])
            elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                sender = _CREDENTIALS.unpack_from(content)[0]
        cut = bool(flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC))
        return _Message(data, list(descriptors), sender, cut)

    async def _ready(self, *, writing: bool) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        add, remove = (
            (loop.add_writer, loop.remove_writer)
            if writing
            else (loop.add_reader, loop.remove_reader)
        )
        add(self._socket, _resolve, ready)
        try:
            await ready
        finally:
            remove(self._socket)


def _fill(stream: socket.socket, body: memoryview) -> None:
    at = 0
    while at < len(body):
        came = stream.recv_into(body[at:], 0, socket.MSG_WAITALL)
        if not came:
            raise FrameError("the frame broke off")
        at += came


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
