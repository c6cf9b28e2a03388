"""Who comes to a hosted project with which right: told by a token, since git signs no requests."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from aiohttp import web

from branchline.central.hub.hosting import Hub
from branchline.central.hub.rights import Standing, includes, require
from branchline.foundation.errors import BranchlineError, NotAllowed, NotFound
from branchline.foundation.http.server import status_of
from branchline.journey.acts import Role
from branchline.journey.hosting import Right

_ASK = {"WWW-Authenticate": 'Basic realm="branchline", charset="UTF-8"'}
_LONGEST = 512


@dataclass(frozen=True)
class Visitor:
    """Somebody at a hosted project.

    Args:
        name: Who; empty for somebody who did not say.
        role: What he may do there at most.
        right: What his token is good for.
    """

    name: str
    role: Role
    right: Right


class AskForToken(NotAllowed):
    """There was no token, or none that is good here, now."""


def visitor_of(
    hub: Hub, request: web.Request, owner: str, name: str, needed: Right, *, named: bool = False
) -> tuple[Standing, Visitor]:
    """Return the hosted project that a request is about, and who comes.

    Args:
        hub: The hosted projects.
        request: What came.
        owner: Whose project.
        name: Which.
        needed: What for.
        named: Whether one has to say who one is even where everybody may read.

    Raises:
        AskForToken: A token is needed; whether there is such a project is not said.
        NotFound: There is none, or not for him any more.
        NotAllowed: The token, or his role, is not good for this.
    """
    try:
        standing = hub.store.at(owner, name)
    except NotFound:
        raise AskForToken("A token is needed here", advice=_ADVICE) from None
    token = _token(request)
    if token is None:
        if standing.visibility == "public" and needed == "read" and not named:
            return standing, Visitor("", "read", "read")
        raise AskForToken("A token is needed here", advice=_ADVICE)
    grant = hub.tokens.find(token, standing.hosted)
    if grant is None:
        raise AskForToken("The token is not good here, or not any more", advice=_ADVICE)
    # What he may do is asked at each request: a role that ended has ended.
    role = require(standing, grant.caller.name, grant.caller.kind, needed)
    if not includes(grant.right, needed):
        raise NotAllowed(f"The token is good to {grant.right}, not to {needed}", advice=_ADVICE)
    return standing, Visitor(grant.caller.name, role, grant.right)


_ADVICE = "Clone with 'branchline clone', or publish again: git then gets a new one by itself"


def refusal(error: BranchlineError) -> web.Response:
    """Answer so that git shows the sentence to the person."""
    status, headers = status_of(error), {"Cache-Control": "no-store"}
    if isinstance(error, AskForToken):
        status, headers = 401, {**headers, **_ASK}
    return web.Response(status=status, text=f"{error}\n", headers=headers)


def _token(request: web.Request) -> str | None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic" or len(value) > _LONGEST:
        return None
    try:
        text = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text.partition(":")[2] or None
