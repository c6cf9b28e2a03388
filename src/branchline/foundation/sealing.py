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

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from branchline.foundation.digest import Bytes
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.keys import seal_public

VERSION = b"age-encryption.org/v1\n"
CHUNK = 1 << 16
TAG = 16

_WRAP_INFO = b"age-encryption.org/v1/X25519"
_MAX_RECIPIENTS = 64


def seal(data: Bytes, recipients: Sequence[str]) -> bytearray:
    """Seal bytes so that exactly the named recipients can open them.

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
    out = bytearray(len(head) + len(data) + TAG * (_last(len(data), CHUNK) + 1))
    out[: len(head)] = head
    key = _hkdf(file_key, nonce, b"payload")
    _encrypt(key, memoryview(data), memoryview(out)[len(head) :])
    return out


def unseal(data: Bytes, private: X25519PrivateKey) -> bytearray:
    """Open what was sealed to a key.

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
    return _decrypt(_hkdf(file_key, nonce, b"payload"), view[body + 16 :])


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


def _encrypt(key: bytes, data: memoryview, out: memoryview) -> None:
    cipher = ChaCha20Poly1305(key)
    size, last = CHUNK + TAG, _last(len(data), CHUNK)
    for i in range(last + 1):
        piece = data[i * CHUNK : (i + 1) * CHUNK]
        cipher.encrypt_into(
            _nonce(i, last), piece, None, out[i * size : i * size + len(piece) + TAG]
        )


def _decrypt(key: bytes, data: memoryview) -> bytearray:
    cipher = ChaCha20Poly1305(key)
    size, last = CHUNK + TAG, _last(len(data), CHUNK + TAG)
    rest = len(data) - last * size
    if rest < TAG or (rest == TAG and last > 0):
        raise Corrupt("A sealed parcel was cut")
    out = bytearray(len(data) - TAG * (last + 1))
    view = memoryview(out)
    for i in range(last + 1):
        piece = data[i * size : (i + 1) * size]
        try:
            cipher.decrypt_into(
                _nonce(i, last), piece, None, view[i * CHUNK : i * CHUNK + len(piece) - TAG]
            )
        except InvalidTag as error:
            raise Corrupt(f"A sealed parcel was changed or cut in its chunk {i}") from error
    return out


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
