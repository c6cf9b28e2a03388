"""An API as a table of routes, and the OpenAPI document made from it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from branchline.foundation.keys import PublicKeys

if TYPE_CHECKING:
    from aiohttp import web

Access = Literal["public", "signed", "self-signed", "token"]


@dataclass(frozen=True)
class Caller:
    """Who signed a request.

    Args:
        name: The party's name.
        kind: What kind of party it is.
        keys: Its public keys.
    """

    name: str
    kind: str
    keys: PublicKeys


@dataclass(frozen=True)
class Call:
    """One request, checked: who calls, the typed body, the rest as it came."""

    request: web.Request
    caller: Caller | None
    body: Any

    @property
    def by(self) -> Caller:
        """The caller of a signed route."""
        assert self.caller is not None, "only public routes have no caller"
        return self.caller

    def path(self, name: str) -> str:
        """Return a variable part of the path."""
        return self.request.match_info[name]


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True)
class Route:
    """One line of an API.

    Args:
        method: HTTP method.
        path: Path with ``{name}`` for variable parts.
        handler: What answers; returns a msgspec struct, bytes or a whole response.
        summary: One sentence for people.
        access: ``public``, ``signed`` by an enrolled party, or ``self-signed`` by the key in the
            body (proof of possession while enrolling); ``token``: the handler itself asks for one.
        body: Type of the JSON body; None for no body, ``bytes`` for a stream the handler reads.
        answer: Type of the JSON answer; None for none, ``bytes`` for octets, ``str`` for events.
        limit: The most bytes of a JSON body.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    access: Access = "signed"
    body: Any = None
    answer: Any = None
    limit: int = 1 << 20


def openapi(routes: Sequence[Route], *, title: str, version: str) -> dict[str, Any]:
    """Describe an API in OpenAPI 3.1."""
    kinds = [kind for r in routes for kind in (r.body, r.answer) if kind not in (None, bytes, str)]
    schemas, components = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}"
    )
    by_kind = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Signature",
                    "description": "RFC 9421, Ed25519, tag branchline-1",
                },
                "token": {"type": "http", "scheme": "basic"},
            },
        },
    }


_SECURITY: Mapping[Access, list[dict[str, list[str]]]] = {"public": [], "token": [{"token": []}]}


def _operation(route: Route, by_kind: Mapping[int, Any]) -> dict[str, Any]:
    variables = re.findall(r"{(\w+)(?::[^}]*)?}", route.path)
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}{re.sub(r'[^a-z0-9]+', '_', route.path)}".strip("_"),
        "security": _SECURITY.get(route.access, [{"signature": []}]),
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in variables
        ],
        "responses": {
            "200": {"description": "Done", "content": _content(route.answer, by_kind)},
            "default": {
                "description": "What was refused and what to do",
                "content": {"application/problem+json": {"schema": {"type": "object"}}},
            },
        },
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _content(route.body, by_kind)}
    return operation


def _content(kind: Any, by_kind: Mapping[int, Any]) -> dict[str, Any]:
    if kind is None:
        return {}
    if kind is bytes:
        return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    if kind is str:
        return {"text/event-stream": {"schema": {"type": "string"}}}
    return {"application/json": {"schema": by_kind[id(kind)]}}
