"""Sealing to named recipients in the age file format (age-encryption.org/v1, X25519).

Files made here open with any age program and the other way round. The format is small; it is
implemented over OpenSSL's ChaCha20-Poly1305, which is ten times as fast as the age library for
Python and lets other threads run meanwhile (docs/adr/0003).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from branchline.foundation.buffers import fresh
from branchline.foundation.digest import Bytes, Digest, digest_from
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.keys import seal_public

VERSION = b"age-encryption.org/v1\n"
CHUNK = 1 << 16
TAG = 16

_WRAP_INFO = b"age-encryption.org/v1/X25519"
_MAX_RECIPIENTS = 64


@dataclass(frozen=True)
class Sealed:
    """A sealed payload with both its names.

    Args:
        data: The sealed bytes.
        digest: Their digest.
        content: Digest of what is inside.
    """

    data: Bytes
    digest: Digest
    content: Digest


def seal(data: Bytes, recipients: Sequence[str]) -> Bytes:
    """Seal bytes so that exactly the named recipients can open them; see ``seal_named``."""
    return seal_named(data, recipients).data


def seal_named(data: Bytes, recipients: Sequence[str]) -> Sealed:
    """Seal bytes so that exactly the named recipients can open them, and name both.

    Everything is done in one pass, chunk by chunk, while a chunk is still in the processor's
    cache.

    Args:
        data: What to seal; any length.
        recipients: age X25519 recipients, ``age1…``; at least one, at most 64.

    Raises:
        Refused: No recipient, or too many.
        Corrupt: A recipient is malformed.
    """
    if not 1 <= len(recipients) <= _MAX_RECIPIENTS:
        raise Refused(f"A parcel needs 1 to {_MAX_RECIPIENTS} recipients; got {len(recipients)}")
    file_key = os.urandom(16)
    stanzas = b"".join(_stanza(seal_public(r), file_key) for r in recipients)
    header = VERSION + stanzas + b"---"
    mac = _mac(file_key, header)
    nonce = os.urandom(16)
    head = header + b" " + _b64(mac) + b"\n" + nonce
    out = fresh(len(head) + len(data) + TAG * (_last(len(data), CHUNK) + 1))
    out[: len(head)] = head
    outside, inside = hashlib.sha256(head), hashlib.sha256()
    key = _hkdf(file_key, nonce, b"payload")
    _encrypt(key, memoryview(data), out[len(head) :], outside, inside)
    return Sealed(out, digest_from(outside.digest()), digest_from(inside.digest()))


def unseal(data: Bytes, private: X25519PrivateKey, expected: Digest | None = None) -> Bytes:
    """Open what was sealed to a key.

    Args:
        data: The sealed bytes.
        private: The key.
        expected: The digest the sealed bytes must have; checked in the same pass.

    Raises:
        Corrupt: Not an age file, not sealed to this key, or changed since it was sealed.
    """
    view = memoryview(data)
    # 64 stanzas of at most 160 bytes, the version, the mac and the nonce fit in here.
    header, mac, body = _split(bytes(view[: 16 << 10]))
    file_key = _file_key(header, private)
    if not hmac.compare_digest(_mac(file_key, header), mac):
        raise Corrupt("The header of a sealed parcel was changed")
    nonce = bytes(view[body : body + 16])
    outside = None if expected is None else hashlib.sha256(view[: body + 16])
    out = _decrypt(_hkdf(file_key, nonce, b"payload"), view[body + 16 :], outside)
    if outside is not None and digest_from(outside.digest()) != expected:
        raise Corrupt("A sealed parcel is not the one that was announced")
    return out


def _stanza(recipient: X25519PublicKey, file_key: bytes) -> bytes:
    ephemeral = X25519PrivateKey.generate()
    share = ephemeral.public_key().public_bytes_raw()
    try:
        secret = ephemeral.exchange(recipient)
    except ValueError as error:  # a point of small order: everybody would know the secret
        raise Corrupt("A recipient's key is not one that can be sealed to") from error
    key = _wrap_key(secret, share, recipient.public_bytes_raw())
    body = ChaCha20Poly1305(key).encrypt(bytes(12), file_key, None)
    return b"-> X25519 " + _b64(share) + b"\n" + _b64(body) + b"\n"


def _file_key(header: bytes, private: X25519PrivateKey) -> bytes:
    lines = header[len(VERSION) : -len(b"---")].splitlines()
    own = private.public_key().public_bytes_raw()
    for first, body in zip(lines[::2], lines[1::2], strict=False):
        if not first.startswith(b"-> X25519 "):
            continue
        share, wrapped = _unb64(first[len(b"-> X25519 ") :]), _unb64(body)
        if len(share) != 32 or len(wrapped) != 32:
            raise Corrupt("A recipient's line in a sealed parcel is malformed")
        try:
            secret = private.exchange(X25519PublicKey.from_public_bytes(share))
            key = _wrap_key(secret, share, own)
            return ChaCha20Poly1305(key).decrypt(bytes(12), wrapped, None)
        except (InvalidTag, ValueError):
            continue  # sealed to somebody else: try the next line
    raise Corrupt("The parcel is not sealed to this key", advice="Ask the sender for whom it is")


def _split(head: bytes) -> tuple[bytes, bytes, int]:
    end = head.find(b"\n--- ")
    stop = head.find(b"\n", end + 1)
    if not head.startswith(VERSION) or end < 0 or stop < 0:
        raise Corrupt("The parcel is not an age file")
    return head[: end + 4], _unb64(head[end + 5 : stop]), stop + 1


def _encrypt(
    key: bytes,
    data: memoryview,
    out: memoryview,
    outside: hashlib._Hash,
    inside: hashlib._Hash,
) -> None:
    cipher = ChaCha20Poly1305(key)
    size, last = CHUNK + TAG, _last(len(data), CHUNK)
    for i in range(last + 1):
        piece = data[i * CHUNK : (i + 1) * CHUNK]
        sealed = out[i * size : i * size + len(piece) + TAG]
        cipher.encrypt_into(_nonce(i, last), piece, None, sealed)
        inside.update(piece)
        outside.update(sealed)


def _decrypt(key: bytes, data: memoryview, outside: hashlib._Hash | None) -> Bytes:
    cipher = ChaCha20Poly1305(key)
    size, last = CHUNK + TAG, _last(len(data), CHUNK + TAG)
    rest = len(data) - last * size
    if rest < TAG or (rest == TAG and last > 0):
        raise Corrupt("A sealed parcel was cut")
    view = fresh(len(data) - TAG * (last + 1))
    for i in range(last + 1):
        piece = data[i * size : (i + 1) * size]
        try:
            cipher.decrypt_into(
                _nonce(i, last), piece, None, view[i * CHUNK : i * CHUNK + len(piece) - TAG]
            )
        except InvalidTag as error:
            raise Corrupt(f"A sealed parcel was changed or cut in its chunk {i}") from error
        if outside is not None:
            outside.update(piece)
    return view.toreadonly()


def _last(length: int, size: int) -> int:
    """Return the index of the last chunk: an empty payload still has one chunk."""
    return max(0, (length - 1) // size)


def _nonce(index: int, last: int) -> bytes:
    return index.to_bytes(11, "big") + (b"\x01" if index == last else b"\x00")


def _wrap_key(secret: bytes, share: bytes, recipient: bytes) -> bytes:
    return _hkdf(secret, share + recipient, _WRAP_INFO)


def _mac(file_key: bytes, header: bytes) -> bytes:
    return hmac.digest(_hkdf(file_key, b"", b"header"), header, hashlib.sha256)


def _hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """Derive 32 bytes with HKDF-SHA-256 (RFC 5869): one block, so extract and one expand."""
    pseudorandom = hmac.digest(salt or bytes(32), secret, hashlib.sha256)
    return hmac.digest(pseudorandom, info + b"\x01", hashlib.sha256)


def _b64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _unb64(text: bytes) -> bytes:
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise Corrupt("A sealed parcel's header is malformed") from error
    if _b64(data) != text:
        raise Corrupt("A sealed parcel's header is not in its canonical spelling")
    return data
