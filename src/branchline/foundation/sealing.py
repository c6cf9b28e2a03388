"""Sealing to named recipients in the age file format (age-encryption.org/v1, X25519).

Files made here open with any age program and the other way round. The format is small; it is
implemented over OpenSSL's ChaCha20-Poly1305, which lets other threads run meanwhile, as the age
library for Python does not, and gives both digests in the same pass (docs/adr/0003).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from branchline.foundation.buffers import gather
from branchline.foundation.digest import Bytes, Digest, PayloadNaming, payload_digest_of
from branchline.foundation.durable import EarlySync
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.keys import seal_public
from branchline.foundation.spares import Spares

VERSION = b"age-encryption.org/v1\n"
CHUNK = 1 << 16
TAG = 16

_GROUP = 4
"""Chunks that are hashed and handed on together: few calls, and all still in a core's cache."""

_ASIDE = 4 << 20
"""From this many bytes on, what is inside is hashed on another core."""
_WRAP_INFO = b"age-encryption.org/v1/X25519"
_MAX_RECIPIENTS = 64


@dataclass(frozen=True)
class Sealed:
    """A sealed payload with both its names.

    Args:
        data: The sealed bytes.
        digest: Their digest.
        content: Digest of what is inside.
        file: Where the bytes lie, if they were sealed into a file.
    """

    data: Bytes
    digest: Digest
    content: Digest
    file: Path | None = None


def seal(data: Bytes, recipients: Sequence[str]) -> Bytes:
    """Seal bytes so that exactly the named recipients can open them; see ``seal_named``."""
    return seal_named(data, recipients).data


def seal_named(data: Bytes, recipients: Sequence[str]) -> Sealed:
    """Seal bytes so that exactly the named recipients can open them, and name both.

    Each chunk is sealed and hashed while it is still in the processor's cache.

    Args:
        data: What to seal; any length.
        recipients: age X25519 recipients, ``age1…``; at least one, at most 64.

    Raises:
        Refused: No recipient, or too many.
        Corrupt: A recipient is malformed.
    """
    sealing = _Sealing(data, recipients)
    with sealing.named() as names:
        whole = gather(sealing)
        return Sealed(whole, *names())


def seal_into(
    file: Path,
    data: Bytes,
    recipients: Sequence[str],
    *,
    to_disk: bool = False,
    spares: Spares | None = None,
) -> Sealed:
    """Seal bytes into a new file; what is returned is a view of it. Not forced to disk.

    A large payload is written as it is sealed, so that it is in memory once, as the file's pages.

    Args:
        file: Where to.
        data: What to seal.
        recipients: As in ``seal_named``.
        to_disk: Send it on its way to disk meanwhile, for whoever forces it next.
        spares: Files that nobody needs any more, one of which becomes the new one.

    Raises:
        Refused, Corrupt: As ``seal_named``.
        OSError: The file cannot be written.
    """
    sealing = _Sealing(data, recipients)
    descriptor = _created(file) if spares is None else spares.open(file)
    try:
        with EarlySync(descriptor) as early, sealing.named() as named:
            for piece in sealing.pieces():
                view = piece
                while view:
                    view = view[os.write(descriptor, view) :]
                if to_disk:
                    early.wrote(len(piece))
            early.finish()
            names = named()
        os.ftruncate(descriptor, sealing.size)
        mapped = memoryview(mmap.mmap(descriptor, sealing.size, access=mmap.ACCESS_READ))
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return Sealed(mapped, *names, file)


def _created(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)


class _Sealing:
    """A payload sealed piece by piece."""

    def __init__(self, data: Bytes, recipients: Sequence[str]) -> None:
        if not 1 <= len(recipients) <= _MAX_RECIPIENTS:
            raise Refused(
                f"A parcel needs 1 to {_MAX_RECIPIENTS} recipients; got {len(recipients)}"
            )
        file_key = os.urandom(16)
        stanzas = b"".join(_stanza(seal_public(r), file_key) for r in recipients)
        header = VERSION + stanzas + b"---"
        nonce = os.urandom(16)
        self._head = header + b" " + _b64(_mac(file_key, header)) + b"\n" + nonce
        self._key = hkdf(file_key, nonce, b"payload")
        self._data = memoryview(data)
        self._last = _last(len(self._data), CHUNK)
        self.size = len(self._head) + len(self._data) + TAG * (self._last + 1)
        self._outside = PayloadNaming(self.size)
        self._outside.update(self._head)

    def pieces(self) -> Iterator[memoryview]:
        """Yield the sealed bytes in order; each piece is valid until the next is asked for."""
        yield memoryview(self._head)
        cipher, last, size = ChaCha20Poly1305(self._key), self._last, CHUNK + TAG
        buffer = memoryview(bytearray(_GROUP * size))
        for first in range(0, last + 1, _GROUP):
            group = self._data[first * CHUNK : (first + _GROUP) * CHUNK]
            count = min(_GROUP, last + 1 - first)
            sealed = buffer[: len(group) + TAG * count]
            for i in range(count):
                piece = group[i * CHUNK : (i + 1) * CHUNK]
                place = sealed[i * size : i * size + len(piece) + TAG]
                cipher.encrypt_into(_nonce(first + i, last), piece, None, place)
            self._outside.update(sealed)
            yield sealed

    @contextmanager
    def named(self) -> Iterator[Callable[[], tuple[Digest, Digest]]]:
        """Give the digests of the sealed bytes and of what is inside, once all pieces were taken.

        What is inside is hashed meanwhile, beside the sealing, if it is worth a thread.
        """
        if len(self._data) < _ASIDE:
            yield lambda: (self._outside.digest(), payload_digest_of(self._data))
            return
        with ThreadPoolExecutor(1, "sealing") as pool:
            inside = pool.submit(payload_digest_of, self._data)
            yield lambda: (self._outside.digest(), inside.result())


