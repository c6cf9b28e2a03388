"""Push: who is connected, and what each is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

from aiohttp import web

from branchline.foundation.http.events import KEEP_ALIVE, write_event

KEEP_ALIVE_SECONDS = 15.0
_WAITING = 10_000


class Channel:
    """One connection on which a party is told things, in order."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)

    def push(self, data: bytes) -> None:
        """Tell something; a reader too slow to follow is cut off and will connect again."""
        try:
            self._queue.put_nowait(data)
        except asyncio.QueueFull:
            self.close()

    def close(self) -> None:
        """End the connection once what was told has been sent."""
        while self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def serve(self, request: web.Request, first: Iterable[bytes]) -> web.StreamResponse:
        """Send events until the connection ends."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        with suppress(ConnectionResetError):  # the reader left; it asks again when it is back
            await response.write(KEEP_ALIVE + b"".join(write_event(data) for data in first))
            while (told := await self._next()) is not None:
                await response.write(told)
        return response

    async def told(self) -> AsyncIterator[bytes]:
        """Yield what is told, for a reader in this program, until the channel is closed."""
        while (data := await self._queue.get()) is not None:
            yield data

    async def _next(self) -> bytes | None:
        try:
            data = await asyncio.wait_for(self._queue.get(), KEEP_ALIVE_SECONDS)
        except TimeoutError:
            return KEEP_ALIVE
        return None if data is None else write_event(data)


class Inbox:
    """The channels of all connected parties (or of the watchers of one thing)."""

    def __init__(self) -> None:
        self._channels: dict[str, set[Channel]] = {}

    def open(self, name: str) -> Channel:
        """Connect a party."""
        channel = Channel()
        self._channels.setdefault(name, set()).add(channel)
        return channel

    def leave(self, name: str, channel: Channel) -> None:
        """Forget a connection that ended."""
        channels = self._channels.get(name, set())
        channels.discard(channel)
        if not channels:
            self._channels.pop(name, None)

    def push(self, name: str, data: bytes) -> None:
        """Tell a party on all its connections; one that is not connected asks when it comes."""
        for channel in self._channels.get(name, ()):
            channel.push(data)

    def push_to_all(self, data: bytes) -> None:
        """Tell everybody who is connected."""
        for name in self._channels:
            self.push(name, data)

    def connected(self, name: str) -> bool:
        """Tell whether a party listens now."""
        return name in self._channels

    def close(self) -> None:
        """End all connections."""
        for channels in self._channels.values():
            for channel in channels:
                channel.close()
