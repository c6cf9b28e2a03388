"""Wake the running agent when a command has written a decision: a socket in the station's folder."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def poke(path: Path) -> bool:
    """Wake the agent; false if none runs, which then finds the decision when it starts."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line, _short(path) as short:
        line.settimeout(2.0)
        try:
            line.connect(short)
        except OSError:
            return False
    return True


async def listen(path: Path, woken: Callable[[], None]) -> asyncio.AbstractServer:
    """Call back whenever somebody pokes; the socket is open to this user alone."""

    async def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        woken()

    return await asyncio.start_unix_server(connected, sock=_bound(path))


def _bound(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short(path) as short:
        line.bind(short)
    path.chmod(0o600)
    line.setblocking(False)
    return line


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Name a socket through its folder's descriptor: a socket's path has at most 107 bytes."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield str(path)
        return
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
