"""Base64 without padding (RFC 7515 §2) and Bech32 (BIP 173), as JOSE and age spell bytes."""

from __future__ import annotations

import base64
import binascii

from branchline.foundation.errors import Corrupt

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def to_base64url(data: bytes) -> str:
    """Write bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Read base64url without padding, accepting only the one canonical spelling.

    Raises:
        Corrupt: Other characters, padding, or bits that a canonical spelling does not have.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Corrupt("A base64url value is malformed") from error
    if to_base64url(data) != text:
        raise Corrupt("A base64url value is not in its canonical spelling")
    return data


def to_bech32(prefix: str, data: bytes) -> str:
    """Write bytes as Bech32 with a human-readable prefix (BIP 173)."""
    values = _regroup(data, 8, 5, pad=True)
    checksum = _polymod(_expand(prefix) + values + [0] * 6) ^ 1
    values += [(checksum >> 5 * (5 - i)) & 31 for i in range(6)]
    return prefix + "1" + "".join(_CHARSET[value] for value in values)


def from_bech32(prefix: str, text: str) -> bytes:
    """Read Bech32 with the prefix expected (BIP 173).

    Raises:
        Corrupt: Another prefix, a foreign character, a wrong checksum or stray bits.
    """
    head, separator, tail = text.rpartition("1")
    if not separator or head != prefix or any(c not in _CHARSET for c in tail):
        raise Corrupt(f"A key does not have the form {prefix}1…")
    values = [_CHARSET.index(c) for c in tail]
    if _polymod(_expand(prefix) + values) != 1:
        raise Corrupt(f"A key of the form {prefix}1… has a wrong checksum")
    return bytes(_regroup(bytes(values[:-6]), 5, 8, pad=False))


def _polymod(values: list[int]) -> int:
    state = 1
    for value in values:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate(_GENERATOR):
            state ^= generator if (top >> i) & 1 else 0
    return state


def _expand(prefix: str) -> list[int]:
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def _regroup(data: bytes, from_bits: int, to_bits: int, *, pad: bool) -> list[int]:
    state = bits = 0
    out: list[int] = []
    for value in data:
        state = state << from_bits | value
        bits += from_bits
        while bits >= to_bits:
            bits -= to_bits
            out.append(state >> bits & ((1 << to_bits) - 1))
    rest = state & ((1 << bits) - 1)
    if pad and bits:
        out.append(rest << (to_bits - bits))
    elif not pad and (bits >= from_bits or rest):
        raise Corrupt("A Bech32 value has stray bits")
    return out
