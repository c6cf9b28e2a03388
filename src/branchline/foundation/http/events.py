"""Server-sent events (WHATWG HTML §9.2): one line of JSON each, pushed over a response."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

KEEP_ALIVE = b": here\n\n"
"""A comment that shows both ends that the line is alive."""


class Lines(Protocol):
    """A stream that can be read line by line."""

    async def readline(self) -> bytes:
        """Return the next line with its end, or nothing when the stream has ended."""
        ...


def write_event(data: bytes) -> bytes:
    """Write one event; the data must hold no line break, as canonical JSON does."""
    return b"data: " + data + b"\n\n"


async def read_events(stream: Lines) -> AsyncIterator[bytes]:
    """Read events until the stream ends; comments are passed over."""
    pending: list[bytes] = []
    while line := await stream.readline():
        text = line.rstrip(b"\r\n")
        if text.startswith(b"data:"):
            pending.append(text[5:].removeprefix(b" "))
        elif not text and pending:
            yield b"\n".join(pending)
            pending = []