class Opening:
    """A sealed payload that is opened piece by piece, as it is written to where it is used.

    Args:
        data: The sealed bytes.
        private: The key.
        expected: The digest the sealed bytes must have.

    Raises:
        Corrupt: Not an age file, or not sealed to this key; ``pieces`` notices changes further on.
    """

    def __init__(
        self, data: Bytes, private: X25519PrivateKey, expected: Digest | None = None
    ) -> None:
        self._head, self._key, self._body = _open_header(memoryview(data), private)
        self._expected = expected
        size = CHUNK + TAG
        self._last = _last(len(self._body), size)
        rest = len(self._body) - self._last * size
        if rest < TAG or (rest == TAG and self._last > 0):
            raise Corrupt("A sealed parcel was cut")
        self.size = len(self._body) - TAG * (self._last + 1)

    def pieces(self) -> Iterator[memoryview]:
        """Yield the opened bytes in order; each piece is valid until the next is asked for.

        Raises:
            Corrupt: The parcel was changed, or is not the one expected; what came before is not
                to be used either.
        """
        cipher, last, size = ChaCha20Poly1305(self._key), self._last, CHUNK + TAG
        outside = PayloadNaming(len(self._head) + len(self._body))
        outside.update(self._head)
        buffer = memoryview(bytearray(_GROUP * CHUNK))
        for first in range(0, last + 1, _GROUP):
            group = self._body[first * size : (first + _GROUP) * size]
            count = min(_GROUP, last + 1 - first)
            opened = buffer[: len(group) - TAG * count]
            for i in range(count):
                piece = group[i * size : (i + 1) * size]
                place = opened[i * CHUNK : i * CHUNK + len(piece) - TAG]
                self._open(cipher, first + i, piece, place)
            if self._expected is not None:
                outside.update(group)
            yield opened
        if self._expected not in (None, outside.digest()):
            raise Corrupt("A sealed parcel is not the one that was announced")

    def _open(
        self, cipher: ChaCha20Poly1305, index: int, piece: memoryview, place: memoryview
    ) -> None:
        try:
            cipher.decrypt_into(_nonce(index, self._last), piece, None, place)
        except InvalidTag as error:
            raise Corrupt(f"A sealed parcel was changed or cut in its chunk {index}") from error


def unseal(data: Bytes, private: X25519PrivateKey, expected: Digest | None = None) -> Bytes:
    """Open what was sealed to a key.

    Args:
        data: The sealed bytes.
        private: The key.
        expected: The digest the sealed bytes must have; checked in the same pass.

    Raises:
        Corrupt: Not an age file, not sealed to this key, or changed since it was sealed.
    """
    return gather(Opening(data, private, expected))


def _open_header(
    view: memoryview, private: X25519PrivateKey
) -> tuple[memoryview, bytes, memoryview]:
    """Return the header with the nonce, the payload's key, and the payload."""
    # 64 stanzas of at most 160 bytes, the version, the mac and the nonce fit in here.
    header, mac, body = _split(bytes(view[: 16 << 10]))
    file_key = _file_key(header, private)
    if not hmac.compare_digest(_mac(file_key, header), mac):
        raise Corrupt("The header of a sealed parcel was changed")
    nonce = bytes(view[body : body + 16])
    return view[: body + 16], hkdf(file_key, nonce, b"payload"), view[body + 16 :]


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


def _last(length: int, size: int) -> int:
    """Return the index of the last chunk: an empty payload still has one chunk."""
    return max(0, (length - 1) // size)


def _nonce(index: int, last: int) -> bytes:
    return index.to_bytes(11, "big") + (b"\x01" if index == last else b"\x00")


def _wrap_key(secret: bytes, share: bytes, recipient: bytes) -> bytes:
    return hkdf(secret, share + recipient, _WRAP_INFO)


def _mac(file_key: bytes, header: bytes) -> bytes:
    return hmac.digest(hkdf(file_key, b"", b"header"), header, hashlib.sha256)


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """Derive 32 bytes with HKDF-SHA-256 (RFC 5869): one block, so extract and one expand.

    Args:
        secret: What is derived from.
        salt: Empty for none.
        info: What the derived bytes are for.
    """
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
