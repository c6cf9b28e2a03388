"""Requests of git-annex's protocol over HTTP, taken apart and made anew; pure.

Source: git-annex's page "p2p protocol over http". What is not known here is refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from yarl import URL

from branchline.foundation.errors import NotFound, Refused
from branchline.journey.hosting import Right
from branchline.project.git.keys import is_key, size_of_key

LARGEST = 1 << 40
"""The most bytes of one content."""
LENGTH = "X-git-annex-data-length"
"""The header that says how many bytes come, or go."""

_VERSION = re.compile(r"^v[0-4]$")
_UUID = re.compile(r"^[0-9a-zA-Z-]{8,64}$")
_NUMBER = re.compile(r"^[0-9]{1,15}$")
_WORD = re.compile(r"^[0-9a-zA-Z.:_-]{1,80}$")
VERBS: Mapping[str, tuple[str, Right]] = {
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
"""What may be asked: by which method, with which right."""

_NEEDS_KEY = frozenset(VERBS) - {"keeplocked", "gettimestamp"}


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
    known = VERBS.get(verb)
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
    if not _NUMBER.match(offset) or any(not _WORD.match(v) for v in rest_of.values()):
        raise Refused("A parameter is malformed")
    return Asked(verb, version, key if verb in _NEEDS_KEY else "", clone, int(offset), rest_of)


def plain(value: str) -> str:
    """Return a value that git-annex may have written as base64 in brackets."""
    if not (value.startswith("[") and value.endswith("]")):
        return value
    try:
        return base64.b64decode(value[1:-1], altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Refused("A parameter is malformed") from error


def length_of(asked: Asked, said: str) -> int | None:
    """Return how many bytes come; None where none do.

    Args:
        asked: The request.
        said: What its header says.

    Raises:
        Refused: Not said, or other than the content has.
    """
    if asked.verb != "put":
        return None
    if not _NUMBER.match(said):
        raise Refused("It is not said how many bytes come")
    whole = size_of_key(asked.key)
    if int(said) > LARGEST or (whole is not None and asked.offset + int(said) != whole):
        raise Refused("Other bytes come than the content has")
    return int(said)


def address_of(annex: str, asked: Asked) -> URL:
    """Return where git-annex itself is asked the same.

    Args:
        annex: What it calls the repository.
        asked: The request.
    """
    key = _bracketed(asked.key)
    query = {"clientuuid": asked.clone} if asked.clone else {}
    if asked.key and asked.verb != "key":
        query["key"] = key
    if asked.offset:
        query["offset"] = str(asked.offset)
    query |= asked.rest
    parts = [annex, *([asked.version] if asked.version else []), asked.verb]
    if asked.verb == "key":
        parts.append(key)
    words = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    path = "/".join(quote(part, safe="") for part in parts)
    return URL(f"http://hub/git-annex/{path}" + (f"?{words}" if words else ""), encoded=True)


def _bracketed(value: str) -> str:
    return f"[{base64.urlsafe_b64encode(value.encode()).decode()}]" if value else ""
