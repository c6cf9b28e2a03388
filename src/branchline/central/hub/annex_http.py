"""Content of hosted projects over git-annex's own protocol, behind a door that keeps a book.

Source: git-annex's page "p2p protocol over http". Every request is taken apart and made anew: who asks
is told by a token, what passes is judged by the project's rules and put on the ledger, and only then does
its first byte go. What is not known here is refused.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import aiohttp
from aiohttp import web
from yarl import URL

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
from branchline.journey.hosting import Right
from branchline.project.git.keys import is_key, size_of_key

LARGEST = 1 << 40
"""The most bytes of one content."""
SPARE = 1 << 28
"""Bytes that stay free on central's disk."""

_PIECE = 1 << 20
_SILENCE = 600.0
_VERSION = re.compile(r"^v[0-4]$")
_UUID = re.compile(r"^[0-9a-zA-Z-]{8,64}$")
_NUMBER = re.compile(r"^[0-9]{1,15}$")
_LENGTH = "X-git-annex-data-length"
_VERBS: Mapping[str, tuple[str, Right]] = {
    "checkpresent": ("POST", "read"),
    "lockcontent": ("POST", "read"),
    "keeplocked": ("POST", "read"),
    "gettimestamp": ("POST", "read"),
    "key": ("GET", "read"),
    "put": ("POST", "write"),
    "putoffset": ("POST", "write"),
    "remove": ("POST", "write"),
    "remove-before": ("POST", "write"),
}
_NEEDS_KEY = frozenset(_VERBS) - {"keeplocked", "gettimestamp"}


@dataclass(frozen=True)
class Asked:
    """One request, taken apart.

    Args:
        verb: What is asked.
        version: Of the protocol; empty for the plain download.
        key: The content, by git-annex's name; empty where the verb needs none.
        clone: Who asks, as git-annex calls the clone.
        offset: The first byte.
        rest: Other parameters that are passed on.
    """

    verb: str
    version: str
    key: str
    clone: str
    offset: int
    rest: Mapping[str, str]


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
            right = _VERBS[asked.verb][1]
            standing, visitor = visitor_of(self._hub, request, owner, name, right, named=True)
            if uuid != standing.annex:
                raise NotFound("The hub's repository has another name by now", advice="Clone again")
            self._check_clone(standing, visitor, asked)
            length = _length(request, asked)
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
            headers[_LENGTH] = str(length)
        body = None
        if request.method == "POST":
            json = request.content_type == "application/json"
            headers["Content-Type"] = "application/json" if json else "application/octet-stream"
            body = _body(request, length)
        silence = None if asked.verb == "keeplocked" else _SILENCE
        try:
            async with session.request(
                request.method,
                _address(standing, asked),
                headers=headers,
                data=body,
                timeout=aiohttp.ClientTimeout(total=None, sock_read=silence, sock_connect=10),
            ) as answer:
                return await _handed_back(request, answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable("git-annex did not answer", advice="Do the same again") from error

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


def take_apart(method: str, path: str, query: Mapping[str, str]) -> Asked:
    """Read a request of git-annex's strictly.

    Args:
        method: HTTP method.
        path: What follows the repository's name.
        query: The parameters.

    Raises:
        NotFound: Nothing of this kind is answered.
        Refused: A parameter is malformed.
    """
    first, _, rest = path.partition("/")
    version = first if _VERSION.match(first) else ""
    verb, _, key = rest.partition("/") if version else path.partition("/")
    known = _VERBS.get(verb)
    if known is None or known[0] != method or (key and verb != "key") or (not version and not key):
        raise NotFound("Nothing of this kind is answered here")
    key = plain(key or query.get("key", ""))
    if verb in _NEEDS_KEY and not is_key(key):
        raise Refused("No content is named, or not as git-annex names it")
    clone = plain(query.get("clientuuid", ""))
    if (version or clone) and not _UUID.match(clone):
        raise Refused("The clone that asks is not named")
    offset = query.get("offset", "0")
    rest_of = {n: query[n] for n in ("lockid", "timestamp") if n in query}
    if not _NUMBER.match(offset) or any(not _UUID_OR_NUMBER.match(v) for v in rest_of.values()):
        raise Refused("A parameter is malformed")
    return Asked(verb, version, key if verb in _NEEDS_KEY else "", clone, int(offset), rest_of)


_UUID_OR_NUMBER = re.compile(r"^[0-9a-zA-Z.:_-]{1,80}$")


def plain(value: str) -> str:
    """Return a value that git-annex may have written as base64 in brackets."""
    if not (value.startswith("[") and value.endswith("]")):
        return value
    try:
        return base64.b64decode(value[1:-1], altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Refused("A parameter is malformed") from error


def _length(request: web.Request, asked: Asked) -> int | None:
    """Return how many bytes come; None where none do.

    Raises:
        Refused: Not said, or other than the content has.
    """
    if asked.verb != "put":
        return None
    said = request.headers.get(_LENGTH, "")
    if not _NUMBER.match(said):
        raise Refused("It is not said how many bytes come")
    whole = size_of_key(asked.key)
    if int(said) > LARGEST or (whole is not None and asked.offset + int(said) != whole):
        raise Refused("Other bytes come than the content has")
    return int(said)


def _address(standing: Standing, asked: Asked) -> URL:
    key = _bracketed(asked.key)
    query = {"clientuuid": asked.clone} if asked.clone else {}
    if asked.key and asked.verb != "key":
        query["key"] = key
    if asked.offset:
        query["offset"] = str(asked.offset)
    query |= asked.rest
    parts = [standing.annex, *([asked.version] if asked.version else []), asked.verb]
    if asked.verb == "key":
        parts.append(key)
    words = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    path = "/".join(quote(part, safe="") for part in parts)
    return URL(f"http://hub/git-annex/{path}" + (f"?{words}" if words else ""), encoded=True)


def _bracketed(value: str) -> str:
    return f"[{base64.urlsafe_b64encode(value.encode()).decode()}]" if value else ""


async def _body(request: web.Request, length: int | None) -> AsyncIterator[bytes]:
    size, most = 0, 4096 if length is None else length + 16
    async for piece in request.content.iter_any():
        size += len(piece)
        if size > most:
            raise Refused("More bytes come than was said")
        yield piece


async def _handed_back(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    kept = ("Content-Type", _LENGTH)
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
