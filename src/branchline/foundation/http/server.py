"""Serve a table of routes: check signatures, sizes and schemas before a handler sees a request."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from branchline.foundation.canonical import parse_json
from branchline.foundation.clock import Clock
from branchline.foundation.errors import BranchlineError, NotAllowed, NotFound, Refused
from branchline.foundation.http.api import Call, Caller, Route
from branchline.foundation.http.large import TAKEN_OVER
from branchline.foundation.http.signing import (
    WINDOW,
    Signed,
    StaleSignature,
    content_digest,
    verify_request,
)
from branchline.foundation.keys import PublicKeys

log = logging.getLogger("branchline.http")

STATUS = {
    "refused": 400,
    "not-allowed": 403,
    "stale-signature": 401,
    "not-found": 404,
    "conflict": 409,
    "corrupt": 422,
    "unavailable": 503,
}
READ_BUFFER = 1 << 20


def status_of(error: BranchlineError) -> int:
    """Return the HTTP status of an error: its own, or that of the error it is a kind of."""
    codes = (kind.code for kind in type(error).__mro__ if issubclass(kind, BranchlineError))
    return next((STATUS[code] for code in codes if code in STATUS), 500)


FindCaller = Callable[[str], Caller | None]
Recorder = Callable[[str, str, str], None]
"""Called with the path, the key id ('' when unknown) and the sentence of every refused request."""


class SeenNonces:
    """Remember nonces for as long as their signatures could still be accepted."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], datetime] = {}
        self._swept: datetime | None = None

    def check(self, signed: Signed, now: datetime) -> None:
        """Refuse a signature that was seen before.

        Raises:
            StaleSignature: The very same signed request came earlier.
        """
        if self._swept is None or now - self._swept > WINDOW:
            limit = now - 2 * WINDOW
            self._seen = {k: at for k, at in self._seen.items() if at > limit}
            self._swept = now
        key = (signed.key_id, signed.nonce)
        if key in self._seen:
            # Also what a client's or proxy's library does by itself when a connection breaks: the
            # caller signs anew, and for a repeated act gets the answer it had.
            raise StaleSignature(
                "This signed request was already received", advice="Sign a new request"
            )
        self._seen[key] = signed.created


