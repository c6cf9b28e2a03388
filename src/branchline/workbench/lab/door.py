"""Hand connections on loopback through to a socket that a sandbox listens on."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from branchline.foundation.errors import Conflict, Corrupt
from branchline.foundation.tasks import leave_off

LOOPBACK = "127.0.0.1"
_PIECE = 1 << 16


class Door:
    """A port on loopback, and the socket behind it once there is one."""

    def __init__(self) -> None:
        self.port = 0
        self._socket: int | None = None
        self._open: set[asyncio.Task[None]] = set()

    def lead_to(self, path: Path) -> None:
        """Lead to this socket, to this very one, whatever gets its name later.

        Raises:
            FileNotFoundError: There is nothing.
            Corrupt: It is something else: a sandbox must not lead us to a socket of the machine's.
        """
        found = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        if not stat.S_ISSOCK(os.fstat(found).st_mode):
            os.close(found)
            raise Corrupt(f"{path.name} is not the socket of a Jupyter server")
        self._forget()
        self._socket = found

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection's bytes both ways until both sides have ended."""
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            if self._socket is None:
                return
            inner = await asyncio.open_unix_connection(f"/proc/self/fd/{self._socket}")
            await _carry_both((reader, writer), inner)
        except OSError:
            pass  # one side is gone, and so is the connection
        finally:
            self._open.discard(task)
            writer.close()

    async def close(self) -> None:
        """End all connections."""
        await leave_off(list(self._open))
        self._forget()

    def _forget(self) -> None:
        if self._socket is not None:
            os.close(self._socket)
            self._socket = None


_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _carry_both(outer: _Stream, inner: _Stream) -> None:
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_carry(outer[0], inner[1]))
            both.create_task(_carry(inner[0], outer[1]))
    except* OSError:
        pass  # one side was reset
    finally:
        inner[1].close()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while piece := await source.read(_PIECE):
        target.write(piece)
        await target.drain()
    with suppress(OSError):
        target.write_eof()


@asynccontextmanager
async def door(port: int) -> AsyncIterator[Door]:
    """Open a door on loopback.

    Args:
        port: Which; 0 takes any free one.

    Raises:
        Conflict: Something else listens there.
    """
    made = Door()
    try:
        listening = await asyncio.start_server(made._through, LOOPBACK, port)
    except OSError as error:
        raise Conflict(
            f"Port {port} of {LOOPBACK} cannot be had: {os.strerror(error.errno or 0)}",
            advice="Name another, or 0 for any free one",
        ) from error
    try:
        made.port = listening.sockets[0].getsockname()[1]
        yield made
    finally:
        listening.close()
        await made.close()
