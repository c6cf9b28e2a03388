"""JSON with one spelling (RFC 8785), and strict reading of JSON into typed values."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import rfc8785

from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.errors import Refused

T = TypeVar("T")

LIMIT = 1 << 20
"""The most bytes a JSON document may have where nothing else is said."""


def canonical_json(value: Any) -> bytes:
    """Write a value as the one canonical JSON text (RFC 8785).

    Args:
        value: Plain JSON values, or msgspec structs and dataclasses of such.

    Raises:
        Refused: The value has no canonical form (NaN, an integer beyond 2^53, a foreign type).
    """
    try:
        return rfc8785.dumps(msgspec.to_builtins(value))
    except (rfc8785.CanonicalizationError, TypeError) as error:
        raise Refused(f"A value cannot be written as canonical JSON: {error}") from error


def digest_of_json(value: Any) -> Digest:
    """Name a JSON value by the digest of its canonical text."""
    return digest_of(canonical_json(value))


def parse_json(data: bytes | str, kind: type[T], *, what: str, limit: int = LIMIT) -> T:
    """Read JSON strictly into a typed value; unknown fields are refused.

    Args:
        data: The JSON text.
        kind: The msgspec struct (or other type) to read into.
        what: What is being read, for the error's sentence.
        limit: The most bytes accepted.

    Raises:
        Refused: Too large, not JSON, or not of the type; the sentence names the place.
    """
    if len(data) > limit:
        raise Refused(f"The {what} has {len(data)} bytes; at most {limit} are accepted")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"The {what} is not acceptable: {error}") from error
