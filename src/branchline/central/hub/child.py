"""Git as a child that answers one request: its input and output passed on, within bounds."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from branchline.central.hub.door import refusal
from branchline.foundation.errors import Refused, Unavailable

log = logging.getLogger("branchline.central.hub")

LONGEST = 1800.0
"""The most seconds that git works on one request."""

_PIECE = 1 << 16


class Child:
    """Git, answering one request.

    Args:
        words: What follows ``git``.
        folder: The repository.
        environment: Its variables.
        handed: Descriptors it inherits, by the variables that name them.
        closed: Those that are its alone once it has started.
    """

    def __init__(
        self,
        words: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        handed: Mapping[str, int],
        closed: Sequence[int] = (),
    ) -> None:
        self._words, self._folder, self._closed = words, folder, closed
        numbers = {name: str(number) for name, number in handed.items()}
        self._environment, self._handed = {**environment, **numbers}, tuple(handed.values())

    async def serve(
        self, request: web.Request, response: web.StreamResponse, limit: int, head: bytes = b""
    ) -> web.StreamResponse:
        """Pass the request's body in and what comes out back, within bounds.

        Args:
            request: What came.
            response: What is answered.
            limit: The most bytes of the body.
            head: Stands before what comes out.
        """
        if (request.content_length or 0) > limit:
            self._close()
            return refusal(Refused(f"At most {limit} bytes are accepted"))
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                *self._words,
                cwd=self._folder,
                env=self._environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                pass_fds=self._handed,
                process_group=0,
            )
        except OSError:
            return refusal(Unavailable("Git cannot be started here now", advice="Try again later"))
        finally:
            self._close()
        feeding = asyncio.create_task(_feed(request, process, limit))
        try:
            async with asyncio.timeout(LONGEST):
                return await self._answer(request, response, process, head)
        except TimeoutError:
            log.warning("git %s took too long", self._words[0])
            response.force_close()
            return response
        finally:
            _kill(process)
            feeding.cancel()
            with suppress(asyncio.CancelledError, ConnectionError, Refused):
                await feeding
            await process.wait()

    async def _answer(
        self,
        request: web.Request,
        response: web.StreamResponse,
        process: asyncio.subprocess.Process,
        head: bytes,
    ) -> web.StreamResponse:
        assert process.stdout is not None, "asked for"
        await response.prepare(request)
        if head:
            await response.write(head)
        while piece := await process.stdout.read(_PIECE):
            await response.write(piece)
        await process.wait()
        await response.write_eof()
        return response

    def _close(self) -> None:
        for each in self._closed:
            os.close(each)


async def _feed(request: web.Request, process: asyncio.subprocess.Process, limit: int) -> None:
    """Pass a body on to git; one that is too long, or is cut off, ends git."""
    assert process.stdin is not None, "asked for"
    size = 0
    try:
        async for piece in request.content.iter_any():
            size += len(piece)
            if size > limit:
                raise Refused(f"At most {limit} bytes are accepted")
            process.stdin.write(piece)
            await process.stdin.drain()
        process.stdin.close()
    except (ConnectionError, Refused):
        _kill(process)
        raise


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, 9)
