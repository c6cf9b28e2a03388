"""Who may ask: the person who started the program, from the browser that was opened for it.

Other programs of this machine, and pages from anywhere, can reach a port on loopback, too. So:

* A request names this address as its host; a name that was made to lead here is refused (DNS rebinding).
* The address that is opened has a token that counts once. The browser gets a cookie for it, which it
  does not send for pages of other sites (SameSite=Strict), and no script can read (HttpOnly).
* Cookies do not know ports: a page of another program on loopback is of the same site. So whoever
  changes something comes from this very origin, and shows what only these pages know.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from hashlib import sha256
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Middleware

ENTER = "/enter"
STATIC = "/static/"
FORM_TOKEN = "form"
_COOKIE = "branchline-{port}"
_NEEDS_NO_COOKIE = (STATIC, "/favicon.ico")

POLICY = "; ".join((
    "default-src 'none'",
    *("script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'"),
    *("font-src 'self'", "manifest-src 'self'", "form-action 'self'"),
    *("base-uri 'none'", "frame-ancestors 'none'"),
))  # fmt: skip
"""What pages may load: from here alone, and no script or style that stands in a page."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With none at all, browsers would not say whence a form comes.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Refusal = Callable[[web.Request, int, str, str], web.Response]
"""Makes the page that says no: request, status, what was refused, what to do."""


class Entrance:
    """Lets in who has the token, once, and knows the browser from then on.

    Args:
        refusal: Makes the page that says no.
    """

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal
        self._tokens: set[str] = set()
        self._secret = secrets.token_bytes(32)
        self._sessions: set[bytes] = set()
        self.port = 0

    @property
    def origin(self) -> str:
        """Where the pages are."""
        return f"http://127.0.0.1:{self.port}"

    def link(self, to: str = "/") -> str:
        """Return an address that lets one browser in, once, and leads it to a page."""
        token = secrets.token_urlsafe(32)
        self._tokens.add(token)
        more = "" if to == "/" else f"&to={quote(to)}"
        return f"{self.origin}{ENTER}?token={token}{more}"

    def form_token(self, request: web.Request) -> str:
        """Return what a form of this browser's shows."""
        return hmac.new(self._secret, self._cookie(request).encode(), sha256).hexdigest()

    @property
    def _hosts(self) -> tuple[str, ...]:
        return tuple(f"{name}:{self.port}" for name in ("127.0.0.1", "localhost"))

    def _cookie(self, request: web.Request) -> str:
        return request.cookies.get(_COOKIE.format(port=self.port), "")

    def _known(self, request: web.Request) -> bool:
        return sha256(self._cookie(request).encode()).digest() in self._sessions

    @property
    def middleware(self) -> Middleware:
        """What stands before every handler."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            answer = await self._guarded(request, handler)
            if not answer.prepared:
                for name, value in HEADERS.items():
                    answer.headers.setdefault(name, value)
            return answer

        return guard

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.host not in self._hosts:
            return self._refusal(
                request,
                421,
                "This address is not one of the workbench's",
                f"Open {self.origin}",
            )
        if request.path == ENTER:
            return self._enter(request)
        if request.path.startswith(_NEEDS_NO_COOKIE):
            return await handler(request)
        if not self._known(request):
            return self._refusal(
                request,
                403,
                "This browser was not let in",
                "Open the address that 'branchline workbench' printed, or start it again",
            )
        if not _from_here(request, self._hosts):
            return self._refusal(
                request, 403, "Another page asked for this", f"Open {self.origin} yourself"
            )
        if request.method not in ("GET", "HEAD"):
            if request.content_type != "application/x-www-form-urlencoded":
                return self._refusal(request, 415, "Only forms are taken here", "")
            shown = (await request.post()).get(FORM_TOKEN, "")
            if not hmac.compare_digest(str(shown), self.form_token(request)):
                return self._refusal(
                    request, 403, "The form is of an earlier time", "Load the page again"
                )
        return await handler(request)

    def _enter(self, request: web.Request) -> web.Response:
        """Take a token in for a cookie; a browser that is in already only goes on."""
        token = request.query.get("token", "")
        if request.method == "GET" and token in self._tokens:
            self._tokens.discard(token)
            session = secrets.token_urlsafe(32)
            self._sessions.add(sha256(session.encode()).digest())
            answer = _onwards(request)
            answer.set_cookie(
                _COOKIE.format(port=self.port), session, httponly=True, samesite="Strict", path="/"
            )
            return answer
        if self._known(request):
            return _onwards(request)
        return self._refusal(
            request,
            403,
            "This address was used already",
            "It lets one browser in, once; start 'branchline workbench' again for another",
        )


def _onwards(request: web.Request) -> web.Response:
    """Lead to where the address wants to go, within these pages."""
    wanted = request.query.get("to", "/")
    inside = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return web.Response(status=303, headers={"Location": wanted if inside else "/"})


def _from_here(request: web.Request, hosts: tuple[str, ...]) -> bool:
    """Tell whether a request comes from these pages, or from the person's own hand."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.removeprefix("http://") not in hosts:
        return False
    if request.method not in ("GET", "HEAD"):
        # Browsers always say whence a form comes; whoever does not is none.
        return origin is not None
    if request.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none"):
        return True
    # A link elsewhere may lead here; what is embedded there may not be had from here.
    return (
        request.headers.get("Sec-Fetch-Mode") == "navigate"
        and request.headers.get("Sec-Fetch-Dest") == "document"
    )