class ApiServer:
    """Answer requests by a table of routes.

    Args:
        routes: The table.
        find_caller: Gives the enrolled party of a key id, or None.
        clock: The receiver's time.
        refused: Told of every refused request.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        find_caller: FindCaller,
        clock: Clock,
        refused: Recorder = lambda path, key_id, sentence: None,
    ) -> None:
        self._find_caller = find_caller
        self._clock = clock
        self._refused = refused
        self._nonces = SeenNonces()
        self._started = clock.now()
        self.app = web.Application(middlewares=[_gone], client_max_size=64 << 20)
        for route in routes:
            self.app.router.add_route(route.method, route.path, self._endpoint(route))

    def _endpoint(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def endpoint(request: web.Request) -> web.StreamResponse:
            key_id = ""
            try:
                key_id, call = await self._admit(route, request)
                response = _respond(await route.handler(call))
            except BranchlineError as error:
                # 5xx is our own temporary trouble, not a refusal worth recording.
                if not isinstance(error, NotFound) and status_of(error) < 500:
                    self._refused(route.path, key_id, error.refused)
                response = self._problem(error)
            if TAKEN_OVER in request:
                response.force_close()
            return response

        return endpoint

    async def _admit(self, route: Route, request: web.Request) -> tuple[str, Call]:
        raw = b"" if route.body in (None, bytes) else await _read(request, route.limit)
        if route.access in ("public", "token"):
            return "", Call(request, None, await _json_body(route, request, raw))
        if route.access == "self-signed":
            body = await _json_body(route, request, raw)
            return "", Call(request, self._self_signed(request, raw, body), body)
        signed, caller = self._verify(request, self._find_caller)
        _check_body(request, raw, streamed=route.body is bytes)
        self._fresh(signed)
        return signed.key_id, Call(request, caller, await _json_body(route, request, raw))

    def _self_signed(self, request: web.Request, raw: bytes, body: Any) -> Caller:
        keys: PublicKeys = body.keys
        claimed = Caller(body.name, body.kind, keys)
        signed, caller = self._verify(request, lambda kid: claimed if kid == keys.id else None)
        _check_body(request, raw, streamed=False)
        self._fresh(signed)
        return caller

    def _verify(self, request: web.Request, find: FindCaller) -> tuple[Signed, Caller]:
        found: list[Caller] = []
        unknown: list[str] = []

        def key_of(key_id: str) -> Ed25519PublicKey:
            caller = find(key_id)
            if caller is None:
                unknown.append(key_id)
                raise KeyError(key_id)
            found.append(caller)
            return caller.keys.sign_public

        headers = {name.lower(): value for name, value in request.headers.items()}
        url = f"{request.scheme}://{request.host}{request.raw_path}"
        try:
            signed = verify_request(request.method, url, headers, key_of, self._clock.now())
        except (NotAllowed, KeyError) as error:
            if not unknown:
                raise
            raise NotAllowed(
                f"The key {unknown[0][:12]} is not enrolled here",
                advice="Enrol with an invitation from the central operator",
            ) from error
        return signed, found[0]

    def _fresh(self, signed: Signed) -> None:
        # Nonces live in memory, so nothing signed before this process started is accepted.
        if signed.created < self._started - timedelta(seconds=1):
            raise StaleSignature(
                "The request was signed before this service started", advice="Sign it again"
            )
        self._nonces.check(signed, self._clock.now())

    def _problem(self, error: BranchlineError) -> web.Response:
        """Write an error as application/problem+json (RFC 9457)."""
        body = {"type": f"urn:branchline:{error.code}", "title": error.refused, **error.as_json()}
        return web.Response(
            status=status_of(error),
            body=msgspec.json.encode(body),
            content_type="application/problem+json",
            headers={"Date": format_datetime(self._clock.now(), usegmt=True)},
        )


async def _read(request: web.Request, limit: int) -> bytes:
    if (request.content_length or 0) > limit:
        raise Refused(f"The body has {request.content_length} bytes; at most {limit} are accepted")
    pieces, size = [], 0
    async for piece in request.content.iter_any():
        size += len(piece)
        if size > limit:
            raise Refused(f"The body has more than the {limit} bytes accepted")
        pieces.append(piece)
    return b"".join(pieces)


async def _json_body(route: Route, request: web.Request, raw: bytes) -> Any:
    if route.body in (None, bytes):
        return None
    return parse_json(raw, route.body, what="request", limit=route.limit)


def _check_body(request: web.Request, raw: bytes, *, streamed: bool) -> None:
    given = request.headers.get("Content-Digest")
    if streamed or (not raw and given is None):
        return
    if given != content_digest(raw):
        raise NotAllowed("The request's body does not match its signed Content-Digest")


def _respond(answer: Any) -> web.StreamResponse:
    if isinstance(answer, web.StreamResponse):
        return answer
    if answer is None:
        return web.Response(status=204)
    if isinstance(answer, (bytes, bytearray)):
        return web.Response(body=answer, content_type="application/octet-stream")
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


async def listen(
    app: web.Application, host: str, port: int, tls: ssl.SSLContext | None
) -> tuple[web.AppRunner, int]:
    """Start serving and return the runner and the port really bound.

    Raises:
        Refused: Plain HTTP was asked for on an address that is not loopback, or it is taken.
    """
    if tls is None and host not in ("127.0.0.1", "::1", "localhost"):
        raise Refused(
            f"Plain HTTP is served on loopback only, not on {host}",
            advice="Give --tls-cert and --tls-key, or listen on 127.0.0.1",
        )
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        read_bufsize=READ_BUFFER,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    site = web.TCPSite(runner, host, port, ssl_context=tls, backlog=256)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise Refused(
            f"Cannot listen on {host}:{port}: {error.strerror}", advice="Choose another --listen"
        ) from error
    sockets = site._server.sockets if isinstance(site._server, asyncio.Server) else ()
    return runner, sockets[0].getsockname()[1]


def tls_context(certificate: str | None, key: str | None) -> ssl.SSLContext | None:
    """Read a certificate and its key for serving HTTPS; None when neither is given."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise Refused("HTTPS needs both --tls-cert and --tls-key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # Said here: whether Python sets it, or leaves it to the machine's OpenSSL, depends on who built it.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise Refused(f"The certificate or its key cannot be used: {error}") from error
    return context


@web.middleware
async def _gone(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take it for no error here that a caller's line broke: nobody is left to be answered."""
    try:
        return await handler(request)
    except ConnectionError:
        transport = request.transport
        # Of a body that was taken over, the transport may not know yet that it broke off.
        if TAKEN_OVER not in request and transport is not None and not transport.is_closing():
            raise
        if transport is not None:
            transport.close()
        return web.Response(status=400)
