"""Content of hosted projects over git-annex's own protocol, behind a door that keeps a book.

Source: git-annex's page "p2p protocol over http". Every request is taken apart and made anew: who asks
is told by a token, what passes is judged by the project's rules and put on the ledger, and only then does
its first byte go. What is not known here is refused.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
from aiohttp import web

from branchline.central.hub.annex_request import (
    LENGTH,
    VERBS,
    Asked,
    address_of,
    length_of,
    take_apart,
)
from branchline.central.hub.contents import Contents
from branchline.central.hub.door import Visitor, refusal, visitor_of
from branchline.central.hub.hosting import Hub
from branchline.central.hub.p2phttp import Servers
from branchline.central.hub.rights import Standing
from branchline.foundation.digest import digest_of
from branchline.foundation.errors import (
    BranchlineError,
    NotAllowed,
    NotFound,
    Refused,
    Unavailable,
)
from branchline.foundation.ids import new_id
from branchline.journey import acts
from branchline.project.git.keyed import is_keyed
from branchline.project.git.keys import is_forgeable

SPARE = 1 << 28
"""Bytes that stay free on central's disk."""

_SILENCE = 600.0
_EVERY = 1.0


class AnnexDoor:
    """Git-annex's content for whoever comes with a token.

    Args:
        hub: The hosted projects.
        contents: Judges content.
        servers: Git-annex itself.
    """

    def __init__(self, hub: Hub, contents: Contents, servers: Servers) -> None:
        self._hub, self._contents, self._servers = hub, contents, servers

    async def describe(self, request: web.Request, owner: str, name: str) -> web.Response:
        """Tell git-annex what the hub is called, and that content is to be had here."""
        try:
            standing, _ = visitor_of(self._hub, request, owner, name, "read")
        except BranchlineError as error:
            return refusal(error)
        address = f"annex+{request.scheme}://{request.host}{request.path.removesuffix('/config')}"
        text = f"[annex]\n\tuuid = {standing.annex}\n\turl = {address}/\n"
        return web.Response(text=text, headers={"Cache-Control": "no-store"})

    async def answer(
        self, request: web.Request, owner: str, name: str, uuid: str, rest: str
    ) -> web.StreamResponse:
        """Answer one request of git-annex's."""
        try:
            asked = take_apart(request.method, rest, request.query)
            right = VERBS[asked.verb][1]
            standing, visitor = visitor_of(self._hub, request, owner, name, right, named=True)
            if uuid != standing.annex:
                raise NotFound("The hub's repository has another name by now", advice="Clone again")
            self._check_clone(standing, visitor, asked)
            length = length_of(asked, request.headers.get(LENGTH, ""))
            await asyncio.to_thread(self._check, standing, visitor, asked, length)
            place = await asyncio.to_thread(self._hub.repositories.ensure, standing)
            async with self._servers.session(standing, place) as session:
                return await self._pass_on(request, session, standing, visitor, asked, length)
        except BranchlineError as error:
            return refusal(error)

    def _check_clone(self, standing: Standing, visitor: Visitor, asked: Asked) -> None:
        owner = self._hub.store.clones(standing.hosted).get(asked.clone)
        if asked.clone and owner not in (None, visitor.name):
            raise NotAllowed(
                f"The clone {asked.clone} is {owner}'s",
                advice="Make a clone of your own with 'branchline clone'",
            )

    def _check(
        self, standing: Standing, visitor: Visitor, asked: Asked, length: int | None
    ) -> None:
        if asked.verb == "key":
            self._contents.check(standing, asked.key, asked.clone)
        elif asked.verb in ("put", "putoffset"):
            self._contents.check(standing, asked.key)
            _check_backend(asked.key)
            free = shutil.disk_usage(self._hub.repositories.folder).free
            if length is not None and length + SPARE > free:
                raise Unavailable("The hub's disk is full", advice="Tell the central operator")
        elif asked.verb in ("remove", "remove-before"):
            if visitor.role != "own":
                raise NotAllowed("Only an owner of the project removes content from the hub")
            if self._contents.is_named(standing, asked.key):
                raise NotAllowed(
                    "A branch at the hub has a file with this content, so it stays",
                    advice="Content that was in a branch goes with the whole project",
                )

    async def _pass_on(
        self,
        request: web.Request,
        session: aiohttp.ClientSession,
        standing: Standing,
        visitor: Visitor,
        asked: Asked,
        length: int | None,
    ) -> web.StreamResponse:
        await self._record(standing, visitor, asked)
        headers = {"Content-Type": "application/octet-stream"}
        if length is not None:
            headers[LENGTH] = str(length)
        body = None
        if request.method == "POST":
            json = request.content_type == "application/json"
            headers["Content-Type"] = "application/json" if json else "application/octet-stream"
            body = _body(request, length)
        silence = None if asked.verb == "keeplocked" else _SILENCE
        try:
            async with (
                self._settling(standing, asked),
                session.request(
                    request.method,
                    address_of(standing.annex, asked),
                    headers=headers,
                    data=body,
                    timeout=aiohttp.ClientTimeout(total=None, sock_read=silence, sock_connect=10),
                ) as answer,
            ):
                if asked.verb == "put":
                    # A copy that is acknowledged may be the last one an hour later.
                    await asyncio.to_thread(self._settle, standing, asked.key)
                return await _handed_back(request, answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable("git-annex did not answer", advice="Do the same again") from error

    @asynccontextmanager
    async def _settling(self, standing: Standing, asked: Asked) -> AsyncIterator[None]:
        """Have the disk keep up with what comes: else whoever brought it waits long at the end."""

        async def keep_up() -> None:
            while True:
                await asyncio.sleep(_EVERY)
                with suppress(OSError):
                    await asyncio.to_thread(
                        self._hub.repositories.settle_part, standing.hosted, asked.key
                    )

        keeping = asyncio.create_task(keep_up()) if asked.verb == "put" else None
        try:
            yield
        finally:
            if keeping is not None:
                keeping.cancel()
                with suppress(asyncio.CancelledError):
                    await keeping

    def _settle(self, standing: Standing, key: str) -> None:
        try:
            self._hub.repositories.settle(standing.hosted, key)
        except OSError as error:
            raise Unavailable(
                f"The content cannot be written: {error.strerror}", advice="Try again later"
            ) from error

    async def _record(self, standing: Standing, visitor: Visitor, asked: Asked) -> None:
        """Put on the ledger what is about to pass; where it cannot be, nothing passes."""
        kinds: dict[str, type[acts.ContentAct]] = {
            "key": acts.ContentSent,
            "put": acts.ContentReceived,
            "remove": acts.ContentRemoved,
            "remove-before": acts.ContentRemoved,
        }
        kind = kinds.get(asked.verb)
        if kind is not None:
            await self._hub.desk.own_record(
                kind(
                    id=new_id("act"),
                    at=self._hub.desk.now(),
                    hosted=standing.hosted,
                    party=visitor.name,
                    clone=asked.clone,
                    content=digest_of(asked.key.encode(errors="surrogateescape")),
                    offset=asked.offset,
                )
            )


async def _body(request: web.Request, length: int | None) -> AsyncIterator[bytes]:
    size, most = 0, 4096 if length is None else length + 16
    async for piece in request.content.iter_any():
        size += len(piece)
        if size > most:
            raise Refused("More bytes come than was said")
        yield piece


async def _handed_back(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    kept = ("Content-Type", LENGTH)
    headers = {name: answer.headers[name] for name in kept if name in answer.headers}
    response = web.StreamResponse(
        status=answer.status, headers={**headers, "Cache-Control": "no-store"}
    )
    await response.prepare(request)
    try:
        async for piece in answer.content.iter_any():
            await response.write(piece)
    except aiohttp.ClientError:
        # Cut off: whoever reads must not take it for whole.
        response.force_close()
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _check_backend(key: str) -> None:
    if is_forgeable(key) and not is_keyed(key):
        backend = key.partition("-")[0]
        raise NotAllowed(
            f"The content's name is of the kind {backend[:40]}, which other content can bear, too",
            advice="Give it a digest's with 'git annex migrate --backend=SHA256E PATH', save, and push",
        )
