"""Signed statements: compact JWS (RFC 7515) with Ed25519 (RFC 8037, RFC 9864)."""

from __future__ import annotations

from functools import lru_cache

from joserfc import errors, jws
from joserfc.jwk import OKPKey

from branchline.foundation.errors import Corrupt
from branchline.foundation.keys import Identity, PublicKeys

ALGORITHM = "Ed25519"
_ALGORITHMS = [ALGORITHM]
_HEADER = {"alg", "kid", "typ"}


class _Registry(jws.JWSRegistry):
    max_payload_length = 1 << 24
    """Of whatever is read as one statement, each kind has a lower limit of its own."""


_REGISTRY = _Registry(algorithms=_ALGORITHMS)


def sign_jws(payload: bytes, identity: Identity, *, typ: str) -> str:
    """Sign bytes as a compact JWS whose header names the key and the statement's type."""
    header = {"alg": ALGORITHM, "kid": identity.id, "typ": typ}
    key = OKPKey(identity.sign_private, identity.sign_private)
    return jws.serialize_compact(header, payload, key, algorithms=_ALGORITHMS)


def verify_jws(token: str, keys: PublicKeys, *, typ: str) -> bytes:
    """Return a JWS's payload if these keys signed it as a statement of this type.

    Raises:
        Corrupt: Malformed, of another type or algorithm, by another key, or not authentic.
    """
    header = _header(token)
    if header["alg"] != ALGORITHM or header["typ"] != typ:
        raise Corrupt(
            f"A signed statement is of type {header['typ']!r} with {header['alg']!r}; "
            f"expected {typ!r} with {ALGORITHM!r}"
        )
    if header["kid"] != keys.id:
        raise Corrupt(f"A statement is signed by key {header['kid'][:12]}; expected {keys.id[:12]}")
    try:
        return jws.deserialize_compact(token, _public(keys), registry=_REGISTRY).payload
    except (errors.JoseError, ValueError) as error:
        raise Corrupt(f"A signature by key {keys.id[:12]} does not hold") from error


def read_kid(token: str) -> str:
    """Return the key id a JWS names; nothing is verified.

    Raises:
        Corrupt: The token is malformed.
    """
    return _header(token)["kid"]


def _header(token: str) -> dict[str, str]:
    try:
        header = jws.extract_compact(token.encode("ascii"), registry=_REGISTRY).protected
    except (errors.JoseError, ValueError) as error:
        raise Corrupt("A signed statement is not a JWS") from error
    if set(header) != _HEADER or not all(isinstance(value, str) for value in header.values()):
        raise Corrupt("A signed statement's header must have exactly alg, kid and typ")
    return header


@lru_cache(maxsize=4096)
def _public(keys: PublicKeys) -> OKPKey:
    return OKPKey(keys.sign_public, keys.sign_public)
