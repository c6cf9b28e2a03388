"""JSON with one spelling (RFC 8785), and strict reading of JSON into typed values."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import rfc8785

from branchline.foundation.decoding import decode_json
from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.errors import Refused

T = TypeVar("T")

LIMIT = 1 << 20
"""The most bytes a JSON document may have where nothing else is said."""

_LARGEST_INTEGER = 2**53 - 1
"""Beyond it, doubles do not spell every integer."""


def canonical_json(value: Any) -> bytes:
    """Write a value as the one canonical JSON text (RFC 8785).

    Args:
        value: Plain JSON values, or msgspec structs and dataclasses of such.

    Raises:
        Refused: The value has no canonical form (NaN, an integer that no double spells, a foreign
            type).
    """
    try:
        plain = msgspec.to_builtins(value)
        try:
            return msgspec.json.encode(_spelled(plain), order="sorted")
        except _Unusual:
            plain = msgspec.to_builtins(value)
        except UnicodeEncodeError:
            raise Refused(
                "A value cannot be written as canonical JSON: a text has half a character"
            ) from None
        try:
            return rfc8785.dumps(plain)
        except rfc8785.IntegerDomainError:
            return rfc8785.dumps(_as_doubles(plain))
    except (rfc8785.CanonicalizationError, TypeError) as error:
        raise Refused(f"A value cannot be written as canonical JSON: {error}") from error


class _Unusual(Exception):
    """A value that is left to the library that knows all of the standard."""


def _spelled(value: Any) -> Any:
    """Return plain values that msgspec writes as RFC 8785 wants them; lists and mappings are changed.

    msgspec spells strings and small integers alike, and sorts names by their bytes: the same order
    where they are ASCII. Numbers with a fraction are spelled here, as the standard has them.
    """
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is int and -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER:
        return value
    if kind is float:
        return msgspec.Raw(rfc8785.dumps(value))
    if kind is dict:
        for name, item in value.items():
            if type(name) is not str or not name.isascii():
                raise _Unusual
            if type(item) is not str:
                value[name] = _spelled(item)
        return value
    if kind is list or kind is tuple:
        return [item if type(item) is str else _spelled(item) for item in value]
    raise _Unusual


def _as_doubles(value: Any) -> Any:
    """Turn large integers into the doubles they were, before somebody wrote and read them.

    RFC 8785 §3.2.2.3 spells 1e20 as 100000000000000000000, which Python reads as an integer.
    """
    if isinstance(value, dict):
        return {key: _as_doubles(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_doubles(item) for item in value]
    large = isinstance(value, int) and not -(2**53) < value < 2**53
    if large and abs(value) < 10**21 and rfc8785.dumps(float(value)) == str(value).encode():
        return float(value)
    return value


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
        return decode_json(data, kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"The {what} is not acceptable: {error}") from error
