"""Large bodies travel straight between files, sockets and memory, encrypted or not."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from tests.certificates import make_certificate

from branchline.foundation.clock import FixedClock
from branchline.foundation.digest import digest_of
from branchline.foundation.errors import Refused, Unavailable
from branchline.foundation.http.api import Call, Caller, Route
from branchline.foundation.http.client import ApiClient
from branchline.foundation.http.large import take_over
from branchline.foundation.http.server import ApiServer, listen, tls_context
from branchline.foundation.keys import Identity

ME = Identity.create()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROOM = 300_001
SIZES = (1, ROOM, (1 << 20) + 1, (9 << 20) + 12345)


@dataclass
class Shelf:
    """A server that keeps one body.

    Args:
        file: Where it is given out from.
        received: What came.
        refuse: Whether it says no once the body came.
        poured: Whether the body comes through a thread.
        lost: Whether a body broke off.
    """

    file: Path
    received: bytearray = field(default_factory=bytearray)
    refuse: bool = False
    poured: bool = False
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def put(self, call: Call) -> None:
        """Receive in pieces smaller than the body."""
        body, room = take_over(call.request), memoryview(bytearray(ROOM))
        try:
            if self.poured:
                await body.pour(self.received.extend)
            while body.left:
                self.received += room[: await body.fill(room)]
        except ConnectionError:
            self.lost.set()
            raise
        finally:
            body.close()
        if self.refuse:
            raise Refused("Not this one")

    async def get(self, call: Call) -> web.StreamResponse:
        """Send the file."""
        return web.FileResponse(self.file)

    @property
    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("PUT", "/shelf", self.put, "Put.", body=bytes),
            Route("GET", "/shelf", self.get, "Get.", answer=bytes),
        ]


@asynccontextmanager
async def serving(
    folder: Path, *, tls: bool, poured: bool = False
) -> AsyncIterator[tuple[Shelf, ApiClient]]:
    """Serve a shelf on a free port, and call it."""
    shelf, clock = Shelf(folder / "kept", poured=poured), FixedClock(NOW)
    certificate = make_certificate(folder) if tls else None
    names = (None, None) if certificate is None else tuple(map(str, certificate))
    server = ApiServer(shelf.routes, lambda _: Caller("me", "person", ME.public), clock)
    runner, port = await listen(server.app, "127.0.0.1", 0, tls_context(*names))
    shelf.url = f"http{'s' if tls else ''}://127.0.0.1:{port}"
    client = ApiClient(shelf.url, ME, ca_file=names[0], clock=clock, retry_seconds=0)
    try:
        yield shelf, client
    finally:
        await client.close()
        await runner.cleanup()


@pytest.mark.parametrize("poured", [False, True])
@pytest.mark.parametrize("tls", [False, True])
async def test_large_bodies_travel_both_ways(tls: bool, poured: bool, tmp_path: Path) -> None:
    """Whole, in order, and the next request is answered as before, at every size."""
    async with serving(tmp_path, tls=tls, poured=poured) as (shelf, client):
        for size in SIZES:
            data = os.urandom(size)
            shelf.received.clear()
            shelf.file.write_bytes(data)
            await client.put_file("/shelf", shelf.file, digest_of(data))
            assert shelf.received == data
            assert await client.get_bytes("/shelf") == data


@pytest.mark.parametrize("poured", [False, True])
@pytest.mark.parametrize("tls", [False, True])
async def test_octets_in_memory_are_taken_over_as_well(
    tls: bool, poured: bool, tmp_path: Path
) -> None:
    """How the body was sent makes no difference to who receives it."""
    async with serving(tmp_path, tls=tls, poured=poured) as (shelf, client):
        data = os.urandom(5 << 20)
        await client.put_bytes("/shelf", data)
        assert shelf.received == data


async def test_a_refusal_after_the_body_reaches_the_sender(tmp_path: Path) -> None:
    """The connection closes after the answer, not before."""
    async with serving(tmp_path, tls=False) as (shelf, client):
        shelf.refuse = True
        shelf.file.write_bytes(bytes(3 << 20))
        with pytest.raises(Refused, match="Not this one"):
            await client.put_file("/shelf", shelf.file, digest_of(bytes(3 << 20)))


@pytest.mark.parametrize("poured", [False, True])
async def test_a_sender_that_goes_away_is_noticed(poured: bool, tmp_path: Path) -> None:
    """A body that breaks off is an error, however much of it came."""
    async with serving(tmp_path, tls=False, poured=poured) as (shelf, _):
        begun = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield bytes(1 << 20)
            begun.set()
            await asyncio.Event().wait()

        sending = asyncio.create_task(_send(shelf, endless()))
        await begun.wait()
        while not shelf.received:
            await asyncio.sleep(0)
        sending.cancel()
        await asyncio.wait({sending})
        await asyncio.wait_for(shelf.lost.wait(), 10)
        assert len(shelf.received) < 4 << 20


async def test_an_answer_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    """A truncated download is never taken for a whole one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n" + bytes(2_000_000))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        client = ApiClient(url, ME, clock=FixedClock(NOW), retry_seconds=0)
        with pytest.raises(Unavailable, match="connection was lost"):
            await client.get_bytes("/shelf")
        await client.close()


async def _send(shelf: Shelf, body: AsyncIterator[bytes]) -> None:
    """Send a signed body that announces more than comes."""
    import aiohttp

    from branchline.foundation.http.signing import RequestSigner, content_digest

    headers = {"content-digest": content_digest(b"")}
    RequestSigner(ME).sign("PUT", f"{shelf.url}/shelf", headers, NOW)
    headers["content-length"] = str(4 << 20)
    async with aiohttp.ClientSession() as session:
        await session.put(f"{shelf.url}/shelf", data=body, headers=headers)
