"""Give a Java key store of certificates one date: Debian's holds when it was made.

Format: JKS, version 2, as the JDK's `sun.security.provider.JavaKeyStore` writes it: entries of
(tag, alias, milliseconds since 1970, kind, certificate), and a SHA-1 over password, a phrase, and
all of it. Only stores of certificates that have Debian's public password are rewritten.
"""

from __future__ import annotations

import hashlib
import struct

MAGIC = b"\xfe\xed\xfe\xed"

_PASSWORD = "changeit".encode("utf-16-be") + b"Mighty Aphrodite"
_HEAD = struct.Struct(">4sII")
_CERTIFICATE = 2
_DIGEST = 20


def with_one_date(data: bytes, seconds: int) -> bytes:
    """Return a key store with one date on all its entries; anything else comes back unchanged."""
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    if data[:4] != MAGIC or _check(body) != digest:
        return data
    dated = bytearray(body)
    try:
        _, version, count = _HEAD.unpack_from(body)
        at = _HEAD.size
        for _ in range(count):
            if version != 2 or struct.unpack_from(">I", body, at)[0] != _CERTIFICATE:
                return data
            at = _after(body, at + 4, ">H")
            struct.pack_into(">Q", dated, at, seconds * 1000)
            at = _after(body, _after(body, at + 8, ">H"), ">I")
    except struct.error:
        return data
    return bytes(dated) + _check(bytes(dated)) if at == len(body) else data


def _after(body: bytes, at: int, length: str) -> int:
    """Return where something ends that begins with its length."""
    return at + struct.calcsize(length) + int(struct.unpack_from(length, body, at)[0])


def _check(body: bytes) -> bytes:
    return hashlib.sha1(_PASSWORD + body, usedforsecurity=False).digest()
