"""Identifiers: random ones for acts and journeys, chosen names for people and things."""

from __future__ import annotations

import base64
import re
import secrets
from typing import Annotated

import msgspec

from branchline.foundation.errors import Refused

NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$(?!\n)"
ID_PATTERN = r"^[a-z]+-[a-z2-7]{26}$(?!\n)"

Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]
"""A chosen name as it stands in messages: lower-case letters, digits and dashes."""

Id = Annotated[str, msgspec.Meta(pattern=ID_PATTERN)]
"""A random identifier as it stands in messages: its kind, a dash, 26 base32 characters."""

_NAME = re.compile(NAME_PATTERN)


def new_id(kind: str) -> str:
    """Make an identifier that nobody can guess: the kind, a dash and 128 random bits."""
    return id_from_bytes(kind, secrets.token_bytes(16))


def id_from_bytes(kind: str, raw: bytes) -> str:
    """Write 16 bytes as an identifier of a kind."""
    return f"{kind}-{base64.b32encode(raw).decode().rstrip('=').lower()}"


def check_name(text: str, what: str) -> str:
    """Return a chosen name unchanged if it is well formed.

    Raises:
        Refused: The name has other characters, is empty or longer than 63.
    """
    if not _NAME.match(text):
        raise Refused(
            f"{text[:80]!r} is not a name for a {what}",
            advice="Use 1 to 63 lower-case letters, digits and dashes, not starting with a dash",
        )
    return text
